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
  assert.deepEqual(
    [added, corrected].flatMap((r) => r.objects.map((o) => [o.name, Buffer.from(o.data).toString()])),
    [
      ["ada.txt", "added: ada\n"],
      ["bob.txt", "corrected: bob\n"],
    ],
  );
  assert.deepEqual([added.attempts, added.acknowledged], [1, true]);
});
