import { defineJob, defineTransform } from "@klio/runtime";

const log = defineTransform("log", {
  process(item, ctx) {
    ctx.logger.info(`received ${item.element}`);
    return item.with(undefined);
  },
});

export default defineJob({ build: (input) => input.apply(log) });
