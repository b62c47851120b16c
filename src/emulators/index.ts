export { environmentOf, exportLines, type Shell, shellOf, shells } from "./environment.js";
export { type EmulatorFaults, faultsFrom, noFaults, pubsubFaultNames, storageFaultNames } from "./faults.js";
export { projectFrom } from "./project.js";
export { runInside, type Ran } from "./run-inside.js";
