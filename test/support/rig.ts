import { copyFileSync, mkdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import type { PubSubEmulator, PubSubOptions, StorageEmulator } from "@klio/emulators";
import { childId, encodeMessage, requestMessage } from "@klio/runtime/message";
import { inputOf } from "../fixtures/jobs/faults/src/kinds.js";
import { type Expect, faultJob } from "./fault-job.js";
import { type Event, JobProcess } from "./job-process.js";
import { checkLedger } from "./ledger/check.js";
import { startNotedPubSub, startNotedStorage } from "./ledger/emulators.js";
import type { MessageEntry, StorageEntry } from "./ledger/entry.js";
import { Ledger } from "./ledger/ledger.js";
import type { Violation } from "./ledger/violation.js";
import { buildRigJob, project, type RigJobOptions } from "./rig-job.js";

export type { Event } from "./job-process.js";

process.env["METADATA_SERVER_DETECTION"] = "none";

export const root = join(import.meta.dirname, "../..");

/** Where a rig's broker is, whoever runs it. */
export interface RigBroker {
  readonly address: string;
  close(): Promise<void>;
}

export interface RigOptions extends Omit<RigJobOptions, "runtime" | "root"> {
  readonly environment?: Readonly<Record<string, string>>;
  readonly ordered?: boolean;
  /** Folder of the bundled runtime. Default: the one that ships. */
  readonly runtime?: string;
  /** What the job makes of an element. Default: as the fault job does. */
  readonly expect?: Expect;
  /** Default: embedded, in memory. */
  readonly broker?: (ledger: Ledger, folder: string) => Promise<RigBroker>;
  readonly pubsub?: PubSubOptions;
  /** Where the storage listens, which may go and come back there. Default: any free port. */
  readonly storagePort?: number;
  /** A command that runs the job's command, given as further arguments; for the job's folder of temporary files. */
  readonly wrapper?: (temporary: string) => readonly string[];
}

export interface PublishOptions {
  readonly force?: boolean;
  readonly orderingKey?: string;
  readonly payload?: Uint8Array;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Attribute `klio-id`: it is a replay. */
  readonly klioId?: string;
}

/** Attribute that tells of which element a message is. */
export const elementAttribute = "fault-element";
/** Its values hold no more bytes than this. */
const maxAttributeBytes = 1_024;

/** A job on real processes against the embedded emulators, with a ledger of everything that happened. */
export class Rig {
  readonly events: Event[] = [];
  readonly noise: string[] = [];
  readonly processes: JobProcess[] = [];
  /** How elements were published last. */
  readonly #requested = new Map<string, PublishOptions>();
  #keepsRunning = false;
  #closing: Promise<void> | undefined;

  private constructor(
    readonly folder: string,
    readonly ledger: Ledger,
    public broker: RigBroker,
    public storage: StorageEmulator,
    public client: PubSub,
    readonly build: string,
    readonly options: RigOptions,
  ) {}

  static async start(options: RigOptions): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), "klio-rig-"));
    const runtime = options.runtime ?? join(root, "dist/runtime");
    const { directory, begin } = await buildRigJob(folder, { ...options, runtime, root }).catch(
      async (error: unknown) => {
        await rm(folder, { recursive: true });
        throw error;
      },
    );
    const ledger = new Ledger(join(folder, "ledger.jsonl"));
    ledger.append(begin);
    const broker = await (options.broker?.(ledger, folder) ?? startNotedPubSub(ledger, options.pubsub));
    const port = options.storagePort ?? 0;
    const storage = await startNotedStorage(ledger, { root: join(folder, "storage"), port });
    for (const bucket of ["fault-in", "fault-out"]) mkdirSync(join(storage.root, bucket));
    const rig = new Rig(folder, ledger, broker, storage, clientOf(broker), directory, options);
    mkdirSync(rig.temporary());
    await rig.createResources();
    return rig;
  }

  /** The embedded broker. Throws when the rig has another. */
  get pubsub(): PubSubEmulator {
    if (!("setFaults" in this.broker)) throw new Error("the broker is not embedded");
    return this.broker as PubSubEmulator;
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

  // ---- the job

  /** Starts a supervisor, and resolves when it is ready, or cannot be. */
  async run(environment: NodeJS.ProcessEnv = {}): Promise<JobProcess> {
    const before = this.events.length;
    const started = this.#spawn(environment);
    const told = () => this.events.slice(before).some((e) => e.event === "ready" || e.event === "fatal");
    await this.until(() => told() || !started.alive, "the job is ready");
    return started;
  }

  #spawn(environment: NodeJS.ProcessEnv = {}): JobProcess {
    const runtime = this.options.runtime ?? join(root, "dist/runtime");
    const command = [process.execPath, join(runtime, "bin.js"), "run", this.build];
    const started: JobProcess = new JobProcess({
      life: this.processes.length + 1,
      ledger: this.ledger,
      command: [...(this.options.wrapper?.(this.temporary()) ?? []), ...command],
      environment: {
        ...process.env,
        PUBSUB_EMULATOR_HOST: this.broker.address,
        STORAGE_EMULATOR_HOST: this.storage.url,
        FAULT_FOLDER: this.folder,
        FAULT_LEDGER: this.ledger.path,
        TMPDIR: this.temporary(),
        ...this.options.environment,
        ...environment,
      },
      cwd: this.folder,
      temporary: this.temporary(),
      others: () => this.processes.filter((p) => p.alive && p !== started).map((p) => p.pid),
      onEvent: (event) => this.events.push(event),
      onNoise: (line) => this.noise.push(line),
    });
    this.processes.push(started);
    void started.exited.then(() => {
      if (this.#keepsRunning && started.killed) this.#spawn();
    });
    return started;
  }

  /** Another supervisor is started whenever one is killed, as whoever runs the job would do. */
  keepRunning(): void {
    this.#keepsRunning = true;
  }

  /** The supervisor that was started last. */
  get process(): JobProcess {
    const last = this.processes.at(-1);
    if (last === undefined) throw new Error("the job was not started");
    return last;
  }

  /** Process ids of the workers that live now. */
  workers(): number[] {
    return this.processes.at(-1)?.workers() ?? [];
  }

  /** Stops the job in order, and resolves to its exit code. */
  stop(signal: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<number | null> {
    return this.process.drain(signal);
  }

  temporary(): string {
    return join(this.folder, "tmp");
  }

  // ---- messages and objects

  async publish(elements: readonly string[], more: PublishOptions = {}): Promise<string[]> {
    const topic = this.client.topic("fault-in", { messageOrdering: more.orderingKey !== undefined });
    for (const element of elements) this.#requested.set(element, more);
    return Promise.all(
      elements.map(async (element) => {
        const told = Buffer.byteLength(element) <= maxAttributeBytes ? { [elementAttribute]: element } : {};
        const messageId = await topic.publishMessage({
          data: requestBytes(element, more),
          attributes: {
            ...told,
            ...(more.klioId === undefined ? {} : { "klio-id": more.klioId }),
            ...more.attributes,
          },
          ...(more.orderingKey === undefined ? {} : { orderingKey: more.orderingKey }),
        });
        this.#noteRequest(messageId, element, more);
        return messageId;
      }),
    );
  }

  /** Publishes bytes as they are. `hopeless`: they are no KlioMessage. */
  async publishRaw(data: Buffer, hopeless = true): Promise<string> {
    const messageId = await this.client.topic("fault-in").publishMessage({ data, attributes: { raw: "yes" } });
    const more = hopeless ? { hopeless } : {};
    this.#noteSent(messageId, { klioId: messageId, element: "", force: false, objects: [], outputs: [], ...more });
    return messageId;
  }

  #noteRequest(messageId: string, element: string, more: PublishOptions): void {
    const klioId = more.klioId ?? messageId;
    const expected = (this.options.expect ?? faultJob)(element, klioId);
    this.#noteSent(messageId, { klioId, element, force: more.force ?? false, ...expected });
  }

  /** A publisher that loses a reply publishes again: what was published first is known from the broker alone. */
  #noteUntold(): void {
    const sent = this.ledger.entries().filter((e) => e.source === "sent");
    const told = new Set(sent.map((e) => e.messageId));
    for (const { messageId, attributes } of this.of("publish", "fault-in")) {
      const element = attributes[elementAttribute] ?? "";
      const more = this.#requested.get(element);
      const klioId = attributes["klio-id"];
      if (told.has(messageId) || more === undefined) continue;
      this.#noteRequest(messageId, element, { ...more, ...(klioId === undefined ? {} : { klioId }) });
    }
  }

  #noteSent(messageId: string, sent: { klioId: string; element: string; force: boolean } & ReturnType<Expect>): void {
    const passThrough = childId(sent.klioId, "fault-job", "input", "pass-through", 0);
    this.ledger.append({ source: "sent", messageId, passThrough, ...sent });
  }

  /** Puts the input objects of elements that read one. */
  async putInputs(elements: readonly string[]): Promise<void> {
    for (const element of elements) await this.putInput(`job/${element}`, inputOf(element));
  }

  async putInput(object: string, data: Buffer | string): Promise<void> {
    const url = `${this.storage.url}/upload/storage/v1/b/fault-in/o?uploadType=media&name=${encodeURIComponent(object)}`;
    const response = await fetch(url, { method: "POST", body: typeof data === "string" ? data : new Uint8Array(data) });
    if (!response.ok) throw new Error(await response.text());
  }

  /** Bytes of an output object, or undefined. */
  async output(object: string): Promise<Buffer | undefined> {
    const url = `${this.storage.url}/storage/v1/b/fault-out/o/${encodeURIComponent(object)}?alt=media`;
    const response = await fetch(url);
    return response.status === 404 ? undefined : Buffer.from(await response.arrayBuffer());
  }

  // ---- what happened

  outcomes(outcome?: string): Event[] {
    return this.events.filter((e) => e.event === "outcome" && (outcome === undefined || e["outcome"] === outcome));
  }

  /** What the broker did of a kind with a topic or subscription. */
  of(kind: MessageEntry["kind"], resource: string): MessageEntry[] {
    const entries = this.ledger.entries().filter((e) => e.source === "broker");
    return entries.filter((e): e is MessageEntry & { time: number } => e.kind === kind && e.resource === resource);
  }

  count(kind: MessageEntry["kind"], resource: string, messageId?: string): number {
    if (messageId === undefined) return this.ledger.count(`broker/${kind}/${resource}`);
    return this.of(kind, resource).filter((e) => e.messageId === messageId).length;
  }

  acknowledged(): number {
    return this.count("acknowledge", "fault-in-job");
  }

  /** Counts the faults that strike after this call. */
  faultsFromNow(): () => number {
    const before = this.ledger.entries().length;
    return () => {
      const since = this.ledger.entries().slice(before);
      return since.filter((e) => e.source === "fault").length;
    };
  }

  /** Names of output objects, once for each time they were written. */
  writes(): string[] {
    const written = (e: StorageEntry) => e.kind === "commit" && e.bucket === "fault-out";
    const entries = this.ledger.entries().filter((e) => e.source === "storage");
    return entries.filter(written).map((e) => e.name);
  }

  /** What the ledger tells of broken promises. */
  violations(): Violation[] {
    this.#noteUntold();
    return checkLedger(this.ledger.entries());
  }

  /** The same where there must be none: when there are any the ledger is kept, and its path printed. */
  check(): Violation[] {
    const violations = this.violations();
    if (violations.length > 0) {
      const kept = join(tmpdir(), `klio-ledger-${Date.now()}.jsonl`);
      copyFileSync(this.ledger.path, kept);
      console.log(`${violations.length} violations; the ledger: ${kept}`);
    }
    return violations;
  }

  /** Waits until the job has said what became of so many messages. */
  untilDone(messages: number, ms?: number): Promise<void> {
    const done = () => this.outcomes().filter((o) => o["outcome"] !== "given-back").length;
    return this.until(() => this.acknowledged() >= messages && done() >= messages, `${messages} messages done`, ms);
  }

  /** Waits until each of these messages is acknowledged, however often others, or they, were. */
  async untilAcknowledged(messageIds: readonly string[], ms?: number): Promise<void> {
    const open = new Set(messageIds);
    let seen = 0;
    const done = () => {
      const entries = this.ledger.entries();
      for (; seen < entries.length; seen += 1) {
        const entry = entries[seen];
        if (entry?.source === "broker" && entry.kind === "acknowledge") open.delete(entry.messageId);
      }
      return open.size === 0;
    };
    await this.until(done, () => `${open.size} of ${messageIds.length} messages done`, ms);
  }

  async until(condition: () => boolean, what: string | (() => string), ms = 60_000): Promise<void> {
    const end = Date.now() + ms;
    while (!condition()) {
      if (Date.now() > end) {
        const tail = [...this.noise.slice(-5), ...this.events.slice(-5).map((e) => JSON.stringify(e).slice(0, 400))];
        throw new Error(`waited in vain for: ${typeof what === "string" ? what : what()}\n${tail.join("\n")}`);
      }
      await sleep(20);
    }
  }

  /** A client of the broker as it is now. */
  async reconnect(): Promise<void> {
    await this.client.close();
    this.client = clientOf(this.broker);
  }

  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    this.#keepsRunning = false;
    await Promise.all(this.processes.map((p) => p.end()));
    await this.client.close();
    await Promise.all([this.broker.close(), this.storage.close()]);
    this.ledger.close();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function clientOf({ address }: RigBroker): PubSub {
  return new PubSub({ projectId: project, apiEndpoint: address, emulatorMode: true });
}

function requestBytes(element: string, more: PublishOptions): Uint8Array {
  const message = requestMessage({ element, force: more.force ?? false });
  if (message.data !== undefined && more.payload !== undefined) message.data.payload = more.payload;
  return encodeMessage(message);
}
