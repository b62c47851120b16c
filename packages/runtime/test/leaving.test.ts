import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, json, PermanentError } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

/** What becomes of a payload that leaves as JSON; the compiler would not let all of them pass. */
async function leaving(value: unknown) {
  const work = defineTransform("work", { process: (item) => item.with(json(value as string)) });
  return testJob(defineJob({ build: (input) => input.apply(work) })).send("x");
}

describe("a payload that leaves as JSON", () => {
  it.each([
    [null, "null"],
    [{ a: undefined, b: [undefined] }, '{"b":[null]}'],
  ])("%j is sent", async (value, text) => {
    expect((await leaving(value)).messages.map((m) => m.text)).toEqual([text]);
  });

  const circular: { self?: unknown } = {};
  circular.self = circular;
  it.each([
    [undefined, "json(…): undefined is nothing that JSON has"],
    [() => 1, "json(…): a value of type function is nothing that JSON has"],
    [Symbol("s"), "json(…): a value of type symbol is nothing that JSON has"],
    [{ toJSON: () => undefined }, "json(…): a value of type object is nothing that JSON has"],
    [{ a: 1n }, "json(…): Do not know how to serialize a BigInt"],
    [circular, "json(…): Converting circular structure to JSON"],
  ])("%o says that it cannot be", async (value, message) => {
    const { error, reason, outcome } = await leaving(value);
    expect(outcome).toBe("dead-letter");
    expect(error?.message.split("\n")[0]).toBe(message);
    expect(error?.stack).toMatch(/^TypeError: json/);
    expect(reason).toContain("json(…)");
  });

  it("fails as its own toJSON does", async () => {
    const toJSON = () => {
      throw new PermanentError("not for others", { code: "SECRET" });
    };
    expect((await leaving({ toJSON })).error).toMatchObject({ code: "SECRET", permanent: true });
  });
});
