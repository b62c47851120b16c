import { readFileSync } from "node:fs";
import { join } from "node:path";
import { testJob } from "@klio/runtime/testing";
import { expect, test } from "vitest";
import chart from "../chart/src/run.js";
import envelope from "../envelope/src/run.js";
import normalize from "../normalize/src/run.js";

const recordings = join(import.meta.dirname, "../../spectrogram/recordings");
const recording = readFileSync(join(recordings, "sense-and-sensibility-1.wav"));

test("a recording becomes as loud as it may, then an envelope, then a chart", async () => {
  const loud = await testJob(normalize, {
    objects: { "a.wav": recording },
    inputSuffix: ".wav",
    outputSuffix: ".wav",
  }).send("a");
  const file = Buffer.from(loud.objects[0]?.data ?? []);
  const samples = Array.from({ length: (file.length - 44) / 2 }, (_, i) => Math.abs(file.readInt16LE(44 + 2 * i)));
  expect(Math.max(...samples.slice(0, 50_000), ...samples.slice(50_000, 100_000))).toBeLessThanOrEqual(
    Math.round(0.9 * 32_767),
  );
  expect(samples.some((s) => s === Math.round(0.9 * 32_767))).toBe(true);

  const levels = await testJob(envelope, {
    objects: { "a.wav": file },
    inputSuffix: ".wav",
    outputSuffix: ".json",
  }).send("a");
  const text = Buffer.from(levels.objects[0]?.data ?? []).toString();
  const seconds = ((JSON.parse(text) as { levels: number[] }).levels.length * 20) / 1_000;
  expect(seconds).toBeCloseTo((file.length - 44) / 2 / file.readUInt32LE(24), 1);

  const drawn = await testJob(chart, { objects: { "a.json": text }, inputSuffix: ".json", outputSuffix: ".svg" }).send(
    "a",
  );
  expect(Buffer.from(drawn.objects[0]?.data ?? []).toString()).toMatch(/^<svg [^>]+viewBox="0 0 \d+ 120"/);
});

test("what is no recording is refused for good", async () => {
  const result = await testJob(normalize, { objects: { "a.wav": "text" }, inputSuffix: ".wav" }).send("a");
  expect(result.error).toMatchObject({ code: "NOT_A_RECORDING", permanent: true });
});
