import { defineJob, defineTransform, PermanentError, skip } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";
import { expect, test } from "vitest";

// The examples of docs/guide/testing.md; test/repo/guide.test.ts compares them.

const size = defineTransform("size", {
  timeout: "10s",
  async process(item, ctx) {
    const bytes = await ctx.read(item);
    if (bytes.length === 0) return skip("empty");
    if (bytes[0] === 0) throw new PermanentError("not a recording", { code: "BAD_WAV" });
    ctx.metrics.counter("bytes").inc(bytes.length);
    await ctx.upload(item, `${bytes.length}\n`);
    return item.with(`${bytes.length}`);
  },
});

const job = defineJob({ build: (input) => input.apply(size) });

const options = {
  objects: { "rec-1.wav": "RIFF", "empty.wav": "", "bad.wav": Uint8Array.of(0, 1) },
  inputSuffix: ".wav",
  outputSuffix: ".txt",
};

test("writes down the size of a recording", async () => {
  const result = await testJob(job, options).send("rec-1");
  expect(result.outcome).toBe("processed");
  expect(result.acknowledged).toBe(true);
  expect(result.objects).toMatchObject([{ name: "rec-1.txt", write: "uploaded" }]);
  expect(result.messages.map((m) => m.text)).toEqual(["4"]);
  expect(result.metrics).toMatchObject([{ kind: "counter", name: "bytes", node: "size", value: 4 }]);
});

test("gives up on what is no recording", async () => {
  const result = await testJob(job, { ...options, attempts: 3 }).send("bad");
  expect(result).toMatchObject({ outcome: "dead-letter", attempts: 1, error: { code: "BAD_WAV", permanent: true } });
  expect(result.deadLetter?.attributes).toMatchObject({ "klio-dead-letter-code": "BAD_WAV" });
});

test("tries again what fails for a passing reason", async () => {
  let calls = 0;
  const flaky = defineTransform("flaky", {
    process(item) {
      calls += 1;
      if (calls < 3) throw new Error("not yet");
      return item.with("done");
    },
  });
  const tested = testJob(defineJob({ build: (input) => input.apply(flaky) }), { attempts: 5, retryDelay: "10s" });
  const before = tested.clock.now();
  const result = await tested.send("rec-1");
  expect(result).toMatchObject({ outcome: "processed", attempts: 3, charged: 2 });
  expect(tested.clock.now() - before).toBe(30_000); // 10 s, then 20 s, over which the clock jumped
});

test("does not wait for ever", async () => {
  const endless = defineTransform("endless", {
    timeout: "2m",
    process: (item, ctx) =>
      new Promise<typeof item>((_, reject) => {
        ctx.signal.addEventListener("abort", () => {
          reject(new Error("stopped"));
        });
      }),
  });
  const tested = testJob(defineJob({ build: (input) => input.apply(endless) }));
  const sent = tested.send("rec-1");
  await tested.clock.advance("2m");
  expect((await sent).error).toMatchObject({ code: "TIMEOUT" });
});

test("passes on what is there already, unless it is forced", async () => {
  const tested = testJob(job, options);
  await tested.send("rec-1");
  expect((await tested.send("rec-1")).outcome).toBe("passed-through");
  expect((await tested.send({ element: "rec-1", force: true })).objects).toMatchObject([{ write: "uploaded" }]);
  await tested.stop(); // as SIGTERM does; runs teardown
});

test("leaves out what is empty", async () => {
  expect(await testJob(job, options).send("empty")).toMatchObject({ outcome: "skipped", reason: "empty" });
});
