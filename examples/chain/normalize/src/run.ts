import { defineJob } from "@klio/runtime";
import { normalize } from "./transforms.js";

export default defineJob({
  build: (input, config) => input.apply(normalize({ peak: Number(config["peak"] ?? 0.9) })),
});
