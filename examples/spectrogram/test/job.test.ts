import { testJob } from "@klio/runtime/testing";
import { describe, expect, it } from "vitest";
import job from "../src/run.js";
import { tone, wavFile } from "./wav-file.js";

const suffixes = { inputSuffix: ".wav", outputSuffix: ".png" };

describe("the spectrogram job", () => {
  it("makes a picture of a recording and says where it is", async () => {
    const recording = wavFile(tone([440, 880], 1, 16_000), { sampleRate: 16_000 });
    const result = await testJob(job, { objects: { "rec-1.wav": recording }, ...suffixes }).send("rec-1");
    expect(result.error).toBeUndefined();
    expect(result.objects).toMatchObject([{ name: "rec-1.png", write: "uploaded" }]);
    expect(
      Buffer.from(result.objects[0]?.data ?? [])
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
    expect(result.messages.map((m) => m.text)).toEqual(["gs://test-output/rec-1.png"]);
  });

  it("passes a message on when its picture is there already", async () => {
    const recording = wavFile(tone([440], 0.2, 8_000), { sampleRate: 8_000 });
    const tested = testJob(job, { objects: { "rec-1.wav": recording }, ...suffixes });
    expect((await tested.send("rec-1")).outcome).toBe("processed");
    expect((await tested.send("rec-1")).outcome).toBe("passed-through");
    expect((await tested.send({ element: "rec-1", force: true })).objects).toMatchObject([{ write: "uploaded" }]);
  });

  it.each([
    ["an empty file", Buffer.alloc(0), "the file is empty"],
    ["a file that is no WAV", Buffer.from("hello, this is text"), "not a WAV file"],
    ["a truncated recording", wavFile(tone([440], 1, 8_000), { sampleRate: 8_000 }).subarray(0, 1_000), "truncated"],
  ])("gives up at once on %s", async (_, bytes, reason) => {
    const result = await testJob(job, { objects: { "rec-1.wav": bytes }, ...suffixes, attempts: 5 }).send("rec-1");
    expect(result.error).toMatchObject({ permanent: true, code: "BAD_WAV" });
    expect(result).toMatchObject({ outcome: "dead-letter", attempts: 1, objects: [], messages: [] });
    expect(result.reason).toContain(reason);
    expect(result.deadLetter?.attributes["klio-dead-letter-code"]).toBe("BAD_WAV");
  });

  it("gives up at once on a recording that is not there", async () => {
    const result = await testJob(job, { objects: {}, ...suffixes }).send("rec-1");
    expect(result.error).toMatchObject({ permanent: true, code: "INPUT_NOT_FOUND" });
  });
});
