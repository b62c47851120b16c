import { defineJob, defineTransform } from "@klio/runtime";

const invert = defineTransform("invert", {
  async process(item, ctx) {
    let size = 0;
    const source = await ctx.open(item);
    const inverted = async function* () {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        for (let i = 0; i < chunk.length; i += 1) chunk[i] = ~(chunk[i] ?? 0);
        size += chunk.length;
        yield chunk;
      }
    };
    await ctx.upload(item, inverted());
    return item.with(String(size));
  },
});

export default defineJob({ build: (input) => input.apply(invert) });
