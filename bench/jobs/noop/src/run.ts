import { defineJob, defineTransform } from "@klio/runtime";

export default defineJob({
  build: (input) => input.apply(defineTransform("noop", { process: (item) => item.with(item.payload) })),
});
