export { type Ensured, ensureResources } from "./ensure.js";
export { needsNothing, planResources, type Resources } from "./plan.js";
export { createResources } from "./create.js";
