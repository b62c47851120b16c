export { type Ensured, ensureResources } from "./ensure.js";
export { planResources, type Resources } from "./plan.js";
