import { defineJob } from "@klio/runtime";
import { describeFile } from "./transforms.js";

export default defineJob({ build: (input) => input.apply(describeFile) });
