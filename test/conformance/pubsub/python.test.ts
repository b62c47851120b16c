import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, brokerTargets } from "../../support/targets.js";
import { python, skips } from "../../support/tools.js";
import { type Capability, capabilities } from "./capabilities.js";

interface Result {
  readonly case?: string;
  readonly passed: boolean;
  readonly error?: string;
  readonly where?: readonly string[];
}

const folder = join(import.meta.dirname, "python");
const tool = python();
const noPython = skips(tool);

it("has a case for each capability", () => {
  const sources = readdirSync(folder).filter((f) => f.endsWith(".py"));
  const named = sources.flatMap((f) =>
    [...readFileSync(join(folder, f), "utf8").matchAll(/^@case\("([^"]+)"\)/gm)].map((m) => m[1]),
  );
  expect(named.sort()).toEqual(Object.keys(capabilities).sort());
});

describe.each(brokerTargets)("Pub/Sub as the official Python client sees it: $name", (target) => {
  const skipped = noPython || target.missing !== undefined;
  let broker: Broker;
  let results: readonly Result[] = [];

  beforeAll(async () => {
    if (target.missing !== undefined && process.env["CI"] === "true") throw new Error(target.missing);
    if (skipped || tool.path === undefined) return;
    broker = await target.start();
    const wanted = Object.entries<Capability>(capabilities)
      .filter(([, { ownOnly }]) => target.own || ownOnly === undefined)
      .map(([id]) => id);
    const { stdout } = await promisify(execFile)(tool.path, ["-B", folder, ...wanted], {
      env: { ...process.env, PUBSUB_EMULATOR_HOST: broker.address, PYTHONUNBUFFERED: "1" },
      timeout: 240_000,
    });
    const lines = stdout.trim().split("\n");
    results = lines.map((line) => JSON.parse(line) as Result);
  }, 300_000);

  afterAll(() => (skipped ? undefined : broker.close()));

  for (const [id, capability] of Object.entries<Capability>(capabilities)) {
    const differs = target.own ? undefined : capability.google;
    const name = `${id}: ${capability.text}${differs === undefined ? "" : ` (differs: ${differs.does})`}`;
    it.skipIf(skipped || (!target.own && (capability.ownOnly !== undefined || capability.google?.sometimes === true)))(
      name,
      () => {
        const result = results.find((r) => r.case === id);
        expect(result, "the case ran").toBeDefined();
        if (differs === undefined) expect(`${result?.error ?? ""} ${result?.where?.join(" ") ?? ""}`.trim()).toBe("");
        // What differs must go on to differ: a case that passes would claim a difference that is none.
        expect(result?.passed).toBe(differs === undefined);
      },
    );
  }
});
