export { environmentOf, exportLines, type Shell, shellOf, shells } from "./environment.js";
export { faultsFrom, pubsubFaultNames, storageFaultNames } from "./faults.js";
export { projectFrom } from "./project.js";
export { runInside, type Ran } from "./run-inside.js";
