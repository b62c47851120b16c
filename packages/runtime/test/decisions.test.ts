import { describe, expect, it } from "vitest";
import {
  type Context,
  defineJob,
  defineTransform,
  type Item,
  json,
  merge,
  PermanentError,
  skip,
  tag,
  type Tagged,
} from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

const upload = defineTransform("upload", {
  async process(item, ctx) {
    await ctx.upload(item, `made by ${ctx.klioId}`);
    return item.with("done");
  },
});
const job = defineJob({ build: (input) => input.apply(upload) });

describe("whether a message is processed", () => {
  // Klio's table: output before input, force never replaces the input. Ping is decided before any worker is asked.
  it.each([
    { output: true, input: true, force: false, outcome: "passed-through" },
    { output: true, input: false, force: false, outcome: "passed-through" },
    { output: true, input: true, force: true, outcome: "processed" },
    { output: true, input: false, force: true, outcome: "dead-letter" },
    { output: false, input: true, force: false, outcome: "processed" },
    { output: false, input: false, force: false, outcome: "dead-letter" },
    { output: false, input: true, force: true, outcome: "processed" },
    { output: false, input: false, force: true, outcome: "dead-letter" },
  ])("output $output, input $input, force $force: $outcome", async ({ output, input, force, outcome }) => {
    const tested = testJob(job, { objects: { ...(output || input ? { x: "input" } : {}) } });
    if (output) await tested.send("x");
    const other = input || output ? tested : testJob(job, { objects: {} });
    if (output && !input) tested.removeInput("x");
    const result = await other.send({ element: "x", force });
    expect(result.outcome).toBe(outcome);
    if (outcome === "dead-letter") expect(result.error).toMatchObject({ code: "INPUT_NOT_FOUND", permanent: true });
  });
});

describe("what a transform returns", () => {
  it("branches by tag, and merges", async () => {
    const sort = defineTransform("sort", {
      process: (item) => (item.element.length > 3 ? tag("long", item.element.length) : tag("short", item.element)),
    });
    const double = defineTransform("double", { process: (item: Item<number>) => item.with(`${item.payload * 2}`) });
    const keep = defineTransform("keep", { process: (item: Item<string>) => item });
    const branching = defineJob({
      build(input) {
        const [long, short] = input.apply(sort).branch("long", "short");
        return merge(long.apply(double), short.apply(keep));
      },
    });
    const tested = testJob(branching);
    expect((await tested.send("hello")).messages.map((m) => m.text)).toEqual(["10"]);
    expect((await tested.send("abc")).messages.map((m) => m.text)).toEqual(["abc"]);
  });

  it("may be several items, each with an id of its own that stays the same", async () => {
    const split = defineTransform("split", {
      async *process(item) {
        await Promise.resolve();
        for (const part of item.element.split(",")) yield item.with(part);
      },
    });
    const splitting = defineJob({ build: (input) => input.apply(split) });
    const [first, again] = [await testJob(splitting).send("a,b,c"), await testJob(splitting).send("a,b,c")];
    expect(first.messages.map((m) => m.text)).toEqual(["a", "b", "c"]);
    expect(new Set(first.messages.map((m) => m.klioId)).size).toBe(3);
    expect(again.messages.map((m) => m.klioId)).toEqual(first.messages.map((m) => m.klioId));
  });

  it("may be a skip, with its reason", async () => {
    const skipping = defineJob({
      build: (input) =>
        input.apply(defineTransform("quiet", { process: (i) => (i.element === "" ? i.with("x") : skip("silence")) })),
    });
    expect(await testJob(skipping).send("x")).toMatchObject({ outcome: "skipped", reason: "silence", messages: [] });
  });

  it("leaves the job as bytes, text or declared JSON, and as nothing else", async () => {
    const make = (value: unknown) =>
      defineJob({
        build: (input) => input.apply(defineTransform("make", { process: (i) => i.with(value as string) })),
      });
    expect((await testJob(make(json({ a: 1 }))).send("x")).messages[0]?.text).toBe('{"a":1}');
    expect((await testJob(make(Buffer.from("b"))).send("x")).messages[0]?.text).toBe("b");
    expect((await testJob(make(undefined)).send("x")).messages[0]?.text).toBe("");
    expect((await testJob(make({ a: 1 })).send("x")).reason).toContain("cannot leave the job");
  });

  it("must not be forgotten", async () => {
    const forgetful = defineTransform("forgetful", {
      process: (() => undefined) as unknown as (i: unknown) => ReturnType<typeof skip>,
    });
    const result = await testJob(defineJob({ build: (input) => input.apply(forgetful as never) })).send("x");
    expect(result.reason).toContain("is a return missing?");
  });
});

describe("failures", () => {
  it("carry the node, and whether another attempt may help", async () => {
    const fail = (error: Error) =>
      testJob(
        defineJob({
          build: (input) =>
            input
              .apply(
                defineTransform("fail", {
                  process: (): ReturnType<typeof skip> => {
                    throw error;
                  },
                }),
              )
              .apply(upload as never),
        }),
      );
    expect((await fail(new Error("boom")).send("x")).error).toMatchObject({ message: "boom", permanent: false });
    expect((await fail(new PermanentError("no", { code: "NO" })).send("x")).error).toMatchObject({
      code: "NO",
      permanent: true,
    });
  });

  it("are tried again within the attempt where the transform says so", async () => {
    let calls = 0;
    const flaky = defineTransform("flaky", {
      retry: { tries: 3 },
      process(item) {
        calls += 1;
        if (calls < 3) throw new Error("not yet");
        return item.with("finally");
      },
    });
    const result = await testJob(defineJob({ build: (input) => input.apply(flaky) })).send("x");
    expect(result.messages.map((m) => m.text)).toEqual(["finally"]);
    expect(result.logs.filter((l) => l.severity === "WARNING")).toHaveLength(2);
  });
});

describe("an upload", () => {
  const run = (process: (item: Item, ctx: Context) => ReturnType<typeof skip> | Item<string> | Promise<Item<string>>) =>
    testJob(defineJob({ build: (input) => input.apply(defineTransform("up", { process })) })).send("x");

  it("is waited for even if user code does not", async () => {
    const forgetful = await run((item, ctx) => {
      void ctx.upload(item, "late");
      return item.with("done");
    });
    expect(forgetful.objects).toMatchObject([{ name: "x", write: "uploaded" }]);
    const broken = await run((item, ctx) => {
      void ctx.upload(item, failing());
      return item.with("done");
    });
    expect(broken).toMatchObject({ outcome: "dead-letter", reason: "the source broke" });
  });

  it("of a second result to the same object is refused rather than lost", async () => {
    const result = await run(async (item, ctx) => {
      await ctx.upload(item, "one");
      await ctx.upload(item, "two");
      return item.with("done");
    });
    expect(result.error).toMatchObject({ code: "DUPLICATE_OUTPUT", permanent: true });
  });
});

describe("an output that nothing takes", () => {
  it("fails the message rather than vanish", async () => {
    const stray = defineTransform("stray", {
      process: (item): Item<string> | Tagged<"error", string> => tag("error", item.element),
    });
    const result = await testJob(defineJob({ build: (input) => input.apply(stray) })).send("x");
    expect(result.error).toMatchObject({ code: "UNTAKEN_OUTPUT", permanent: true });
    expect(result.reason).toContain('tagged "error"');
  });
});

describe("a job that is laid out wrongly", () => {
  it("says which node is there twice, what build forgot, which of its own keys are wrong", async () => {
    const twice = defineJob({ build: (input) => input.apply(upload as never).apply(upload as never) });
    await expect(testJob(twice).send("x")).rejects.toThrow('there are two nodes called "upload"');
    const nothing = defineJob({ build: () => undefined as never });
    await expect(testJob(nothing).send("x")).rejects.toThrow("did you forget to return");
    const schema = {
      "~standard": {
        version: 1 as const,
        vendor: "test",
        validate: () => ({ issues: [{ message: "must be a number", path: ["floor"] }] }),
      },
    };
    const strict = defineJob({ config: schema, build: (input) => input.apply(upload) });
    await expect(testJob(strict).send("x")).rejects.toThrow("job_config.floor: must be a number");
    expect(() => defineTransform("a/b", { process: (i) => i.with("") })).toThrow("a node's name");
  });
});

async function* failing(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from("x"));
  throw new Error("the source broke");
}
