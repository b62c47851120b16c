export { type BrokerChoice, chooseBroker } from "./broker.js";
export { checkPublishOptions, type Failed, publishAll, type Published, type PublishOptions } from "./publish.js";
export { OutcomeWatch } from "./wait.js";
