import { createHash } from "node:crypto";
import { defineJob, defineTransform } from "@klio/runtime";

const hash = defineTransform("hash", {
  async process(item, ctx) {
    const digest = createHash("sha256")
      .update(await ctx.read(item))
      .digest("hex");
    await ctx.upload(item, digest, { contentType: "text/plain" });
    return item.with(digest);
  },
});

export default defineJob({ build: (input) => input.apply(hash) });
