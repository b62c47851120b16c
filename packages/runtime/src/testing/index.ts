export type { Described } from "./described.js";
export type { RawTestMessage, TestedObject, TestJob, TestMessage, TestResult, UpstreamMessage } from "./test-api.js";
export type { TestOptions } from "./test-config.js";
export { testJob } from "./test-job.js";
