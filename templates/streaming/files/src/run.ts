import { defineJob } from "@klio/runtime";
import { greet } from "./transforms.js";

// The job's entry. `build` lays out the steps; it runs in every process, so it does nothing else.
export default defineJob({
  build(input, config) {
    const greeting = typeof config["greeting"] === "string" ? config["greeting"] : "Hello";
    return input.apply(greet({ greeting }));
  },
});
