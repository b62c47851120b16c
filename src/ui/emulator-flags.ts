import { Flags } from "@oclif/core";
import { pubsubFaultNames, storageFaultNames } from "../emulators/index.js";

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
    description: `let this happen on purpose, with a probability. In Pub/Sub: ${pubsubFaultNames.join(", ")}. In Cloud Storage: ${storageFaultNames.join(", ")}`,
    helpValue: "FAULT=PROBABILITY",
    multiple: true,
    multipleNonGreedy: true,
  }),
  "fault-seed": Flags.integer({ description: "the same seed gives the same faults again", helpValue: "NUMBER" }),
  "fault-delay": Flags.integer({
    description:
      "how long a message or an answer is delayed (default: 1000), a download stalled (default: 30000), in milliseconds",
    helpValue: "MS",
    min: 0,
  }),
  "fault-after": Flags.integer({
    description: "where a body of Cloud Storage is broken, cut or stalled (default: 1000)",
    helpValue: "BYTES",
    min: 0,
  }),
} as const;

export const projectFlag = {
  project: Flags.string({
    description: "the project they are for (default: that of klio-job.yaml here, GOOGLE_CLOUD_PROJECT, klio-local)",
    helpValue: "PROJECT_ID",
  }),
} as const;
