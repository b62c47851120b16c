import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { encodeMessage, requestMessage } from "@klio/runtime/message";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Failure_Kind, SupervisorFrameSchema } from "../../packages/runtime/gen/worker_pb.js";
import { encodeFrame } from "../../packages/runtime/test/support/library-frames.js";
import { DrivenWorker, type Frame } from "../support/driven-worker.js";
import { buildFixture } from "../support/fixture-job.js";
import { memoryOf } from "../support/memory.js";
import { seededRandom } from "../support/random.js";

const soak = process.env["KLIO_SOAK"] !== undefined;
const seed = Number(process.env["KLIO_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
console.log(`seed ${seed}`);

/** In the limit that the job's inputs named "gate" need. */
const places = 2;
let folder: string;
let jobDir: string;
let worker: DrivenWorker | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "klio-protocol-"));
  const id = (kind: string, name: string) => `projects/a-project/${kind}/${name}`;
  jobDir = await buildFixture(
    "protocol",
    folder,
    `job_name: protocol
pipeline_options: {project: a-project}
job_config:
  events:
    inputs: [{type: pubsub, topic: ${id("topics", "in-1")}, subscription: ${id("subscriptions", "in-1")}}]
    outputs: [{type: pubsub, topic: ${id("topics", "out-1")}}]
  data:
    outputs: [{type: file, location: ${join(folder, "out")}}]
  workers: {limits: {places: ${places}}}
`,
  );
});

afterEach(async () => {
  await worker?.close();
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function configure(concurrency: number): Frame {
  const configJson = readFileSync(join(jobDir, "effective.json"), "utf8");
  return { case: "configure", value: { configJson, jobDir, concurrency, heartbeatMs: 100 } };
}

const kinds = [
  "ok",
  "gate",
  "gate",
  "brief",
  "skip",
  "throw",
  "permanent",
  "wait",
  "nap-10",
  "log",
  "count",
  "many",
  "upload",
  "drain",
];

/** A supervisor that keeps to the protocol and does whatever it allows, in an order of chance. */
class ChanceSupervisor {
  /** Inputs that were given, by id, with their elements. */
  readonly given = new Map<bigint, string>();
  /** Tickets that have a place. */
  readonly #granted = new Set<number>();
  readonly #bytes: Buffer[] = [];
  #draining = false;

  constructor(
    readonly worker: DrivenWorker,
    readonly credit: number,
    readonly random: () => number,
  ) {}

  below(n: number): number {
    return Math.floor(this.random() * n);
  }

  answered(): Set<bigint> {
    return new Set(this.worker.results().map((r) => r.id));
  }

  outstanding(): bigint[] {
    const answered = this.answered();
    return [...this.given.keys()].filter((id) => !answered.has(id));
  }

  async act(): Promise<void> {
    const dice = this.random();
    if (dice < 0.55) this.#bundle();
    else if (dice < 0.75) this.#cancelSome();
    else if (dice < 0.85) this.grantNext();
    else if (dice < 0.86) this.#send({ case: "grant", value: { ticket: 2 ** 31 + this.below(2 ** 31) } });
    else await sleep(this.below(12));
    this.#flush(dice < 0.5);
  }

  /** Lets the next one in, if there is room. */
  grantNext(): void {
    const { asked, released } = ticketsOf(this.worker);
    const held = [...this.#granted].filter((ticket) => !released.includes(ticket));
    const next = asked.find((ticket) => !released.includes(ticket) && !this.#granted.has(ticket));
    if (next === undefined || held.length >= places) return;
    this.#granted.add(next);
    this.#send({ case: "grant", value: { ticket: next } });
    this.#flush(true);
  }

  drain(): void {
    this.#draining = true;
    this.#send({ case: "drain", value: {} });
    this.#flush(true);
  }

  cancel(id: bigint): void {
    this.#send({ case: "cancel", value: { id, reason: "by chance" } });
    this.#flush(true);
  }

  #bundle(): void {
    const room = this.credit - this.outstanding().length;
    // A supervisor that stops gives out nothing more.
    if (room <= 0 || this.#draining) return;
    const inputs = Array.from({ length: 1 + this.below(room) }, () => {
      const kind = kinds[this.below(kinds.length)] ?? "ok";
      const id = BigInt(Math.floor(this.random() * 2 ** 53)) << 11n;
      const element = `${kind}-${id}`;
      this.given.set(id, element);
      const message = requestMessage({ element, force: this.random() < 0.2 });
      if (message.data !== undefined) message.data.payload = Buffer.alloc(this.below(20_000), "p");
      const timeoutMs = kind === "wait" && this.random() < 0.5 ? 20 : 0;
      return { id, klioId: element, attempt: 1, message: encodeMessage(message), timeoutMs, source: "pubsub0" };
    });
    while (inputs.length > 0) {
      this.#send({ case: "bundle", value: { inputs: inputs.splice(0, 1 + this.below(inputs.length)) } });
    }
  }

  #cancelSome(): void {
    // Those in hand, those that are answered, and one that never was.
    const ids = this.random() < 0.6 ? this.outstanding() : [...this.given.keys(), BigInt(this.below(1_000))];
    this.cancel(ids[this.below(ids.length)] ?? 0n);
  }

  #send(frame: Frame): void {
    this.#bytes.push(encodeFrame(SupervisorFrameSchema, create(SupervisorFrameSchema, { frame })));
  }

  /** Writes what there is in pieces of any length; some of it later. */
  #flush(whole: boolean): void {
    let bytes = Buffer.concat(this.#bytes.splice(0));
    while (bytes.length > 0) {
      const length = Math.min(bytes.length, 1 + this.below(this.random() < 0.5 ? 10 : 30_000));
      this.worker.write(bytes.subarray(0, length));
      bytes = bytes.subarray(length);
      if (!whole && this.random() < 0.1) break;
    }
    if (bytes.length > 0) this.#bytes.push(bytes);
  }
}

describe("a worker", () => {
  const rounds = Array.from({ length: soak ? 100 : 6 }, (_, i) => seed + i);

  it.each(rounds)("answers each input once, whatever order of legal frames it is given (seed %i)", async (own) => {
    const random = seededRandom(own);
    const credit = 1 + Math.floor(random() * 8);
    const driven = new DrivenWorker(folder);
    worker = driven;
    driven.send(configure(credit));
    await driven.until(() => driven.frames.some((f) => f.case === "ready"), "it is ready");
    const supervisor = new ChanceSupervisor(driven, credit, random);
    const drainAt = 200 + supervisor.below(400);
    for (let i = 0; i < 400; i += 1) {
      await supervisor.act();
      if (i === drainAt) supervisor.drain();
    }
    supervisor.drain(); // those that wait for it
    for (const id of supervisor.outstanding()) if (random() < 0.3 || isWaiting(supervisor, id)) supervisor.cancel(id);
    await driven.until(() => {
      supervisor.grantNext();
      return supervisor.outstanding().length === 0;
    }, "every input is answered");
    driven.send({ case: "drain", value: { final: true } });
    await driven.until(() => driven.exited, "it ends when nothing will come");
    expect(driven.error).toBeUndefined();
    check(driven, supervisor.given, credit);
    console.log(`${supervisor.given.size} inputs, credit ${credit}, ${driven.frames.length} frames from the worker`);
  });
});

function ticketsOf({ frames }: DrivenWorker) {
  const asked = frames.flatMap((f) => (f.case === "acquire" ? [f.value.ticket] : []));
  const released = frames.flatMap((f) => (f.case === "release" ? [f.value.ticket] : []));
  return { asked, released };
}

function isWaiting(supervisor: ChanceSupervisor, id: bigint): boolean {
  return supervisor.given.get(id)?.startsWith("wait") === true;
}

function check(driven: DrivenWorker, given: ReadonlyMap<bigint, string>, credit: number): void {
  const [first, second] = driven.frames;
  expect([first?.case, second?.case]).toEqual(["hello", "ready"]);
  if (first?.case === "hello") expect(first.value).toMatchObject({ protocol: 1, pid: driven.pid });
  if (second?.case === "ready") expect(second.value.credit).toBe(credit);
  expect(driven.frames.filter((f) => f.case === "hello" || f.case === "ready")).toHaveLength(2);
  expect(driven.frames.filter((f) => f.case === "fatal")).toEqual([]);
  const ids = driven.results().map((r) => r.id);
  expect(ids.slice().sort()).toEqual([...given.keys()].sort());
  const { asked, released } = ticketsOf(driven);
  expect(new Set(asked).size).toBe(asked.length);
  expect(released.sort()).toEqual(asked.sort());
  checkWhereabouts(driven, given);
  for (const result of driven.results()) {
    const element = given.get(result.id) ?? "";
    const kind = element.split("-")[0] ?? "";
    const failure = result.outcome.case === "failure" ? result.outcome.value : undefined;
    if (failure?.kind === Failure_Kind.CANCELLED) continue;
    const failed = { throw: Failure_Kind.ERROR, permanent: Failure_Kind.PERMANENT, wait: Failure_Kind.TIMEOUT }[kind];
    expect([element, failure?.kind]).toEqual([element, failed]);
    if (result.outcome.case !== "done") continue;
    const outputs = { skip: 0, many: 3 }[kind] ?? 1;
    expect([element, result.outcome.value.outputs.length]).toEqual([element, outputs]);
  }
}

/** What is said of an input is said before its result, and who entered with a time limit has left by then. */
function checkWhereabouts(driven: DrivenWorker, given: ReadonlyMap<bigint, string>): void {
  const answered = new Set<bigint>();
  const inside = new Map<bigint, string>();
  for (const frame of driven.frames) {
    if (frame.case === "results") {
      for (const { id } of frame.value.results) {
        answered.add(id);
        expect(inside.get(id)).toBeUndefined();
      }
    }
    if (frame.case !== "enter" && frame.case !== "leave" && frame.case !== "log") continue;
    const { id, node } = frame.value;
    expect(given.has(id)).toBe(true);
    expect(answered.has(id)).toBe(false);
    if (frame.case === "enter" && frame.value.timeoutMs > 0) inside.set(id, node);
    if (frame.case === "leave") {
      expect(inside.get(id)).toBe(node);
      inside.delete(id);
    }
  }
}

/** One thing that goes wrong with a stream. */
function damaged(stream: Buffer, random: () => number): Buffer {
  const at = Math.floor(random() * stream.length);
  const noise = Buffer.from(Array.from({ length: 1 + Math.floor(random() * 8) }, () => Math.floor(random() * 256)));
  const after = stream.subarray(random() < 0.5 ? at : at + noise.length);
  return random() < 0.2 ? stream.subarray(0, at) : Buffer.concat([stream.subarray(0, at), noise, after]);
}

describe("a worker whose frames are damaged", () => {
  it("answers in frames or ends, within bounds, and ends when its supervisor is gone", async () => {
    const random = seededRandom(seed);
    const ends = { itself: 0, "with its supervisor": 0 };
    for (let i = 0; i < (soak ? 300 : 6); i += 1) {
      const driven = new DrivenWorker(folder);
      worker = driven;
      const inputs = Array.from({ length: 5 }, (_, n) => {
        const message = encodeMessage(requestMessage({ element: `nap-${n}-${i}` }));
        return { id: BigInt(n), klioId: `${i}-${n}`, attempt: 1, message, source: "pubsub0" };
      });
      const frames: Frame[] = [
        { case: "bundle", value: { inputs } },
        { case: "cancel", value: { id: 3n, reason: "no reason" } },
        { case: "grant", value: { ticket: 1 } },
        { case: "drain", value: {} },
      ];
      // In every other case it gets as far as being ready.
      const whole = random() < 0.5 ? [configure(4)] : [];
      const [good, rest] = [whole, [...(whole.length === 0 ? [configure(4)] : []), ...frames]].map((list) =>
        Buffer.concat(
          list.map((frame) => encodeFrame(SupervisorFrameSchema, create(SupervisorFrameSchema, { frame }))),
        ),
      );
      let bytes: Buffer = rest ?? Buffer.alloc(0);
      for (let n = 0; n <= random() * 4; n += 1) bytes = damaged(bytes, random);
      driven.write(Buffer.concat([good ?? Buffer.alloc(0), bytes]));
      await sleep(600);
      ends[driven.exited ? "itself" : "with its supervisor"] += 1;
      expect(peakOf(driven)).toBeLessThan(512 * 1024 * 1024);
      driven.end();
      await driven.until(() => driven.exited, "it is gone");
      expect(driven.error).toBeUndefined();
      expect(driven.frames[0]?.case).toBe("hello");
    }
    console.log(ends);
  }, 600_000);
});

/** Bytes; 0 when it has ended. */
function peakOf(driven: DrivenWorker): number {
  try {
    return memoryOf(driven.pid).peak || 0;
  } catch {
    return 0;
  }
}
