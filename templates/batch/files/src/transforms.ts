import { defineTransform, skip } from "@klio/runtime";

/** Counts the words of each text and writes their number down. */
export const countWords = defineTransform("count-words", {
  async process(item, ctx) {
    // Large files: ctx.open(item) is a stream, ctx.file(item) the path of a copy.
    const text = Buffer.from(await ctx.read(item)).toString();
    const words = text.split(/\s+/).filter((word) => word !== "");
    if (words.length === 0) return skip("it has no words");
    ctx.metrics.counter("words").inc(words.length);
    await ctx.upload(item, `${words.length}\n`, { contentType: "text/plain; charset=utf-8" });
    return item.with(undefined);
  },
});
