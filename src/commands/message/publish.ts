import { relative } from "node:path";
import { Args, Flags } from "@oclif/core";
import { openPubSub } from "../../cloud/index.js";
import { KlioError } from "../../errors.js";
import { loadJob } from "../../jobs/index.js";
import {
  type BrokerChoice,
  checkPublishOptions,
  chooseBroker,
  type Failed,
  OutcomeWatch,
  publishAll,
  type Published,
} from "../../messages/index.js";
import type { Outcome } from "../../session/index.js";
import { jobFlags, KlioCommand, paragraphs } from "../../ui/klio-command.js";
import { outcomeLine } from "../../ui/run-view.js";

export default class MessagePublish extends KlioCommand {
  static override summary = "Send a job messages, one for each element.";
  static override description =
    paragraphs(`It goes to the topic of the job's first Pub/Sub input: in the local session of the project if one runs, else in Google Cloud;
--emulator, --cloud and PUBSUB_EMULATOR_HOST say otherwise. stderr says where it went.`);
  static override examples = [
    "<%= config.bin %> message publish rec-1 rec-2",
    "<%= config.bin %> message publish rec-1 --force --wait",
  ];
  static override strict = false;
  static override args = {
    entity_id: Args.string({
      name: "ENTITY_ID",
      required: true,
      description: "what the job shall work on; several may follow",
    }),
  };
  static override flags = {
    ...jobFlags,
    force: Flags.boolean({ char: "f", description: "process although the output exists" }),
    ping: Flags.boolean({ char: "p", description: "pass through the graph without processing" }),
    "top-down": Flags.boolean({ char: "t", description: "for every job that receives it" }),
    "bottom-up": Flags.boolean({ char: "b", description: "for this job alone (the default)" }),
    "non-klio": Flags.boolean({ char: "n", description: "send the bytes of the id as they are" }),
    input: Flags.string({
      description: "the event input to send to, by its name (default: the first of type pubsub)",
      helpValue: "NAME",
    }),
    wait: Flags.boolean({ description: "wait until the job is done with the messages, and say what became of them" }),
    timeout: Flags.integer({ description: "seconds to wait at most, with --wait", default: 300, min: 1 }),
    emulator: Flags.string({
      description: "publish to this Pub/Sub emulator",
      helpValue: "HOST:PORT",
      exclusive: ["cloud"],
    }),
    cloud: Flags.boolean({ description: "publish to Google Cloud" }),
  };

  async run() {
    const { flags, argv } = await this.parse(MessagePublish);
    const ids = argv.map(String);
    const { config, directory } = loadJob(this.jobOptions(flags));
    const { force, ping } = flags;
    const options = {
      force,
      ping,
      topDown: flags["top-down"],
      bottomUp: flags["bottom-up"],
      nonKlio: flags["non-klio"],
      ...(flags.input === undefined ? {} : { input: flags.input }),
    };
    const topic = checkPublishOptions(options, config);
    if (config.version === 1)
      this.tell("! version 1 of the configuration and its messages is deprecated; set version: 2");
    const broker = await chooseBroker({
      emulator: flags.emulator,
      cloud: flags.cloud,
      environment: process.env["PUBSUB_EMULATOR_HOST"],
      session: this.sessionKey(config.pipeline_options.project),
    });
    this.tell(`publishing to ${topic} in ${broker.where}`);
    const pubsub = await openPubSub(broker.emulator);
    try {
      if (!(await pubsub.topicExists(topic))) throw missingTopic(topic, broker);
      const watch = flags.wait ? await this.#watch(broker, config.job_name) : undefined;
      const { published, failed } = await publishAll(ids, options, config, pubsub, topic);
      for (const p of published) this.log(`${p.entity_id} → message ${p.message_id}`);
      const waited = watch?.until(published, flags.timeout, (outcome) => {
        this.log(
          outcomeLine(outcome as unknown as Parameters<typeof outcomeLine>[0], { storage: shownStorage(directory) }),
        );
      });
      const result = { topic, where: broker.where, published, failed, outcomes: (await waited) ?? [] };
      checkResult(result, flags.wait);
      return result;
    } finally {
      broker.session?.leave();
      await pubsub.close();
    }
  }

  async #watch({ session, where }: BrokerChoice, job: string): Promise<OutcomeWatch> {
    if (session === undefined) {
      throw new KlioError("WAIT_LOCAL", `--wait works in a local session, and this goes to ${where}`, {
        hint: "Start the job here first: klio job run --direct-runner",
      });
    }
    if (!session.jobs.includes(job))
      this.tell(`! ${job} does not run here; start it with: klio job run --direct-runner`);
    return OutcomeWatch.start(session, job);
  }
}

interface Result {
  readonly published: readonly Published[];
  readonly failed: readonly Failed[];
  readonly outcomes: readonly Outcome[];
}

/** Throws a KlioError unless everything was published and, when waited for, came to a good end. */
function checkResult(result: Result, waited: boolean): void {
  const { published, failed, outcomes } = result;
  if (failed.length > 0) {
    throw new KlioError(
      "PUBLISH_FAILED",
      `${failed.length} of ${published.length + failed.length} could not be published`,
      {
        details: failed.map((f) => `${JSON.stringify(f.entity_id)}: ${f.error}`),
        data: { ...result },
      },
    );
  }
  if (!waited) return;
  const open = published.filter((p) => !outcomes.some((o) => o.message_id === p.message_id));
  if (open.length > 0) {
    const names = open.map((p) => p.entity_id).join(", ");
    throw new KlioError("WAIT_TIMEOUT", `the job was not done in time with: ${names}`, {
      hint: "Give it longer with --timeout SECONDS; klio job run shows what it is doing.",
      data: { ...result },
    });
  }
  const dead = outcomes.filter((o) => o.outcome === "dead-letter");
  if (dead.length > 0) {
    throw new KlioError("WAIT_DEAD_LETTER", `${dead.length} of ${published.length} became a dead letter`, {
      data: { ...result },
    });
  }
}

function shownStorage(directory: string): string {
  return relative(process.cwd(), `${directory}/.klio/storage`);
}

function missingTopic(topic: string, broker: BrokerChoice): KlioError {
  const [, project = "", , id = ""] = topic.split("/");
  const hint =
    broker.emulator === undefined
      ? `Create it: gcloud pubsub topics create ${id} --project ${project}. To work on this machine, start the job first: klio job run --direct-runner`
      : broker.session === undefined
        ? "Is this the right emulator? The local session of the job's project is used when PUBSUB_EMULATOR_HOST is unset: unset PUBSUB_EMULATOR_HOST"
        : "Start the job first, which creates it: klio job run --direct-runner";
  return new KlioError("TOPIC_MISSING", `there is no topic ${topic} in ${broker.where}`, { hint });
}
