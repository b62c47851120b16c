import assert from "node:assert/strict";
import { test } from "node:test";
import { testJob } from "@klio/runtime/testing";
import job from "../src/run.js";

const options = { inputs: ["additions", "corrections"], outputSuffix: ".txt" };

test("tells where a message came from", async () => {
  const tested = testJob(job, options);
  const added = await tested.send({ element: "ada", input: "additions" });
  const corrected = await tested.send({ element: "bob", input: "corrections" });
  assert.deepEqual(
    [added, corrected].flatMap((r) => r.messages.map((m) => m.text)),
    ["added", "corrected"],
  );
  assert.equal(Buffer.from(corrected.objects[0]?.data ?? []).toString(), "corrected: bob\n");
});
