import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { checkLedger, checkLedgerFile } from "../support/ledger/check.js";
import type { Entry, NewEntry, SentEntry } from "../support/ledger/entry.js";
import { throughputOfGood } from "../support/ledger/throughput.js";
import { type Rule, rules } from "../support/ledger/violation.js";

const begin: NewEntry = {
  source: "begin",
  job: "job",
  subscription: "in-job",
  outputTopic: "out",
  deadLetterTopic: "dead",
  outputBucket: "bucket",
  attempts: 3,
  gracePeriodMs: 30_000,
  bound: { messages: 2, bytes: 1_000 },
};
const start: NewEntry = { source: "process", kind: "start", life: 1, pid: 100 };
const exit: NewEntry = { source: "process", kind: "exit", life: 1, code: 0, signal: null };
const left: NewEntry = { source: "process", kind: "left", life: 1, children: [], ports: [], temporary: [] };
const signal: NewEntry = { source: "process", kind: "signal", life: 1, pid: 100, signal: "SIGTERM", who: "supervisor" };

/** A message `m1` with the klio-id `m1`, the object `o1` and the output message `out-m1`. */
function sent(id: string, more: Partial<SentEntry> = {}): NewEntry {
  const objects = [{ name: `o-${id}`, size: 10, crc32c: "abc" }];
  const ids = { messageId: id, klioId: id, outputs: [`out-${id}`], passThrough: `pass-${id}` };
  return { source: "sent", element: id, force: false, objects, ...ids, ...more };
}

const event = (
  kind: "deliver" | "acknowledge" | "lose-acknowledge" | "give-back" | "deadline",
  messageId: string,
  bytes = 10,
): NewEntry => {
  return { source: "broker", kind, resource: "in-job", messageId, attributes: {}, orderingKey: "", bytes };
};

function publish(resource: string, attributes: Record<string, string>, more: object = {}): NewEntry {
  const plain = { messageId: "any", orderingKey: "", bytes: 10 };
  return { source: "broker", kind: "publish", resource, attributes, ...plain, ...more };
}

const output = (id: string) => publish("out", { "klio-id": id });
const dead = (id: string, attempts = "3") => publish("dead", { "klio-id": id, "klio-dead-letter-attempts": attempts });
const keyed = (messageId: string) => publish("in", {}, { messageId, orderingKey: "key" });

function commit(name: string, by: readonly string[], more: object = {}): NewEntry {
  const plain = { bucket: "bucket", generation: "1", size: 10, crc32c: "abc" };
  return { source: "storage", kind: "commit", name, by, ...plain, ...more };
}

const retry = (id: string, charged: number): NewEntry => {
  return { source: "job", life: 1, event: "retry", message_id: id, charged };
};
const worker = (kind: "start" | "throw", id: string, pid = 101): NewEntry => {
  return { source: "worker", kind, klioId: id, element: id, pid, supervisor: 100 };
};
const thrown = (id: string, pid?: number) => worker("throw", id, pid);
const begun = (id: string) => worker("start", id);
const reset: NewEntry = { source: "fault", of: "pubsub", fault: "resetStream" };
const killed = (pid: number): NewEntry => ({
  source: "process",
  kind: "signal",
  life: 1,
  pid,
  signal: "SIGKILL",
  who: "worker",
});

/** A whole and right way of a message. */
const done = (id: string): NewEntry[] => [
  sent(id),
  event("deliver", id),
  commit(`o-${id}`, [id]),
  output(`out-${id}`),
  event("acknowledge", id),
];

const poisoned: readonly NewEntry[] = [
  sent("p", { objects: [], outputs: [], poison: "throws" }),
  event("deliver", "p"),
  ...[1, 2].flatMap((charged) => [thrown("p"), retry("p", charged)]),
  thrown("p"),
  dead("p"),
  event("acknowledge", "p"),
];

/** `time` is the place, in seconds. */
function ledger(...entries: readonly NewEntry[]): Entry[] {
  return [begin, start, ...entries].map((entry, i) => ({ time: i * 1_000, ...entry }));
}

function without(entries: readonly NewEntry[], at: number, ...instead: NewEntry[]): NewEntry[] {
  return [...entries.slice(0, at), ...instead, ...entries.slice(at + 1)];
}

describe("the checker is content", () => {
  it.each<[string, readonly NewEntry[]]>([
    ["with messages that came to their end, and a drain that left nothing", [...done("a"), signal, exit, left]],
    [
      "with a poison message beside a good one",
      [...poisoned.slice(0, 4), ...done("a"), ...poisoned.slice(4), signal, exit, left],
    ],
    [
      "with a failure that nobody heard of, since its worker was killed",
      [...poisoned.slice(0, 2), thrown("p", 102), killed(102), ...poisoned.slice(2)],
    ],
    [
      "with a message that came three times and wrote once",
      [
        ...done("a").slice(0, 4),
        event("deadline", "a"),
        event("deliver", "a"),
        output("out-a"),
        event("acknowledge", "a"),
      ],
    ],
    [
      "with a second request that passes the object on, and a third that is forced to write it anew",
      [
        ...done("a"),
        sent("b", { objects: [{ name: "o-a" }] }),
        output("pass-b"),
        event("acknowledge", "b"),
        sent("c", { objects: [{ name: "o-a" }], force: true }),
        commit("o-a", ["c", "a"]),
        output("out-c"),
        event("acknowledge", "c"),
      ],
    ],
    [
      "with messages of a key whose first came again after it had sent its output",
      [
        keyed("a"),
        keyed("b"),
        ...done("a").slice(0, 4),
        event("deadline", "a"),
        ...done("a").slice(1),
        ...done("b"),
      ].filter((e, i) => e.source !== "storage" || i < 6 || e.name === "o-b"),
    ],
    ["with what a killed supervisor had in hand", [event("deliver", "a"), event("deliver", "b"), exit, start]],
    [
      "with what comes in place of messages whose acknowledgements the broker forgets",
      [event("deliver", "a"), event("deliver", "b"), event("lose-acknowledge", "b"), event("deliver", "c")],
    ],
    [
      "with what is lost with a stream that breaks",
      [
        ...["a", "b"].map((id) => event("deliver", id)),
        reset,
        ...["c", "d"].map((id) => event("deliver", id)),
        ...["a", "b"].map((id) => event("deadline", id)),
      ],
    ],
    ["with one message that is larger than the bound by itself", [event("deliver", "a", 2_000)]],
  ])("%s", (_what, entries) => {
    expect(checkLedger(ledger(...entries))).toEqual([]);
  });
});

describe("the checker finds", () => {
  const a = done("a");
  it.each<[Rule, string, readonly NewEntry[], string]>([
    ["I1", "an input without its output message", without(a, 3), "output message out-a"],
    ["I1", "an input without its object", without(a, 2), "object o-a"],
    ["I1", "an input nobody sent", [event("acknowledge", "z")], "nobody noted"],
    [
      "I1",
      "a message that passed its own object on and so lost its outputs",
      without(a, 3, output("pass-a")),
      "output message out-a",
    ],
    ["I1", "a poison message without a dead letter", without(poisoned, 7), "without a dead letter"],
    ["I2", "an acknowledgement before the output message", [...without(a, 3), output("out-a")], "before its end"],
    ["I2", "an acknowledgement before the object", [...without(a, 2), commit("o-a", ["a"])], "before its end"],
    ["I2", "an acknowledgement before the dead letter", [...without(poisoned, 7), dead("p")], "before its end"],
    ["I3", "an object that is not whole", without(a, 2, commit("o-a", ["a"], { size: 5 })), "5 bytes"],
    ["I3", "an object with other bytes", without(a, 2, commit("o-a", ["a"], { crc32c: "xyz" })), "CRC xyz"],
    ["I3", "an object nobody asked for", [...a, commit("o-z", ["a"])], "no message asks"],
    ["I4", "two writes of one request", [...a, commit("o-a", ["a", "a"])], "twice"],
    ["I4", "a write that says of no request", [...a, commit("o-a", [])], "never sent"],
    [
      "I4",
      "a write over what exists without being forced",
      [...a, sent("b", { objects: [{ name: "o-a" }] }), commit("o-a", ["b", "a"])],
      "without being forced",
    ],
    [
      "I4",
      "a late write over a newer one",
      [...a, sent("b", { objects: [{ name: "o-a" }], force: true }), commit("o-a", ["b"])],
      "had not seen",
    ],
    ["I5", "an output message with another id", [...a, output("out-other")], "out-other"],
    ["I5", "an output message without an id", [...a, publish("out", {})], "(none)"],
    ["I5", "a dead letter with another id", [...a, dead("other")], "a dead letter with the id other"],
    [
      "I6",
      "outputs of a key in another order than the inputs",
      [keyed("a"), keyed("b"), ...done("b"), ...done("a")],
      "before that of a",
    ],
    [
      "I6",
      "an output of a key whose input before it never came to an end",
      [keyed("a"), keyed("b"), sent("a"), ...done("b")],
      "before that of a",
    ],
    [
      "I6",
      "a dead letter of a key that comes after the output of the next",
      [keyed("p"), keyed("a"), sent("p", { poison: "throws" }), ...done("a"), ...poisoned],
      "before that of p",
    ],
    ["I7", "one attempt too many", [...poisoned.slice(0, 2), thrown("p"), ...poisoned.slice(2)], "failed 4 times"],
    [
      "I7",
      "an attempt too many that was told of before its worker was killed",
      [...poisoned.slice(0, 2), thrown("p", 102), retry("p", 1), killed(102), ...poisoned.slice(2)],
      "failed 4 times",
    ],
    [
      "I7",
      "attempts without an end",
      [...poisoned.slice(0, 2), ...[1, 2, 3, 4].map(() => thrown("p"))],
      "failed 4 times",
    ],
    ["I7", "a dead letter too early", without(without(poisoned, 7, dead("p", "2")), 6), "after 2 charged attempts"],
    ["I7", "a dead letter that counts what did not happen", without(poisoned, 6), "after 2 failures"],
    ["I7", "a dead letter whose charges nobody told of", without(poisoned, 5), "after the charges 1"],
    ["I7", "a dead letter of a good message", without(a, 3, dead("a", "1")), "after 1 charged attempts"],
    ["I8", "a message in flight after a drain", [event("deliver", "a"), signal, exit, left], "still in flight"],
    ["I8", "another exit code", [signal, { ...exit, code: 1 }, left], "exit code 1"],
    ["I8", "a process that is left", [signal, exit, { ...left, children: [7] }], "processes 7"],
    ["I8", "a port that is left", [signal, exit, { ...left, ports: [8080] }], "ports 8080"],
    ["I8", "a file that is left", [signal, exit, { ...left, temporary: ["klio-run-1"] }], "klio-run-1"],
    [
      "I8",
      "a drain that takes longer than it may",
      [signal, ...Array.from({ length: 45 }, () => start), exit],
      "it took",
    ],
    ["I9", "too many messages outstanding", ["a", "b", "c"].map((id) => event("deliver", id)), "3 messages"],
    [
      "I9",
      "too many messages outstanding, of which some came on a stream that broke and are begun later",
      [
        ...["a", "b"].flatMap((id) => [sent(id), event("deliver", id)]),
        reset,
        event("deliver", "c"),
        ...["a", "b"].map(begun),
      ],
      "3 messages",
    ],
    ["I9", "too many bytes outstanding", ["a", "b"].map((id) => event("deliver", id, 600)), "1200 bytes"],
  ])("%s: %s", (rule, _what, entries, text) => {
    const found = checkLedger(ledger(...entries));
    expect([...new Set(found.map((v) => v.rule))]).toEqual([rule]);
    expect(found.find((v) => v.rule === rule)?.what).toContain(text);
  });

  it("every rule it has", () => {
    expect(Object.keys(rules)).toEqual(["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9"]);
  });
});

describe("the checker", () => {
  it("works on a file, long after", () => {
    const folder = mkdtempSync(join(tmpdir(), "klio-ledger-"));
    const path = join(folder, "ledger.jsonl");
    const lines = ledger(...without(done("a"), 3)).map((entry) => JSON.stringify(entry));
    writeFileSync(path, `${lines.join("\n")}\n`);
    expect(checkLedgerFile(path)).toMatchObject([{ rule: "I1", messageId: "a" }]);
    rmSync(folder, { recursive: true });
  });

  it("tells how fast the good messages came to their end", () => {
    // From the delivery in second 3 to the acknowledgement in second 11.
    expect(throughputOfGood(ledger(...done("a"), ...done("b"), ...poisoned))).toBeCloseTo(2 / 8);
  });
});
