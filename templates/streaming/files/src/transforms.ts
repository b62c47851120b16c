import { defineTransform } from "@klio/runtime";

/** Writes a greeting for each element and sends on where it lies. */
export const greet = (options: { readonly greeting: string }) =>
  defineTransform("greet", {
    async process(item, ctx) {
      ctx.logger.info(`received ${item.element}`);
      // To work on a recording, a picture, a document: const bytes = await ctx.read(item);
      const { uri } = await ctx.upload(item, `${options.greeting}, ${item.element}!\n`, {
        contentType: "text/plain; charset=utf-8",
      });
      return item.with(uri);
    },
  });
