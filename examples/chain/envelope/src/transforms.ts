import { defineTransform } from "@klio/runtime";

/** Measures how loud each window of a recording is: root mean square of its samples, 0 to 1. */
export const envelope = (options: { readonly windowMs: number }) =>
  defineTransform("envelope", {
    async process(item, ctx) {
      const file = Buffer.from(await ctx.read(item));
      // What the job before writes has its samples behind a header of a known form.
      const rate = file.readUInt32LE(24);
      const samples = file.subarray(file.indexOf("data") + 8);
      const window = Math.max(1, Math.round((rate * options.windowMs) / 1_000));
      const levels: number[] = [];
      for (let at = 0; at + 2 * window <= samples.length; at += 2 * window) {
        let sum = 0;
        for (let i = 0; i < window; i += 1) sum += (samples.readInt16LE(at + 2 * i) / 32_768) ** 2;
        levels.push(Number(Math.sqrt(sum / window).toFixed(4)));
      }
      await ctx.upload(item, JSON.stringify({ windowMs: options.windowMs, levels }), {
        contentType: "application/json",
      });
      return item.with(undefined);
    },
  });
