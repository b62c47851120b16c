import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PubSub } from "@google-cloud/pubsub";
import { Child, program } from "./child.js";

export const project = "bench-project";
export const topicName = (id: string) => `projects/${project}/topics/${id}`;
export const subscriptionName = (id: string) => `projects/${project}/subscriptions/${id}`;

const longestMs = 60 * 60_000;
/** Messages that a client is given to publish at once. */
const atOnce = 5_000;

const folders = new Set<string>();
process.once("exit", () => {
  for (const folder of folders) removeFolder(folder);
});

function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  folders.delete(folder);
}

/** Both emulators in a process of their own, and a client of them. */
export class Emulators {
  private constructor(
    readonly folder: string,
    readonly child: Child,
    readonly questions: Questions,
    readonly client: PubSub,
    /** What programs are to be given. */
    readonly env: { readonly PUBSUB_EMULATOR_HOST: string; readonly STORAGE_EMULATOR_HOST: string },
  ) {}

  /** With `onDisk`, messages are kept in a folder as the local session does, else in memory. */
  static async start({ onDisk = false } = {}): Promise<Emulators> {
    const folder = mkdtempSync(join(tmpdir(), "klio-bench-"));
    folders.add(folder);
    const args = [program("emulators-process"), join(folder, "objects")];
    const child = new Child({ args: onDisk ? [...args, join(folder, "messages")] : args, ipc: true });
    const questions = new Questions(child);
    const { pubsub, storage } = await questions.ask<{ pubsub: string; storage: string }>();
    process.env["METADATA_SERVER_DETECTION"] = "none";
    const client = new PubSub({ projectId: project, apiEndpoint: pubsub, emulatorMode: true });
    const env = { PUBSUB_EMULATOR_HOST: pubsub, STORAGE_EMULATOR_HOST: storage };
    return new Emulators(folder, child, questions, client, env);
  }

  /** Folder of a bucket, made when it is not there: its files are objects. */
  bucket(name: string): string {
    const bucket = join(this.folder, "objects", name);
    mkdirSync(bucket, { recursive: true });
    return bucket;
  }

  /** Uploads an object in one request. */
  async upload(bucket: string, name: string, body: Buffer | AsyncIterable<Uint8Array>): Promise<void> {
    const url = `${this.env.STORAGE_EMULATOR_HOST}/upload/storage/v1/b/${bucket}/o?uploadType=media&name=${name}`;
    const { status } = await fetch(url, { method: "POST", body, duplex: "half" });
    if (status !== 200) throw new Error(`uploading ${name}: ${status}`);
  }

  /** Makes the topics `id-in`, with the subscription `id`, and `id-out`. */
  async createQueue(id: string): Promise<void> {
    const [input] = await this.client.createTopic(`${id}-in`);
    await this.client.createTopic(`${id}-out`);
    await input.createSubscription(id, { ackDeadlineSeconds: 600 });
  }

  /** Publishes what `data` makes for each number below `count` to `id-in`. */
  async publish(id: string, count: number, data: (i: number) => Buffer): Promise<void> {
    const topic = this.client.topic(`${id}-in`, { batching: { maxMessages: 1_000 } });
    for (let from = 0; from < count; from += atOnce) {
      const length = Math.min(atOnce, count - from);
      await Promise.all(Array.from({ length }, (_, i) => topic.publishMessage({ data: data(from + i) })));
    }
  }

  /** Lets Cloud Storage hold every answer back for so long from now on. */
  async delayStorage(ms: number): Promise<void> {
    await this.questions.ask(ms);
  }

  /** How often something happened so far, e.g. `acknowledge` to a subscription or `publish` to a topic. */
  async count(kind: "acknowledge" | "publish", resource: string): Promise<number> {
    const counts = await this.questions.ask<Readonly<Record<string, number>>>("count");
    return counts[`${kind} ${resource}`] ?? 0;
  }

  /**
   * Resolves when something has happened so often, to how often. Rejects when the program that does it ends, or takes longer than an
   * hour. `watch` is called on the way.
   */
  async until(
    kind: "acknowledge" | "publish",
    resource: string,
    wanted: number,
    program: Child,
    watch?: (count: number) => void,
  ): Promise<number> {
    const end = Date.now() + longestMs;
    for (;;) {
      const count = await this.count(kind, resource);
      watch?.(count);
      if (count >= wanted) return count;
      const { exitCode, signalCode } = program.process;
      if (exitCode !== null || signalCode !== null)
        throw new Error(`${resource}: the program ended with ${count} done`);
      if (Date.now() > end) throw new Error(`${resource}: ${count} of ${wanted} were done in an hour`);
      await sleep(10);
    }
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.child.end();
    removeFolder(this.folder);
  }
}

/** Asks a child that answers each message with one. One question at a time. */
class Questions {
  #waiting: { resolve(answer: unknown): void; reject(error: Error): void } | undefined;

  constructor(readonly child: Child) {
    child.process.on("message", (answer) => this.#waiting?.resolve(answer));
    const over = () => this.#waiting?.reject(new Error("the emulators ended"));
    child.ended.then(over, over);
  }

  /** The answer to `question`; without one, what the child says by itself. */
  ask<T>(question?: string | number): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting = { resolve: resolve, reject };
      if (question !== undefined) this.child.process.send(question);
    });
  }
}
