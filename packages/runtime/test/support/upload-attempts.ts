import { loadConfig } from "@klio/config";
import { realClock } from "../../src/clock.js";
import { type AttemptResult, runAttempt } from "../../src/engine/attempt.js";
import { Cancellation } from "../../src/engine/cancellation.js";
import { layOut } from "../../src/engine/graph.js";
import { defineJob, defineTransform } from "../../src/index.js";
import { requestMessage } from "../../src/message/index.js";
import { GenerationMismatchError, type ObjectState, type ObjectStore } from "../../src/objects/store.js";
import type { Request } from "../../src/objects/upload-rule.js";
import { type Attempt, type AttemptEnd, type Ending, sendFirst } from "./upload-world.js";

const { signal } = new AbortController();

const jobFile = `job_name: model
pipeline_options: {project: a-project}
job_config:
  events:
    inputs: [{type: pubsub, topic: projects/a-project/topics/in-1, subscription: projects/a-project/subscriptions/in-1}]
    outputs: [{type: pubsub, topic: projects/a-project/topics/out-1}]
  data:
    outputs: [{type: gcs, location: gs://bucket}]
`;

/** klio's own attempt, by the real engine: a job that writes objects of these names, one after the other, for "a". */
export async function klioWriting(names: readonly string[]): Promise<Attempt> {
  const { config, diagnostics } = loadConfig({ file: "klio-job.yaml", text: jobFile });
  if (config === undefined) throw new Error(JSON.stringify(diagnostics));
  const write = defineTransform("write", {
    async process(item, ctx) {
      for (const name of names) await ctx.upload(item, `by ${ctx.klioId}`, { suffix: name.slice("a".length) });
      return item.with("done");
    },
  });
  const graph = await layOut(defineJob({ build: (input) => input.apply(write) }), config);
  const unneeded = () => Promise.reject(new Error("nothing needs it"));
  const engine = {
    config,
    graph,
    states: new Map<string, unknown>(),
    temporaryFolder: unneeded,
    draining: () => false,
    clock: realClock,
    limits: { acquire: unneeded },
    backends: [],
    abandonAfterMs: undefined,
  };
  const sink = { log: ignore, metric: ignore, enter: ignore, leave: ignore };
  return async (store, { id, force }) => {
    const message = requestMessage({ element: "a", force });
    const result = await runAttempt(
      { ...engine, store },
      { klioId: id, input: "pubsub0", attempt: 1, message, cancellation: new Cancellation(), trace: undefined },
      sink,
    );
    return endOf(result);
  };
}

function ignore(): void {
  // What an attempt logs and reports is not looked at here.
}

function endOf(result: AttemptResult): AttemptEnd {
  if (result.kind === "failed") {
    if (result.failure.kind === "overtaken") return { again: true };
    throw new Error(`${result.failure.kind}: ${result.failure.stack}`);
  }
  const sends = result.kind === "passed-through" ? "pass-through" : result.outputs.length > 0 ? "outputs" : "nothing";
  return { again: false, sends, writes: result.objects.map((o) => o.write) };
}

/** What a rule for one object consists of. */
export interface Rule {
  readonly isOwn: (state: ObjectState | undefined, request: Request) => boolean;
  /** What an attempt sends that leaves what is there. */
  readonly sendsOfKept: "pass-through" | "nothing";
  /** The generation to write over; `seen` is what the attempt found when it began. */
  readonly generation: (seen: ObjectState | undefined, store: ObjectStore) => Promise<string>;
  readonly by: (seen: ObjectState | undefined, request: Request) => readonly string[];
  /** Whether a 412 was the answer to a repetition of its own. */
  readonly refusedByOwn: (store: ObjectStore, request: Request) => Promise<boolean>;
  readonly ending: Ending;
}

const path = { bucket: "bucket", name: "a" };

/** The rule once more, in parts, of which a test takes out one. */
export const rightRule: Rule = {
  isOwn: (state, { id }) => state?.by.includes(id) === true,
  sendsOfKept: "pass-through",
  generation: (seen) => Promise.resolve(seen?.generation ?? "0"),
  by: (seen, { id }) => [id, ...(seen?.by ?? [])],
  refusedByOwn: async (store, request) => rightRule.isOwn(await store.stat(path, signal), request),
  ending: sendFirst,
};

export function attemptBy(rule: Rule): Attempt {
  return async (store, request) => {
    const seen = await store.stat(path, signal);
    if (rule.isOwn(seen, request)) return { again: false, sends: "outputs", writes: ["adopted"] };
    if (seen !== undefined && !request.force) return { again: false, sends: rule.sendsOfKept, writes: [] };
    const ifGenerationMatch = await rule.generation(seen, store);
    const options = { ifGenerationMatch, by: rule.by(seen, request), contentType: "text/plain" };
    try {
      await store.write(path, "x", options, signal);
      return { again: false, sends: "outputs", writes: ["uploaded"] };
    } catch (error) {
      if (!(error instanceof GenerationMismatchError)) throw error;
      const own = await rule.refusedByOwn(store, request);
      return own ? { again: false, sends: "outputs", writes: ["adopted"] } : { again: true };
    }
  };
}

/** What there is when the data is ready, however long after the attempt began. */
export async function generationByThen(_seen: ObjectState | undefined, store: ObjectStore): Promise<string> {
  return (await store.stat(path, signal))?.generation ?? "0";
}
