import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadImage } from "@napi-rs/canvas";
import { childId } from "@klio/runtime/message";
import { afterEach, expect, it } from "vitest";
import { tone, wavFile } from "../../examples/spectrogram/test/wav-file.js";
import { Rig, root } from "../support/rig.js";

let rig: Rig;

afterEach(() => rig.close());

const messages = 1_000;

it(`${messages} recordings become ${messages} whole pictures while workers are killed, and bad ones dead letters`, async () => {
  const workers = "  workers: {count: 2, concurrency: 4}\n";
  const delivery = "  delivery: {attempts: 20, retry_delay: 50ms, ack_deadline: 10s, dead_letter: DEAD}";
  rig = await Rig.start({
    job: join(root, "examples/spectrogram"),
    jobConfig: workers + delivery,
    inputSuffix: ".wav",
    outputSuffix: ".png",
    checkInput: true,
    expect: (element, klioId) => {
      if (!element.startsWith("rec-")) return { objects: [], outputs: [], hopeless: true };
      const outputs = [childId(klioId, "fault-job", "draw", "main", 0)];
      return { objects: [{ name: `job/${element}.png` }], outputs };
    },
  });
  const elements = Array.from({ length: messages }, (_, i) => `rec-${i}`);
  const recordings = Array.from({ length: 10 }, (_, i) =>
    wavFile(tone([200 * (i + 1)], 0.25, 8_000), { sampleRate: 8_000 }),
  );
  for (const [i, element] of elements.entries()) await rig.putInput(`job/${element}.wav`, recordings[i % 10] ?? "");
  await rig.putInput("job/empty.wav", "");
  await rig.putInput("job/truncated.wav", (recordings[0] ?? Buffer.alloc(0)).subarray(0, 1_000));
  await rig.run();
  await rig.publish(elements);
  await rig.publish(["empty", "truncated", "missing"]);
  let kills = 0;
  while (rig.outcomes().length < messages + 3) {
    await sleep(3_000);
    const [victim] = rig.workers();
    if (victim === undefined || kills >= 8) continue;
    process.kill(victim, "SIGKILL");
    kills += 1;
  }
  expect(kills).toBeGreaterThan(0);
  await rig.untilDone(messages + 3);
  const dead = rig.outcomes("dead-letter").map((o) => [o["element"], o["code"]]);
  expect(dead.sort()).toEqual([
    ["empty", "BAD_WAV"],
    ["missing", "INPUT_NOT_FOUND"],
    ["truncated", "BAD_WAV"],
  ]);
  for (const element of elements) {
    const picture = await loadImage((await rig.output(`job/${element}.png`)) ?? Buffer.alloc(0));
    expect(picture.width, element).toBe(1_240);
  }
  // One delivery each: a worker's death is not the broker's business.
  expect(rig.count("deliver", "fault-in-job")).toBe(messages + 3);
  const output = new Set(rig.of("publish", "fault-out").map((e) => e.attributes["klio-id"]));
  expect(output.size).toBe(messages);
  expect(await rig.stop()).toBe(0);
  expect(rig.check()).toEqual([]);
  console.log(
    `${messages} messages, ${kills} workers killed, ${rig.of("publish", "fault-out").length} output messages`,
  );
}, 600_000);
