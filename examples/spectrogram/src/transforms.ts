import { defineTransform, type Item } from "@klio/runtime";
import { area, plot } from "./plot.js";
import { stft, type Spectrogram } from "./stft.js";
import { decodeWav } from "./wav.js";

export interface Analysis {
  readonly spectrogram: Spectrogram;
  readonly sampleRate: number;
  readonly hop: number;
  /** Seconds. */
  readonly duration: number;
}

/** Downloads the recording and computes its spectrogram. */
export const analyse = (options: { readonly window: number }) =>
  defineTransform("analyse", {
    async process(item, ctx) {
      const { sampleRate, channels, samples } = decodeWav(await ctx.read(item));
      // About two frames for each column of the picture, however long the recording.
      const hop = Math.max(16, Math.floor(samples.length / (2 * area.width)));
      const duration = samples.length / sampleRate;
      ctx.logger.info(`${duration.toFixed(1)} s at ${sampleRate} Hz, ${channels} channel(s)`);
      const spectrogram = stft(samples, { window: options.window, hop });
      return item.with<Analysis>({ spectrogram, sampleRate, hop, duration });
    },
  });

/** Draws the spectrogram and uploads the picture. */
export const draw = (options: { readonly range: number }) =>
  defineTransform("draw", {
    async process(item: Item<Analysis>, ctx) {
      const { spectrogram, ...about } = item.payload;
      const png = plot(spectrogram, { ...about, range: options.range, title: item.element });
      const { uri } = await ctx.upload(item, png, { contentType: "image/png" });
      return item.with(uri);
    },
  });
