import assert from "node:assert/strict";
import { test } from "node:test";
import { testJob } from "@klio/runtime/testing";
import job from "../src/run.js";

const options = {
  objects: { "ada.txt": "one two\nthree", "blank.txt": " \n" },
  inputSuffix: ".txt",
  outputSuffix: ".count",
};

test("counts the words of a text", async () => {
  const result = await testJob(job, options).send("ada");
  assert.equal(result.error, undefined);
  assert.deepEqual(
    result.objects.map((o) => [o.name, Buffer.from(o.data).toString()]),
    [["ada.count", "3\n"]],
  );
  assert.deepEqual(
    result.messages.map((m) => m.element),
    ["ada"],
  );
  assert.deepEqual(
    result.metrics.map(({ name, value }) => [name, value]),
    [["words", 3]],
  );
});

test("leaves out what has no words", async () => {
  const result = await testJob(job, options).send("blank");
  assert.deepEqual([result.outcome, result.objects, result.messages], ["skipped", [], []]);
});

test("makes a dead letter of a text that is not there, at once", async () => {
  const result = await testJob(job, { ...options, attempts: 3 }).send("missing");
  assert.equal(result.outcome, "dead-letter");
  assert.deepEqual([result.attempts, result.error?.permanent], [1, true]);
  assert.equal(result.deadLetter?.attributes["klio-dead-letter-code"], "INPUT_NOT_FOUND");
});
