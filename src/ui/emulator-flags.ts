import { Flags } from "@oclif/core";
import { faultNames } from "../emulators/index.js";

/** Flags of commands that start emulators. */
export const startFlags = {
  bind: Flags.string({
    description: "address to listen on, e.g. that of a Docker bridge, so that containers reach it",
    helpValue: "ADDRESS",
    default: "127.0.0.1",
  }),
  "seed-file": Flags.string({
    description: "topics, subscriptions, buckets and files to begin with (YAML or JSON)",
    helpValue: "FILE",
  }),
  fault: Flags.string({
    description: `let this happen on purpose, with a probability: ${faultNames.join(", ")}`,
    helpValue: "FAULT=PROBABILITY",
    multiple: true,
    multipleNonGreedy: true,
  }),
  "fault-seed": Flags.integer({ description: "the same seed gives the same faults again", helpValue: "NUMBER" }),
  "fault-delay": Flags.integer({
    description: "how long a delayed message is held back, in milliseconds (default: 1000)",
    helpValue: "MS",
    min: 0,
  }),
} as const;

export const projectFlag = {
  project: Flags.string({
    description: "the project they are for (default: that of klio-job.yaml here, GOOGLE_CLOUD_PROJECT, klio-local)",
    helpValue: "PROJECT_ID",
  }),
} as const;
