import { defineTransform } from "@klio/runtime";

/** Notes what happened to each element and sends on what it was. */
export const note = (options: { readonly title: string }) =>
  defineTransform("note", {
    async process(item, ctx) {
      ctx.logger.info(`${options.title}: ${item.element}`);
      await ctx.upload(item, `${options.title}: ${item.element}\n`, { contentType: "text/plain; charset=utf-8" });
      return item.with(options.title);
    },
  });
