import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { overtake, waitsHalfway } from "../support/late-worker.js";
import { Rig, root } from "../support/rig.js";

const job = join(root, "test/fixtures/jobs/faults");
let rig: Rig;

afterEach(() => rig.close());

describe("a job that stands still past its leases, and goes on when another instance has done its work,", () => {
  it("writes nothing over what the other has written", async () => {
    rig = await Rig.start({ job, environment: waitsHalfway });
    const { late, other } = await overtake(rig, "big-1");
    expect(rig.writes()).toEqual(["job/big-1"]);
    expect(rig.of("deadline", "fault-in-job").length).toBeGreaterThan(0);
    expect([await late.drain(), await other.drain()]).toEqual([0, 0]);
    expect(rig.check()).toEqual([]);
  }, 90_000);

  it("writes nothing over what another request has written by force meanwhile", async () => {
    rig = await Rig.start({ job, environment: waitsHalfway });
    const { late, other } = await overtake(rig, "big-1", () => rig.publish(["big-1"], { force: true }));
    expect(rig.writes()).toEqual(["job/big-1"]);
    expect([await late.drain(), await other.drain()]).toEqual([0, 0]);
    expect(rig.outcomes("processed")).toHaveLength(1);
    expect(rig.outcomes("passed-through").length).toBeGreaterThan(0);
    expect(rig.check()).toEqual([]);
  }, 90_000);
});
