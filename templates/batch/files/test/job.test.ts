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
});

test("leaves out what has no words", async () => {
  assert.equal((await testJob(job, options).send("blank")).outcome, "skipped");
});

test("fails for a text that is not there", async () => {
  const { error } = await testJob(job, options).send("missing");
  assert.equal(error?.code, "INPUT_NOT_FOUND");
});
