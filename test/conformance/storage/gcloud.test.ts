import { startStorage, type StorageEmulator } from "@klio/emulators";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gcloud, skips } from "../../support/tools.js";
import { type Capability, capabilities, type CapabilityId } from "./capabilities.js";
import { gcloudCases } from "./cases/gcloud.js";
import { Gcloud } from "./gcloud.js";

const tool = gcloud();
const skipped = skips(tool);
const shared = Object.entries<Capability>(capabilities).filter(([, capability]) => capability.gcloud === true);

it("has a case for each capability that gcloud can use", () => {
  expect(Object.keys(gcloudCases).sort()).toEqual(shared.map(([id]) => id).sort());
});

describe("Cloud Storage as gcloud sees it", () => {
  let folder: string;
  let emulator: StorageEmulator;
  let command: Gcloud;

  beforeAll(async () => {
    if (skipped) return;
    folder = await mkdtemp(join(tmpdir(), "klio-storage-"));
    emulator = await startStorage({ root: join(folder, "root") });
    command = await Gcloud.open(emulator.url, tool.path);
  });

  afterAll(async () => {
    if (skipped) return;
    await command.close();
    await emulator.close();
    await rm(folder, { recursive: true });
  });

  for (const [id, capability] of shared) {
    // A command takes a second to start: two cases at a time.
    it.skipIf(skipped).concurrent(
      `${id}: ${capability.text}`,
      async () => {
        await gcloudCases[id as CapabilityId]?.(command);
      },
      240_000,
    );
  }
});
