import { defineJob, defineTransform, merge } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";
import { describe, expect, it } from "vitest";

const mark = (text: string) => defineTransform("mark", { process: (item) => item.with(`${text} ${item.element}`) });
const inputs = ["first", "second"];

describe("a job with several event inputs", () => {
  it("takes them apart by their names", async () => {
    const job = defineJob({
      build(input) {
        const [second, first] = input.branch("second", "first");
        return merge(first.apply(mark("one"), "one"), second.apply(mark("two"), "two"));
      },
    });
    const tested = testJob(job, { inputs });
    const texts = [];
    for (const input of inputs) texts.push(...(await tested.send({ element: "x", input })).messages.map((m) => m.text));
    expect(texts).toEqual(["one x", "two x"]);
  });

  it("takes them together where it does not care", async () => {
    const tested = testJob(defineJob({ build: (input) => input.apply(mark("any")) }), { inputs });
    for (const input of inputs) expect((await tested.send({ element: "x", input })).messages).toHaveLength(1);
  });

  it("is refused when it names one that is not there, and when nothing takes one", async () => {
    const unknown = testJob(defineJob({ build: (input) => input.branch("third")[0].apply(mark("x")) }), { inputs });
    await expect(unknown.send("x")).rejects.toThrow(
      'there is no event input "third" in klio-job.yaml; there are: first, second',
    );
    const untaken = testJob(defineJob({ build: (input) => input.branch("first")[0].apply(mark("x")) }), { inputs });
    await expect(untaken.send("x")).rejects.toThrow('nothing takes what comes from the event input "second"');
  });

  it("knows its one input by name as well", async () => {
    const job = defineJob({ build: (input) => input.branch("pubsub0")[0].apply(mark("x")) });
    expect((await testJob(job).send("x")).messages).toHaveLength(1);
  });
});
