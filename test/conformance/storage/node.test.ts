import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type StorageServer, storageTargets } from "../../support/storage-targets.js";
import { expectAllInCi } from "../../support/tools.js";
import { type Capability, capabilities, type CapabilityId } from "./capabilities.js";
import { bucketCases } from "./cases/buckets.js";
import { copyCases } from "./cases/copies.js";
import { downloadCases } from "./cases/downloads.js";
import { listingCases } from "./cases/listing.js";
import { metadataCases } from "./cases/metadata.js";
import { preconditionCases } from "./cases/preconditions.js";
import { protocolCases } from "./cases/protocol.js";
import { uploadCases } from "./cases/uploads.js";
import { versionCases } from "./cases/versions.js";
import { type Cases, Context } from "./context.js";

const cases: Cases = {
  ...bucketCases,
  ...uploadCases,
  ...downloadCases,
  ...metadataCases,
  ...listingCases,
  ...copyCases,
  ...preconditionCases,
  ...versionCases,
  ...protocolCases,
};

expectAllInCi(storageTargets);

it("has a case for each capability", () => {
  expect(Object.keys(cases).sort()).toEqual(Object.keys(capabilities).sort());
});

describe.each(storageTargets)("Cloud Storage as the official Node client sees it: $name", (target) => {
  let server: StorageServer;
  let context: Context;

  beforeAll(async () => {
    if (target.missing !== undefined) return;
    server = await target.start();
    context = new Context(server.url);
  });

  afterAll(async () => {
    if (target.missing === undefined) await server.close();
  });

  for (const [id, capability] of Object.entries(capabilities) as [CapabilityId, Capability][]) {
    const skipped = target.missing !== undefined || (!target.own && capability.ownOnly !== undefined);
    const differs = target.own ? undefined : capability.peer;
    const name = `${id}: ${capability.text}${differs === undefined ? "" : ` (differs: ${differs.does})`}`;
    // What differs must go on to differ: a case that passes would claim a difference that is none.
    const run = skipped ? it.skip : it.concurrent;
    run(name, { fails: differs !== undefined }, async () => {
      await cases[id]?.(context);
    });
  }
});
