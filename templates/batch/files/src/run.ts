import { defineJob } from "@klio/runtime";
import { countWords } from "./transforms.js";

// The job's entry. `build` lays out the steps; it runs in every process, so it does nothing else.
export default defineJob({
  build: (input) => input.apply(countWords),
});
