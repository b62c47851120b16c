import { readdirSync, statSync } from "node:fs";
import { join, relative, resolve, sep } from "node:path";
import { openPubSub, openStorage } from "../cloud/index.js";
import { KlioError } from "../errors.js";
import type { Seed } from "./load.js";

export interface Planted {
  readonly kind: "topic" | "subscription" | "bucket" | "object";
  readonly name: string;
  readonly state: "created" | "existed";
}

interface Emulators {
  /** `host:port`. */
  readonly pubsub: string;
  /** `http://host:port`. */
  readonly storage: string;
}

/** Creates what a seed names; what exists stays as it is, but for files, which are written anew. Throws a KlioError. */
export async function plant(seed: Seed, project: string, emulators: Emulators): Promise<Planted[]> {
  const planted: Planted[] = [];
  const add = async (kind: Planted["kind"], name: string, work: Promise<Planted["state"]>) => {
    try {
      planted.push({ kind, name, state: await work });
    } catch (error) {
      const said = (error as Error).message.replace(/^\d+ [A-Z_]+: /, "");
      throw new KlioError("SEED_REFUSED", `${kind} ${name}: ${said}`, {
        hint: "Mend the seed file, then try again: what exists by now stays as it is.",
        cause: error,
      });
    }
  };
  const name = (collection: string, id: string) => (id.includes("/") ? id : `projects/${project}/${collection}/${id}`);
  const pubsub = await openPubSub(emulators.pubsub);
  try {
    for (const topic of seed.topics) {
      await add("topic", topic.name, pubsub.createTopic({ ...camel(topic), name: name("topics", topic.name) }));
    }
    for (const subscription of seed.subscriptions) {
      const resource = {
        ...camel(subscription),
        name: name("subscriptions", subscription.name),
        topic: name("topics", subscription.topic),
        ...deadLetterPolicy(subscription["dead_letter_policy"], (id) => name("topics", id)),
      };
      await add("subscription", subscription.name, pubsub.createSubscriptionOf(resource));
    }
  } finally {
    await pubsub.close();
  }
  const storage = await openStorage(project, emulators.storage);
  for (const bucket of seed.buckets) await add("bucket", bucket, storage.createBucket(bucket));
  for (const { from, bucket, to = "" } of seed.files) {
    const path = resolve(seed.directory, from);
    for (const [file, object] of objectsOf(path, to)) {
      await add(
        "object",
        `${bucket}/${object}`,
        storage.upload(bucket, object, file).then(() => "created" as const),
      );
    }
  }
  return planted;
}

/** Files and the names of their objects. */
function objectsOf(path: string, to: string): [string, string][] {
  if (!statSync(path).isDirectory()) return [[path, to === "" ? (path.split(sep).at(-1) ?? path) : to]];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => statSync(file).isFile())
    .map((file) => {
      return [file, to + relative(path, file).split(sep).join("/")];
    });
}

function deadLetterPolicy(policy: unknown, topicName: (id: string) => string) {
  if (typeof policy !== "object" || policy === null || !("dead_letter_topic" in policy)) return {};
  return { deadLetterPolicy: { ...camel(policy), deadLetterTopic: topicName(String(policy.dead_letter_topic)) } };
}

/** Names as Google's Node client has them, and durations as it takes them. */
function camel(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => {
      const name = key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
      if (key === "labels") return [name, inner];
      if (/(?:_duration|_backoff)$/.test(key)) return [name, duration(String(inner))];
      return [name, typeof inner === "object" && inner !== null ? camel(inner) : inner];
    }),
  );
}

function duration(text: string): { seconds: number; nanos: number } {
  const seconds = Number.parseFloat(text);
  return { seconds: Math.floor(seconds), nanos: Math.round((seconds % 1) * 1e9) };
}
