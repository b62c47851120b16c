import { createHash } from "node:crypto";
import { testJob } from "@klio/runtime/testing";
import { expect, test } from "vitest";
import job from "../src/run.js";

test("says what a file is, how large, and its checksum", async () => {
  const data = Buffer.from("RIFF0000WAVE");
  const result = await testJob(job, { objects: { "a.wav": data }, outputSuffix: ".json" }).send("a.wav");
  expect(result.error).toBeUndefined();
  expect(JSON.parse(Buffer.from(result.objects[0]?.data ?? []).toString())).toEqual({
    file: "a.wav",
    kind: "audio/wav",
    bytes: 12,
    sha256: createHash("sha256").update(data).digest("hex"),
  });
});
