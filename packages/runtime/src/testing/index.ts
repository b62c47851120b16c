export {
  testJob,
  type TestedObject,
  type TestJob,
  type TestMessage,
  type TestOptions,
  type TestResult,
} from "./test-job.js";
