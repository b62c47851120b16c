import { describe, expect, it } from "vitest";
import { explore, type Exploration } from "./support/interleavings.js";
import { attemptBy, generationByThen, klioWriting, rightRule, type Rule } from "./support/upload-attempts.js";
import { promises } from "./support/upload-promises.js";
import { type Scenario, sendFirst, UploadWorld } from "./support/upload-world.js";

const soak = process.env["KLIO_SOAK"] !== undefined;

/** Two attempts at once, one of which may crash; a lost reply; somebody else who forces the same object. */
const everything = {
  ending: sendFirst,
  request: { id: "message", force: false },
  attempts: 2,
  foreign: { id: "foreign", force: true },
  objects: ["a"],
  madeBefore: false,
  crashes: 1,
  lostReplies: 1,
};
const forced = { id: "message", force: true };

async function check(scenario: Scenario, enough = (_: string) => true, merge = true): Promise<Exploration> {
  const begun = performance.now();
  const found = await explore(() => UploadWorld.start(scenario), { merge, enough });
  const seconds = ((performance.now() - begun) / 1_000).toFixed(1);
  console.log(`${found.interleavings} interleavings over ${found.states} states in ${seconds} s`);
  return found;
}

interface Case extends Partial<Scenario> {
  readonly name: string;
  /** Fewer interleavings, or states, than these would mean that steps got lost on the way. */
  readonly interleavings: number;
  readonly states: number;
  /** Steps that are taken in some of them. */
  readonly steps?: readonly string[];
}

const late = { objects: ["a.png"] };
const both = { objects: ["a", "a.png"] };
/** A crash before every step, and the refusal of what was done already. */
const hardSteps = [
  "message 1: crashes before stat a",
  "message 2: crashes before write a",
  "message 1: crashes before sends",
  "message 1: crashes before acknowledges",
  "message 3: stat a",
  "message 1: write a, its reply is lost",
  "message 1: crashes before write a once more",
  "foreign 1: write a once more",
];
const cases: readonly Case[] = [
  { name: "the output", interleavings: 67e6, states: 2_400 },
  { name: "the output, forced", request: forced, steps: hardSteps, interleavings: 94e6, states: 3_100 },
  { name: "an output that was there before", madeBefore: true, interleavings: 220e3, states: 230 },
  { name: "one that was there, forced", madeBefore: true, request: forced, interleavings: 94e6, states: 3_100 },
  { name: "a name first seen in ctx.upload", ...late, interleavings: 7.1e9, states: 3_400 },
  { name: "such a name, forced", ...late, request: forced, interleavings: 10.8e9, states: 4_200 },
  { name: "two objects, one attempt at a time", ...both, attempts: 1, interleavings: 740e3, states: 2_100 },
  {
    name: "two objects, forced, one attempt at a time",
    ...both,
    request: forced,
    attempts: 1,
    interleavings: 1.1e6,
    states: 3_500,
  },
];
const longCases: readonly Case[] = [
  { name: "two objects, two attempts", ...both, lostReplies: 0, interleavings: 36e9, states: 9_700 },
  { name: "two objects, with everything", ...both, interleavings: 1.7e12, states: 46_000 },
  { name: "two objects, with everything, forced", ...both, request: forced, interleavings: 8.5e12, states: 89_000 },
  { name: "two crashes", crashes: 2, interleavings: 2.7e9, states: 6_000 },
  { name: "two crashes, forced", crashes: 2, request: forced, interleavings: 3.6e9, states: 7_600 },
  { name: "three attempts at once, forced", attempts: 3, request: forced, interleavings: 20e12, states: 17_000 },
  { name: "three lost replies, forced", lostReplies: 3, request: forced, interleavings: 9.8e9, states: 9_000 },
];

describe("uploads, in every order that their steps can take,", () => {
  it.each(soak ? [...cases, ...longCases] : cases)(
    "break no promise: $name",
    async ({ name: _, interleavings, states, steps = [], ...more }) => {
      const scenario = { ...everything, ...more };
      const found = await check({ ...scenario, attempt: await klioWriting(scenario.objects) });
      expect(Object.fromEntries(found.broken)).toEqual({});
      expect(found.interleavings).toBeGreaterThan(interleavings);
      expect(found.states).toBeGreaterThan(states);
      for (const step of steps) expect(found.taken).toContain(step);
    },
    1_800_000,
  );

  it("are as many when each order is walked by itself", async () => {
    const attempt = await klioWriting(["a"]);
    for (const request of [everything.request, forced]) {
      const scenario = { ...everything, attempt, request, crashes: 0, foreign: undefined };
      const walked = await check(scenario, undefined, false);
      const merged = await check(scenario);
      expect(walked.interleavings).toBe(merged.interleavings);
      expect(walked.states).toBeGreaterThan(merged.states);
    }
  });
});

describe("a rule is found out", () => {
  const wrong = (rule: Partial<Rule>, request = everything.request): Scenario => {
    const whole = { ...rightRule, ...rule };
    return { ...everything, request, attempt: attemptBy(whole), ending: whole.ending };
  };

  it("only when it is wrong", async () => {
    for (const request of [everything.request, forced]) {
      expect(Object.fromEntries((await check(wrong({}, request))).broken)).toEqual({});
    }
  });

  // "Skip when the output exists, else ifGenerationMatch=0" is wrong in three ways.
  it("that skips what exists: a crash after the upload loses the output messages", async () => {
    const { broken } = await check(wrong({ isOwn: () => false, sendsOfKept: "nothing" }), is(promises.messages));
    expect(broken.get(promises.messages)).toContain("message 1: crashes before sends");
  });

  it("whose force asks for nobody's id: after a crash it commits twice", async () => {
    const { broken } = await check(
      { ...wrong({ isOwn: () => false }, forced), attempts: 1, foreign: undefined },
      is(promises.once),
    );
    expect(broken.get(promises.once)?.join(" · ")).toMatch(/write a · (.* · )?message 1: crashes/);
  });

  it("that writes over whatever is there by then: a late attempt overwrites a newer forced result", async () => {
    const { broken } = await check(
      { ...wrong({ generation: generationByThen }, forced), attempts: 1, crashes: 0 },
      is(promises.late),
    );
    expect(broken.get(promises.late)).toContain("foreign 1: write a");
  });

  it.each([
    ["passes by what it made itself", { isOwn: () => false }, false, promises.messages],
    ["forgets who wrote before", { by: (_: unknown, { id }: { id: string }) => [id] }, true, promises.once],
    ["takes every 412 for its own", { refusedByOwn: () => Promise.resolve(true) }, true, promises.object],
    ["acknowledges before it sends", { ending: acknowledgeFirst }, false, promises.order],
    [
      "only acknowledges",
      { ending: (_: unknown, acknowledge: () => Promise<void>) => acknowledge() },
      false,
      promises.messages,
    ],
    ["only sends", { ending: (send: () => Promise<void>) => send() }, false, promises.end],
  ])("that %s", async (_, rule: Partial<Rule>, force, promise) => {
    const { broken } = await check(wrong(rule, force ? forced : everything.request), is(promise));
    expect([...broken.keys()]).toContain(promise);
  });
});

function is(promise: string) {
  return (other: string) => other === promise;
}

async function acknowledgeFirst(send: () => Promise<void>, acknowledge: () => Promise<void>): Promise<void> {
  await acknowledge();
  await send();
}
