import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DrivenWorker } from "../../../test/support/driven-worker.js";
import { buildFixture } from "../../../test/support/fixture-job.js";
import { SupervisorFrameSchema, type WorkerFrame, WorkerFrameSchema } from "../gen/worker_pb.js";
import { FrameParser } from "../src/protocol/frames.js";
import { encodeFrame } from "./support/library-frames.js";

interface Frame {
  readonly from: "supervisor" | "worker";
  readonly hex: string;
  readonly json: JsonObject;
}

interface Scenario {
  readonly name: string;
  /** The scenario that comes before. */
  readonly after?: string;
  /** Whether a real worker is asked. */
  readonly replay: boolean;
  readonly description: string;
  readonly frames: readonly Frame[];
}

interface Transcripts {
  readonly format: {
    /** Paths of what is another each time, e.g. `results.results[].durationUs`. */
    readonly varies: readonly string[];
  };
  readonly job: { readonly graph: unknown };
  readonly scenarios: readonly Scenario[];
}

const { format, job, scenarios } = JSON.parse(
  readFileSync(join(import.meta.dirname, "../../../spec/worker-transcripts.json"), "utf8"),
) as Transcripts;

const jobFile = `job_name: transcripts
pipeline_options: {project: a-project}
job_config:
  events:
    inputs: [{type: pubsub, topic: projects/a-project/topics/in-1, subscription: projects/a-project/subscriptions/in-1}]
    outputs: [{type: pubsub, topic: projects/a-project/topics/out-1}]
  workers: {limits: {places: 1}}
`;

const schemas = { supervisor: SupervisorFrameSchema, worker: WorkerFrameSchema } as const;

/** With the frames of the scenarios before. */
function wholeOf(scenario: Scenario): readonly Frame[] {
  const before = scenarios.find((s) => s.name === scenario.after);
  return [...(before === undefined ? [] : wholeOf(before)), ...scenario.frames];
}

describe.each(scenarios)("the frames of $name", ({ frames, description }) => {
  it("are what their JSON encodes to, and decode to their JSON", () => {
    expect(description).not.toBe("");
    expect(frames.length).toBeGreaterThan(0);
    for (const { from, hex, json } of frames) {
      const schema = schemas[from];
      expect(encodeFrame(schema, fromJson(schema, json)).toString("hex")).toBe(hex);
      const [body, ...more] = new FrameParser().push(Buffer.from(hex, "hex"));
      expect(more).toEqual([]);
      expect(toJson(schema, fromBinary(schema, body ?? Buffer.alloc(0)))).toEqual(json);
    }
  });
});

describe("a real worker", () => {
  let folder: string;
  let jobDir: string;
  let storage: StorageEmulator;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "klio-transcripts-"));
    storage = await startStorage({ root: join(folder, "storage") });
    mkdirSync(join(storage.root, "transcripts"));
    const object = `${storage.url}/upload/storage/v1/b/transcripts/o?uploadType=media&name=in/read-7`;
    expect((await fetch(object, { method: "POST", body: "hello" })).status).toBe(200);
    jobDir = await buildFixture("protocol", folder, jobFile);
  });

  afterAll(async () => {
    await storage.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it.each(scenarios.filter((s) => s.replay))("answers as written: $name", async (scenario) => {
    const worker = new DrivenWorker(folder, { STORAGE_EMULATOR_HOST: storage.url });
    try {
      await replay(worker, wholeOf(scenario), jobDir);
    } finally {
      await worker.close();
    }
  });

  it("says that it is ready with the digest of the graph as it is written", () => {
    const digest = createHash("sha256").update(JSON.stringify(job.graph)).digest("hex");
    const ready = scenarios.flatMap((s) => s.frames).find(({ json }) => json["ready"] !== undefined)?.json["ready"];
    expect(ready).toMatchObject({ graphDigest: digest });
  });
});

/** Plays the supervisor: sends each of its frames when all of the worker's before it have come, and compares those. */
async function replay(worker: DrivenWorker, frames: readonly Frame[], jobDir: string): Promise<void> {
  let heard = 0;
  const next = async (expected: JsonObject): Promise<JsonObject> => {
    for (;;) {
      await worker.until(() => worker.frames.length > heard, `the worker says ${JSON.stringify(expected)}`);
      const said = jsonOf(worker.frames[heard]);
      heard += 1;
      if (!isExtra(said) || sameKind(said, expected)) return said;
    }
  };
  for (const { from, json } of frames) {
    if (from === "worker") {
      expect(steady(await next(json))).toEqual(steady(json));
      continue;
    }
    const { frame } = fromJson(SupervisorFrameSchema, json);
    if (frame.case === "configure" && frame.value.jobDir === "/job") frame.value.jobDir = jobDir;
    if (frame.case !== undefined) worker.send(frame);
  }
  // It ends, so that nothing can come any more.
  worker.send({ case: "drain", value: { final: true } });
  await worker.until(() => worker.exited, "the worker ends");
  expect(worker.error).toBeUndefined();
  expect(
    worker.frames
      .slice(heard)
      .map(jsonOf)
      .filter((said) => !isExtra(said)),
  ).toEqual([]);
}

function jsonOf(frame: WorkerFrame["frame"] | undefined): JsonObject {
  return toJson(WorkerFrameSchema, create(WorkerFrameSchema, frame === undefined ? {} : { frame })) as JsonObject;
}

/** What may come besides what is written. */
function isExtra({ heartbeat, enter }: JsonObject): boolean {
  return heartbeat !== undefined || (enter !== undefined && (enter as JsonObject)["timeoutMs"] === undefined);
}

function sameKind(a: JsonObject, b: JsonObject): boolean {
  return Object.keys(a).join() === Object.keys(b).join();
}

/** The same with one value for all that varies. */
function steady(frame: JsonObject): JsonObject {
  const copy = structuredClone(frame);
  for (const path of format.varies) level([copy], path.split("."));
  return copy;
}

function level(objects: readonly JsonObject[], [key = "", ...rest]: readonly string[]): void {
  for (const object of objects) {
    const name = key.replace("[]", "");
    if (rest.length === 0) {
      object[name] = "varies";
      continue;
    }
    const inner = object[name] as JsonObject | JsonObject[] | undefined;
    if (inner !== undefined) level(Array.isArray(inner) ? inner : [inner], rest);
  }
}
