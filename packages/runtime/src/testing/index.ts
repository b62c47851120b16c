export type { Described } from "./described.js";
export type { TestOptions } from "./test-config.js";
export {
  type RawTestMessage,
  testJob,
  type TestedObject,
  type TestJob,
  type TestMessage,
  type TestResult,
} from "./test-job.js";
