import { defineJob } from "@klio/runtime";
import { chart } from "./transforms.js";

export default defineJob({ build: (input) => input.apply(chart) });
