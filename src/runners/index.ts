import { KlioError } from "../errors.js";

export { LocalJob, type LocalJobOptions } from "./direct/local-job.js";
export type { RunEvent } from "./direct/run.js";

/** Runners by the names of `pipeline_options.runner`. */
export const runners = [
  { name: "DirectRunner", what: "on this machine, against local emulators: --direct-runner", available: true },
  { name: "DockerRunner", what: "in the job's image on this machine", available: false },
  { name: "DirectGKERunner", what: "on Kubernetes", available: false },
  { name: "DataflowRunner", what: "on Dataflow, through Apache Beam", available: false },
] as const;

/** The error that says which runners there are. */
export function chooseRunner(asked: string): KlioError {
  return new KlioError("RUNNER", `say where the job is to run; klio-job.yaml says ${asked}`, {
    hint: "Run it on this machine: klio job run --direct-runner",
    details: runners.map(({ name, what, available }) => `${name}: ${what}${available ? "" : " (not in this version)"}`),
    data: { runners },
  });
}
