import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { overtake, waitsHalfway } from "../support/late-worker.js";
import type { Rule } from "../support/ledger/violation.js";
import { Rig, root } from "../support/rig.js";
import { type Sabotage, sabotagedRuntime } from "../support/sabotage.js";
import { printedSeed } from "../support/seed.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig | undefined;

afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

/** A fault run, with the runtime in a folder or the one that ships. Resolves to the rules that are broken. */
type FaultRun = (runtime: string | undefined) => Promise<readonly Rule[]>;

function broken(of: Rig): readonly Rule[] {
  return [...new Set(of.violations().map((v) => v.rule))];
}

/** Publishing is refused now and then, so that a confirmation comes long after the wish. */
const refusals: FaultRun = async (runtime) => {
  rig = await Rig.start({ job, ...(runtime === undefined ? {} : { runtime }) });
  await rig.run();
  const seed = printedSeed();
  const sent: string[] = [];
  // Few requests publish what is done together: not each time is one of them refused. What breaks its promise is given time to.
  const rounds = runtime === undefined ? 3 : 20;
  for (let round = 0; round < rounds && broken(rig).length === 0; round += 1) {
    const ids = await rig.publish(Array.from({ length: 20 }, (_, i) => `ok-${round}-${i}`));
    sent.push(...ids);
    rig.pubsub.setFaults({ seed: seed + round, unavailable: 0.4 });
    await rig.untilAcknowledged(ids);
    rig.pubsub.setFaults({});
    await rig.until(() => rig?.count("publish", "fault-out") === sent.length, "every output message is there");
  }
  await rig.stop();
  return broken(rig);
};

/** A job stands still past its lease and goes on when another instance has done its work. */
const lateWorker: FaultRun = async (runtime) => {
  rig = await Rig.start({ job, environment: waitsHalfway, ...(runtime === undefined ? {} : { runtime }) });
  await overtake(rig, "big-1");
  return broken(rig);
};

/** A message fails in every attempt. */
const poison: FaultRun = async (runtime) => {
  rig = await Rig.start({ job, ...(runtime === undefined ? {} : { runtime }) });
  await rig.run();
  const ids = await rig.publish(["throw-1"]);
  const over = () => rig?.ledger.count("worker/throw") === 6 || rig?.acknowledged() === ids.length;
  await rig.until(over, "a dead letter, or more attempts than there may be");
  return broken(rig);
};

describe("the ledger tells of a runtime that", () => {
  it.each<[string, Rule, FaultRun, Sabotage]>([
    [
      "acknowledges before its outputs are confirmed",
      "I2",
      refusals,
      {
        file: "supervisor/settlement.ts",
        text: "for (const output of outputs) await all(",
        instead: "for (const output of outputs) void all(",
      },
    ],
    [
      "uploads without a precondition",
      "I4",
      lateWorker,
      {
        file: "objects/gcs/client.ts",
        text: "new URLSearchParams({ name: path.name, ...query })",
        instead: "new URLSearchParams({ name: path.name, uploadType: query.uploadType ?? '' })",
      },
    ],
    [
      "does not count attempts",
      "I7",
      poison,
      { file: "supervisor/settlement.ts", text: "work.charged += 1;", instead: "" },
    ],
  ])(
    "%s: %s",
    async (_what, rule, run, sabotage) => {
      const folder = await mkdtemp(join(tmpdir(), "klio-sabotage-"));
      try {
        expect(await run(await sabotagedRuntime(folder, sabotage))).toEqual([rule]);
      } finally {
        await rm(folder, { recursive: true });
      }
    },
    300_000,
  );
});

describe("the ledger has nothing to tell of the runtime that ships when", () => {
  it.each<[string, FaultRun]>([
    ["publishing is refused", refusals],
    ["a late worker goes on", lateWorker],
    ["a message fails in every attempt", poison],
  ])(
    "%s",
    async (_what, run) => {
      expect(await run(undefined)).toEqual([]);
    },
    300_000,
  );
});
