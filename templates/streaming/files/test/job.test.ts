import assert from "node:assert/strict";
import { test } from "node:test";
import { testJob } from "@klio/runtime/testing";
import job from "../src/run.js";

const options = { config: { greeting: "Hello" }, outputSuffix: ".txt" };

test("greets an element and says where the greeting lies", async () => {
  const result = await testJob(job, options).send("ada");
  assert.equal(result.error, undefined);
  assert.equal(result.acknowledged, true);
  assert.deepEqual(
    result.objects.map((o) => [o.name, Buffer.from(o.data).toString()]),
    [["ada.txt", "Hello, ada!\n"]],
  );
  assert.deepEqual(
    result.messages.map((m) => m.text),
    ["gs://test-output/ada.txt"],
  );
});

test("passes a message on when its greeting is there already, unless it is forced", async () => {
  const tested = testJob(job, options);
  await tested.send("ada");
  assert.equal((await tested.send("ada")).outcome, "passed-through");
  assert.equal((await tested.send({ element: "ada", force: true })).outcome, "processed");
});

test("writes the greeting once, however often its message comes", async () => {
  const tested = testJob(job, options);
  const first = await tested.send({ element: "ada", klioId: "request-1" });
  const again = await tested.send({ element: "ada", klioId: "request-1" });
  assert.deepEqual([first.outcome, again.outcome], ["processed", "duplicate"]);
  assert.deepEqual([again.objects, again.messages], [[], []]);
});

test("makes a dead letter of what is no message of klio's", async () => {
  const result = await testJob(job, options).send({ data: Buffer.from("hello") });
  assert.equal(result.outcome, "dead-letter");
  assert.equal(result.attempts, 0);
  assert.equal(result.deadLetter?.attributes["klio-dead-letter-code"], "UNDECODABLE");
});
