import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectOutcome, pythonCases, type PythonResult, runPython } from "../../support/python-cases.js";
import { type Broker, brokerTargets } from "../../support/targets.js";
import { expectAllInCi, python, skips } from "../../support/tools.js";
import { type Capability, capabilities } from "./capabilities.js";

const folder = join(import.meta.dirname, "python");
const tool = python();
const noPython = skips(tool);

expectAllInCi(brokerTargets);

it("has a case for each capability", () => {
  expect(pythonCases(folder).sort()).toEqual(Object.keys(capabilities).sort());
});

describe.each(brokerTargets)("Pub/Sub as the official Python client sees it: $name", (target) => {
  const skipped = noPython || target.missing !== undefined;
  let broker: Broker;
  let results: readonly PythonResult[] = [];

  beforeAll(async () => {
    if (skipped || tool.path === undefined) return;
    broker = await target.start();
    const wanted = Object.entries<Capability>(capabilities)
      .filter(([, { ownOnly }]) => target.own || ownOnly === undefined)
      .map(([id]) => id);
    results = await runPython(tool.path, folder, wanted, { PUBSUB_EMULATOR_HOST: broker.address });
  }, 300_000);

  afterAll(() => (skipped ? undefined : broker.close()));

  for (const [id, capability] of Object.entries<Capability>(capabilities)) {
    const differs = target.own ? undefined : capability.google;
    const name = `${id}: ${capability.text}${differs === undefined ? "" : ` (differs: ${differs.does})`}`;
    it.skipIf(skipped || (!target.own && (capability.ownOnly !== undefined || capability.google?.sometimes === true)))(
      name,
      () => {
        expectOutcome(results, id, differs !== undefined);
      },
    );
  }
});
