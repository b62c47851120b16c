import assert from "node:assert/strict";
import { test } from "node:test";
import { testJob } from "@klio/runtime/testing";
import job from "../src/run.js";

test("logs what it receives", async () => {
  const result = await testJob(job).send("ada");
  assert.equal(result.outcome, "processed");
  assert.deepEqual(
    result.logs.map((entry) => entry.message),
    ["received ada"],
  );
  assert.deepEqual(
    result.messages.map((message) => [message.element, message.text]),
    [["ada", ""]],
  );
  assert.deepEqual([result.objects, result.attempts], [[], 1]);
});
