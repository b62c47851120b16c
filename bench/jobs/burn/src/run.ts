import { defineJob, defineTransform } from "@klio/runtime";
import { burn } from "./burn.js";

const transform = defineTransform("burn", { process: (item) => item.with(String(burn(item.element.length))) });

export default defineJob({ build: (input) => input.apply(transform) });
