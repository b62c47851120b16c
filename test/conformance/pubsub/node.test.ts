import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Broker, brokerTargets } from "../../support/targets.js";
import { expectAllInCi } from "../../support/tools.js";
import { type Capability, capabilities, type CapabilityId } from "./capabilities.js";
import { deliveryCases } from "./cases/delivery.js";
import { policyCases } from "./cases/policies.js";
import { pushCases } from "./cases/push.js";
import { replayCases } from "./cases/replay.js";
import { resourceCases } from "./cases/resources.js";
import { Context } from "./context.js";

process.env["METADATA_SERVER_DETECTION"] = "none";

const cases = { ...resourceCases, ...deliveryCases, ...policyCases, ...replayCases, ...pushCases };

expectAllInCi(brokerTargets);

it("has a case for each capability", () => {
  expect(Object.keys(cases).sort()).toEqual(Object.keys(capabilities).sort());
});

describe.each(brokerTargets)("Pub/Sub as the official Node client sees it: $name", (target) => {
  let broker: Broker;
  let context: Context;

  beforeAll(async () => {
    if (target.missing !== undefined) return;
    broker = await target.start();
    context = new Context(broker.address);
  });

  afterAll(async () => {
    if (target.missing !== undefined) return;
    await context.close();
    await broker.close();
  });

  for (const [id, capability] of Object.entries(capabilities) as [CapabilityId, Capability][]) {
    const skipped =
      target.missing !== undefined ||
      (!target.own && (capability.ownOnly !== undefined || capability.google?.sometimes === true));
    const differs = target.own ? undefined : capability.google;
    const name = `${id}: ${capability.text}${differs === undefined ? "" : ` (differs: ${differs.does})`}`;
    // What differs must go on to differ: a case that passes would claim a difference that is none.
    const run = skipped ? it.skip : it.concurrent;
    run(name, { fails: differs !== undefined }, async () => {
      await cases[id]?.(context);
    });
  }
});
