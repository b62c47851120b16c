import { createHash } from "node:crypto";
import { defineTransform } from "@klio/runtime";

/** What the first bytes of a file say it is. */
const kinds: readonly (readonly [begins: string, kind: string])[] = [
  ["RIFF", "audio/wav"],
  ["\u0089PNG", "image/png"],
  ["%PDF", "application/pdf"],
  ["{", "application/json"],
];

/** Writes down what each file is, how large, and its SHA-256; the file itself is never in memory as a whole. */
export const describeFile = defineTransform("describe-file", {
  async process(item, ctx) {
    const hash = createHash("sha256");
    let bytes = 0;
    let head = "";
    for await (const chunk of (await ctx.open(item)) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      bytes += chunk.length;
      if (head === "") head = chunk.toString("latin1", 0, 8);
    }
    const kind = kinds.find(([begins]) => head.startsWith(begins))?.[1] ?? "text/plain";
    const description = { file: item.element, kind, bytes, sha256: hash.digest("hex") };
    ctx.metrics.counter("bytes").inc(bytes);
    await ctx.upload(item, `${JSON.stringify(description, null, 2)}\n`, { contentType: "application/json" });
    return item.with(undefined);
  },
});
