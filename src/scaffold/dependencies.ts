import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";
import {
  checkAnswer,
  jobNameQuestion,
  optionQuestions,
  projectQuestion,
  type Question,
  templateQuestions,
} from "./questions.js";

/** A parent job. */
export interface ParentJob {
  readonly jobName: string;
  readonly project: string;
  readonly region: string | undefined;
  readonly inputTopics: readonly string[];
}

const keys = ["job_name", "gcp_project", "region", "input_topic", "input_topics"];

/** Reads `job_name=…,gcp_project=…,input_topic=…`. Throws a KlioError that names the wrong part. */
export function parseDependency(text: string, project: string): ParentJob {
  const values = new Map<string, string[]>();
  let last: string | undefined;
  for (const part of text.split(",")) {
    const at = part.indexOf("=");
    // A part without a key belongs to the one before it: input_topics=A,B
    const key = at < 0 ? last : part.slice(0, at).trim();
    if (key === undefined || !keys.includes(key)) throw wrong(text, unknownKey(part, key));
    values.set(key, [...(values.get(key) ?? []), at < 0 ? part : part.slice(at + 1)]);
    last = key;
  }
  const jobName = values.get("job_name")?.[0];
  if (jobName === undefined) throw wrong(text, "it needs job_name=NAME");
  const parent = {
    jobName,
    project: values.get("gcp_project")?.[0] ?? project,
    region: values.get("region")?.[0],
    inputTopics: [...(values.get("input_topic") ?? []), ...(values.get("input_topics") ?? [])],
  };
  const topicQuestion = templateQuestions.find((q) => q.key === "inputTopic") ?? jobNameQuestion;
  check(text, jobNameQuestion, parent.jobName);
  check(text, projectQuestion, parent.project);
  for (const topic of parent.inputTopics) check(text, topicQuestion, topic);
  const regionQuestion = optionQuestions.find((q) => q.key === "region") ?? jobNameQuestion;
  if (parent.region !== undefined) check(text, regionQuestion, parent.region);
  return parent;
}

/** Where a parent sends to by default. */
export function outputTopicOf(parent: ParentJob): string {
  return `projects/${parent.project}/topics/${parent.jobName}-output`;
}

/** Where a parent writes to by default. */
export function outputLocationOf(parent: ParentJob): string {
  return `gs://${parent.project.replaceAll(/[.:]/g, "-")}-output/${parent.jobName}`;
}

function check(text: string, question: Question, value: string): void {
  const verdict = checkAnswer(question, value);
  if (verdict !== true)
    throw wrong(text, `${JSON.stringify(value)}: ${verdict.charAt(0).toLowerCase()}${verdict.slice(1)}`);
}

function unknownKey(part: string, key: string | undefined): string {
  const meant = key === undefined ? undefined : nearest(key, keys);
  return `"${part}" is not KEY=VALUE with a key it knows${meant === undefined ? "" : `; did you mean ${meant}?`}`;
}

function wrong(text: string, why: string): KlioError {
  return new KlioError("CREATE_ANSWER", `--dependency ${text} is not right: ${why}`, {
    hint: `Its keys: ${keys.join(", ")}. For example: --dependency job_name=parent,gcp_project=my-project`,
  });
}
