import { defineJob } from "@klio/runtime";
import { analyse, draw } from "./transforms.js";

// The job: each message names a recording; a picture of its spectrogram comes out.
export default defineJob({
  build(input, config) {
    const window = Number(config["window"] ?? 1024);
    const range = Number(config["range_db"] ?? 80);
    return input.apply(analyse({ window })).apply(draw({ range }));
  },
});
