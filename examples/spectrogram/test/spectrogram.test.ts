import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createCanvas, loadImage } from "@napi-rs/canvas";
import { describe, expect, it } from "vitest";
import { area, plot, rowOf } from "../src/plot.js";
import { stft } from "../src/stft.js";
import { decodeWav } from "../src/wav.js";
import { tone, wavFile } from "./wav-file.js";

interface Reference {
  readonly name: string;
  readonly window: number;
  readonly hop: number;
  readonly samples: readonly number[];
  readonly frames: number;
  readonly bins: number;
  readonly magnitudes: readonly number[];
}

const reference = JSON.parse(readFileSync(join(import.meta.dirname, "scipy-reference.json"), "utf8")) as {
  readonly scipy: string;
  readonly signals: readonly Reference[];
};

describe("the STFT", () => {
  it.each(reference.signals)("agrees with SciPy's within 1e-6: $name", (expected) => {
    const { frames, bins, magnitudes } = stft(Float64Array.from(expected.samples), expected);
    expect([frames, bins]).toEqual([expected.frames, expected.bins]);
    let worst = 0;
    expected.magnitudes.forEach((value, i) => (worst = Math.max(worst, Math.abs(value - (magnitudes[i] ?? NaN)))));
    expect(worst).toBeLessThan(1e-6);
    expect(expected.magnitudes.length).toBe(magnitudes.length);
  });
});

describe("WAV files", () => {
  const signal = tone([440], 0.05, 44_100);

  it.each([
    [16, 1, false],
    [16, 2, false],
    [24, 1, false],
    [24, 2, false],
    [32, 2, false],
    [32, 1, true],
    [32, 2, true],
    [64, 1, true],
  ] as const)("are decoded: %i bits, %i channel(s), float %s", (bits, channels, float) => {
    const decoded = decodeWav(wavFile(signal, { sampleRate: 44_100, bits, channels, float }));
    expect(decoded).toMatchObject({ sampleRate: 44_100, channels });
    // Rounding is half a step, and the writer scales by one step less than the reader.
    const step = 1.5 * 2 ** (1 - Math.min(bits, 24));
    signal.forEach((value, i) => {
      expect(Math.abs(value - (decoded.samples[i] ?? NaN))).toBeLessThanOrEqual(step);
    });
  });

  it.each([8_000, 11_025, 22_050, 48_000, 96_000])("may have any rate: %i Hz", (sampleRate) => {
    expect(decodeWav(wavFile(tone([440], 0.1, sampleRate), { sampleRate })).sampleRate).toBe(sampleRate);
  });

  it("are decoded when the real recordings are", () => {
    const file = readFileSync(join(import.meta.dirname, "../recordings/sense-and-sensibility-1.wav"));
    const { sampleRate, samples } = decodeWav(file);
    expect(sampleRate).toBe(16_000);
    expect(samples.length / sampleRate).toBeCloseTo(2.99, 1);
  });
});

describe("the picture", () => {
  it("has the ridges of a 440 + 880 Hz tone on their rows", async () => {
    const sampleRate = 8_000;
    const samples = tone([440, 880], 2, sampleRate);
    const [window, hop] = [1_024, 256];
    const spectrogram = stft(samples, { window, hop });
    const png = plot(spectrogram, { title: "tone", sampleRate, hop, duration: 2, range: 80 });
    const image = await loadImage(png);
    const context = createCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const column = context.getImageData(area.left + area.width / 2, area.top, 1, area.height).data;
    const brightness = Array.from({ length: area.height }, (_, y) =>
      [0, 1, 2].reduce((sum, i) => sum + (column[y * 4 + i] ?? 0), 0),
    );
    const peaks = brightness
      .map((value, y) => ({ value, y }))
      .filter(({ value, y }) => value >= 600 && value >= (brightness[y - 1] ?? 0) && value > (brightness[y + 1] ?? 0))
      .map(({ y }) => y + area.top);
    // A bin is 7.8 Hz, a row 8.3 Hz: each ridge is within a row of its frequency.
    const expected = [880, 440].map((f) => rowOf(f, sampleRate));
    expect(peaks.length).toBe(2);
    peaks.forEach((row, i) => {
      expect(Math.abs(row + 0.5 - (expected[i] ?? 0))).toBeLessThanOrEqual(1.5);
    });
  });
});
