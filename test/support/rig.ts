import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { loadConfig } from "@klio/config";
import {
  type PubSubEmulator,
  type PubSubEvent,
  startPubSub,
  startStorage,
  type StorageEmulator,
} from "@klio/emulators";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { buildJob } from "../../src/jobs/index.js";

process.env["METADATA_SERVER_DETECTION"] = "none";

export const root = join(import.meta.dirname, "../..");
const project = "fault-project";
const name = (kind: "topics" | "subscriptions", id: string) => `projects/${project}/${kind}/${id}`;

export interface Event {
  readonly event: string;
  readonly [key: string]: unknown;
}

export interface RigOptions {
  /** A job directory: its `src` is compiled. */
  readonly job: string;
  /** YAML of `delivery`, `workers` and the job's own keys, each line indented by two. */
  readonly jobConfig?: string;
  readonly inputSuffix?: string;
  readonly outputSuffix?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly checkInput?: boolean;
  readonly ordered?: boolean;
}

/** A job on real processes against the embedded emulators, with a ledger of everything that happened. */
export class Rig {
  readonly ledger: PubSubEvent[] = [];
  readonly events: Event[] = [];
  readonly noise: string[] = [];
  process: ChildProcess | undefined;

  private constructor(
    readonly folder: string,
    public pubsub: PubSubEmulator,
    public storage: StorageEmulator,
    /** Name of each output object, once for each time it was written. */
    readonly writes: string[],
    readonly client: PubSub,
    readonly build: string,
    readonly options: RigOptions,
  ) {}

  static async start(options: RigOptions): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), "klio-rig-"));
    const ledger: PubSubEvent[] = [];
    const pubsub = await startPubSub({ observe: (event) => ledger.push(event) });
    const writes: string[] = [];
    const storage = await startStorage({
      root: join(folder, "storage"),
      observe: ({ bucket, name: object }) => {
        if (bucket === "fault-out") writes.push(object);
      },
    });
    const client = new PubSub({ projectId: project, apiEndpoint: pubsub.address, emulatorMode: true });
    for (const bucket of ["fault-in", "fault-out"]) mkdirSync(join(storage.root, bucket));
    const built = await build(folder, options);
    const rig = new Rig(folder, pubsub, storage, writes, client, built, options);
    Object.assign(rig, { ledger });
    await rig.createResources();
    return rig;
  }

  async createResources(): Promise<void> {
    for (const topic of ["in", "out", "dead"]) await this.client.createTopic(`fault-${topic}`);
    await this.client.topic("fault-in").createSubscription("fault-in-job", {
      ackDeadlineSeconds: 10,
      enableMessageOrdering: this.options.ordered ?? false,
    });
    for (const topic of ["out", "dead"])
      await this.client.topic(`fault-${topic}`).createSubscription(`fault-${topic}-sub`);
  }

  async run(): Promise<void> {
    const runtime = join(root, "dist/runtime/bin.js");
    const child = spawn(process.execPath, [runtime, "run", this.build], {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        ...process.env,
        PUBSUB_EMULATOR_HOST: this.pubsub.address,
        STORAGE_EMULATOR_HOST: this.storage.url,
        FAULT_FOLDER: this.folder,
        TMPDIR: this.temporary(),
        ...this.options.environment,
      },
    });
    this.process = child;
    createInterface({ input: child.stdout }).on("line", (line) => this.events.push(JSON.parse(line) as Event));
    createInterface({ input: child.stderr }).on("line", (line) => this.noise.push(line));
    const before = this.events.length;
    const told = () => this.events.slice(before).some((e) => e.event === "ready" || e.event === "fatal");
    await this.until(told, "the job is ready");
  }

  temporary(): string {
    const path = join(this.folder, "tmp");
    mkdirSync(path, { recursive: true });
    return path;
  }

  async publish(
    elements: readonly string[],
    more: {
      force?: boolean;
      orderingKey?: string;
      payload?: Uint8Array;
      attributes?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<string[]> {
    const topic = this.client.topic("fault-in", { messageOrdering: more.orderingKey !== undefined });
    return Promise.all(
      elements.map((element) =>
        topic.publishMessage({
          data: requestBytes(element, more),
          attributes: { ...more.attributes },
          ...(more.orderingKey === undefined ? {} : { orderingKey: more.orderingKey }),
        }),
      ),
    );
  }

  async publishRaw(data: Buffer): Promise<string> {
    return this.client.topic("fault-in").publishMessage({ data, attributes: { raw: "yes" } });
  }

  putInput(object: string, data: Buffer | string): Promise<void> {
    return this.#storagePut("fault-in", object, data);
  }

  async #storagePut(bucket: string, object: string, data: Buffer | string): Promise<void> {
    const url = `${this.storage.url}/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(object)}`;
    const response = await fetch(url, { method: "POST", body: typeof data === "string" ? data : new Uint8Array(data) });
    if (!response.ok) throw new Error(await response.text());
  }

  /** Bytes of an output object, or undefined. */
  async output(object: string): Promise<Buffer | undefined> {
    const url = `${this.storage.url}/storage/v1/b/fault-out/o/${encodeURIComponent(object)}?alt=media`;
    const response = await fetch(url);
    return response.status === 404 ? undefined : Buffer.from(await response.arrayBuffer());
  }

  outcomes(outcome?: string): Event[] {
    return this.events.filter((e) => e.event === "outcome" && (outcome === undefined || e["outcome"] === outcome));
  }

  count(kind: PubSubEvent["kind"], resource: string, messageId?: string): number {
    return this.of(kind, resource).filter((e) => messageId === undefined || e.messageId === messageId).length;
  }

  of(kind: PubSubEvent["kind"], resource: string): PubSubEvent[] {
    return this.ledger.filter((e) => e.kind === kind && e.resource.endsWith(`/${resource}`));
  }

  acknowledged(): number {
    return this.count("acknowledge", "fault-in-job");
  }

  /** Waits until the job has said what became of so many messages. */
  untilDone(messages: number, ms?: number): Promise<void> {
    const done = () => this.outcomes().filter((o) => o["outcome"] !== "given-back").length;
    return this.until(() => done() >= messages && this.acknowledged() >= messages, `${messages} messages done`, ms);
  }

  /** Process ids of the workers that live now. */
  workers(): number[] {
    const pid = this.process?.pid ?? 0;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return children === "" ? [] : children.split(" ").map(Number);
  }

  async until(condition: () => boolean, what: string, ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    while (!condition()) {
      if (Date.now() > end) {
        const tail = [...this.noise.slice(-5), ...this.events.slice(-5).map((e) => JSON.stringify(e).slice(0, 400))];
        throw new Error(`waited in vain for: ${what}\n${tail.join("\n")}`);
      }
      await sleep(20);
    }
  }

  /** Sends a signal and resolves to the exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const child = this.process;
    if (child === undefined) return null;
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
    const exited = new Promise<number | null>((resolve) => child.once("close", resolve));
    child.kill(signal);
    return exited;
  }

  async close(): Promise<void> {
    await this.stop("SIGKILL");
    await this.client.close();
    await Promise.all([this.pubsub.close(), this.storage.close()]);
    await sleep(300); // workers of a killed supervisor end within this
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function build(folder: string, options: RigOptions): Promise<string> {
  const text = `job_name: fault-job
pipeline_options:
  project: ${project}
job_config:
${options.jobConfig ?? "  delivery: {attempts: 3, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}"}
  events:
    inputs: [{type: pubsub, topic: ${name("topics", "fault-in")}, subscription: ${name("subscriptions", "fault-in-job")}}]
    outputs: [{type: pubsub, topic: ${name("topics", "fault-out")}}]
  data:
    inputs: [{type: gcs, location: gs://fault-in/job, file_suffix: "${options.inputSuffix ?? ""}", skip_klio_existence_check: ${!(options.checkInput ?? false)}}]
    outputs: [{type: gcs, location: gs://fault-out/job, file_suffix: "${options.outputSuffix ?? ""}"}]
`.replace("DEAD", name("topics", "fault-dead"));
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text });
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  const directory = join(folder, "job");
  const { cp } = await import("node:fs/promises");
  await cp(join(options.job, "src"), join(directory, "src"), { recursive: true });
  const { symlink } = await import("node:fs/promises");
  await symlink(join(root, "node_modules"), join(directory, "node_modules"));
  const job = { directory, configFile: join(directory, "klio-job.yaml"), config, warnings: [] };
  return (await buildJob(job, join(root, "dist/runtime"))).directory;
}

function requestBytes(element: string, more: { force?: boolean; payload?: Uint8Array }): Uint8Array {
  const message = requestMessage({ element, force: more.force ?? false });
  if (message.data !== undefined && more.payload !== undefined) message.data.payload = more.payload;
  return encodeMessage(message);
}
