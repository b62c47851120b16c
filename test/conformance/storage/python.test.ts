import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectOutcome, pythonCases, type PythonResult, runPython } from "../../support/python-cases.js";
import { type StorageServer, storageTargets } from "../../support/storage-targets.js";
import { expectAllInCi, python, skips } from "../../support/tools.js";
import { type Capability, capabilities } from "./capabilities.js";

const folder = join(import.meta.dirname, "python");
const tool = python();
const noPython = skips(tool);

expectAllInCi(storageTargets);

it("has a case for each capability", () => {
  expect(pythonCases(folder).sort()).toEqual(Object.keys(capabilities).sort());
});

describe.each(storageTargets)("Cloud Storage as the official Python client sees it: $name", (target) => {
  const skipped = noPython || target.missing !== undefined;
  let server: StorageServer;
  let results: readonly PythonResult[] = [];

  beforeAll(async () => {
    if (skipped || tool.path === undefined) return;
    server = await target.start();
    const wanted = Object.entries<Capability>(capabilities)
      .filter(([, { ownOnly }]) => target.own || ownOnly === undefined)
      .map(([id]) => id);
    results = await runPython(tool.path, folder, wanted, { STORAGE_EMULATOR_HOST: server.url });
  }, 300_000);

  afterAll(() => (skipped ? undefined : server.close()));

  for (const [id, capability] of Object.entries<Capability>(capabilities)) {
    const differs = target.own ? undefined : capability.peer;
    const name = `${id}: ${capability.text}${differs === undefined ? "" : ` (differs: ${differs.does})`}`;
    it.skipIf(skipped || (!target.own && capability.ownOnly !== undefined))(name, () => {
      expectOutcome(results, id, differs !== undefined);
    });
  }
});
