export { loadSeed, type Seed } from "./load.js";
export { plant, type Planted } from "./plant.js";
