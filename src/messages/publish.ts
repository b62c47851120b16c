import type { EffectiveConfig } from "@klio/config/effective";
import { encodeMessage, encodingAttribute, requestMessage } from "@klio/runtime/message";
import type { PubSubAdmin } from "../cloud/index.js";
import { KlioError } from "../errors.js";

export interface PublishOptions {
  readonly force: boolean;
  readonly ping: boolean;
  readonly topDown: boolean;
  readonly bottomUp: boolean;
  readonly nonKlio: boolean;
  /** Name of the event input to publish to; absent: the first that receives messages. */
  readonly input?: string;
}

export interface Published {
  readonly entity_id: string;
  readonly message_id: string;
}

export interface Failed {
  readonly entity_id: string;
  readonly error: string;
}

/** Refuses what cannot be meant. Throws a KlioError. */
export function checkPublishOptions(options: PublishOptions, config: EffectiveConfig): string {
  const { inputs } = config.job_config.events;
  const named = options.input === undefined ? undefined : inputs.find((i) => i.name === options.input);
  if (options.input !== undefined && named === undefined) {
    throw new KlioError("PUBLISH_INPUT", `${config.job_name} has no event input "${options.input}"`, {
      hint: `There are: ${inputs.map((i) => i.name).join(", ")}.`,
    });
  }
  if (options.topDown && options.bottomUp) {
    throw new KlioError("PUBLISH_MODE", "--top-down and --bottom-up exclude each other");
  }
  if (options.nonKlio && (options.force || options.ping || options.bottomUp)) {
    throw new KlioError("PUBLISH_MODE", "a non-Klio message has no place for --force, --ping or --bottom-up");
  }
  if (options.nonKlio && !config.job_config.allow_non_klio_messages) {
    throw new KlioError("NON_KLIO", `${config.job_name} takes no messages that are not Klio's`, {
      hint: "Set job_config.allow_non_klio_messages: true in klio-job.yaml and start the job again.",
    });
  }
  const input = named ?? inputs.find((i) => i.type === "pubsub");
  if (input?.type !== "pubsub") {
    throw new KlioError("NO_INPUT_TOPIC", `${config.job_name} receives no messages: its elements come from files`, {
      hint: "Run it: klio job run --direct-runner",
    });
  }
  const { topic } = input;
  if (topic === undefined) {
    throw new KlioError("NO_INPUT_TOPIC", `${config.job_name} names no topic to publish to`, {
      hint: "Add the topic of its subscription to job_config.events.inputs in klio-job.yaml.",
    });
  }
  return topic;
}

/** Publishes one message for each id, in order; a failure of one does not stop the others. */
export async function publishAll(
  ids: readonly string[],
  options: PublishOptions,
  config: EffectiveConfig,
  pubsub: PubSubAdmin,
  topic: string,
): Promise<{ readonly published: readonly Published[]; readonly failed: readonly Failed[] }> {
  const published: Published[] = [];
  const failed: Failed[] = [];
  for (const id of ids) {
    try {
      if (id === "") throw new Error("an element is not empty");
      const { data, attributes } = messageFor(id, options, config);
      published.push({ entity_id: id, message_id: await pubsub.publish(topic, data, attributes) });
    } catch (error) {
      failed.push({ entity_id: id, error: error instanceof Error ? error.message : String(error) });
    }
  }
  return { published, failed };
}

function messageFor(element: string, options: PublishOptions, config: EffectiveConfig) {
  if (options.nonKlio) return { data: Buffer.from(element), attributes: { [encodingAttribute]: "raw" } };
  const target = { jobName: config.job_name, gcpProject: config.pipeline_options.project };
  const message = requestMessage({
    element,
    force: options.force,
    ping: options.ping,
    version: config.version,
    ...(options.topDown ? {} : { target }),
  });
  return { data: encodeMessage(message), attributes: {} };
}
