import { defineTransform, skip } from "@klio/runtime";
import { findSamples } from "./wav.js";

const fullScale = 32_767;

/** Brings the loudest sample of a recording to `peak` of full scale. */
export const normalize = (options: { readonly peak: number }) =>
  defineTransform("normalize", {
    async process(item, ctx) {
      const file = Buffer.from(await ctx.read(item));
      const { offset, length } = findSamples(file);
      const samples = Array.from({ length: length / 2 }, (_, i) => offset + 2 * i);
      const loudest = samples.reduce((most, at) => Math.max(most, Math.abs(file.readInt16LE(at))), 0);
      if (loudest === 0) return skip("silence");
      const gain = (options.peak * fullScale) / loudest;
      for (const at of samples) file.writeInt16LE(Math.round(file.readInt16LE(at) * gain), at);
      ctx.metrics.gauge("gain").set(gain);
      await ctx.upload(item, file, { contentType: "audio/wav" });
      return item.with(undefined);
    },
  });
