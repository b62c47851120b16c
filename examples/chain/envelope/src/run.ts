import { defineJob } from "@klio/runtime";
import { envelope } from "./transforms.js";

export default defineJob({
  build: (input, config) => input.apply(envelope({ windowMs: Number(config["window_ms"] ?? 20) })),
});
