import { defineJob, merge } from "@klio/runtime";
import { note } from "./transforms.js";

// The job's entry. `build` lays out the steps; it runs in every process, so it does nothing else.
export default defineJob({
  build(input) {
    // By the names of the event inputs in klio-job.yaml; `input.apply(…)` takes the messages of all of them.
    const [additions, corrections] = input.branch("additions", "corrections");
    return merge(
      additions.apply(note({ title: "added" }), "note-addition"),
      corrections.apply(note({ title: "corrected" }), "note-correction"),
    );
  },
});
