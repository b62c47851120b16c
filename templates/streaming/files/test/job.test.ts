import { testJob } from "@klio/runtime/testing";
import { expect, test } from "vitest";
import job from "../src/run.js";

const options = { config: { greeting: "Hello" }, outputSuffix: ".txt" };

test("greets an element and says where the greeting lies", async () => {
  const result = await testJob(job, options).send("ada");
  expect(result.error).toBeUndefined();
  expect(result.objects).toMatchObject([{ name: "ada.txt", write: "uploaded" }]);
  expect(Buffer.from(result.objects[0]?.data ?? []).toString()).toBe("Hello, ada!\n");
  expect(result.messages.map((m) => m.text)).toEqual(["gs://test-output/ada.txt"]);
});

test("passes a message on when its greeting is there already, unless it is forced", async () => {
  const tested = testJob(job, options);
  await tested.send("ada");
  expect((await tested.send("ada")).outcome).toBe("passed-through");
  expect((await tested.send({ element: "ada", force: true })).outcome).toBe("processed");
});
