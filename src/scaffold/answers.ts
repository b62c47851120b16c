import { KlioError } from "../errors.js";

/** What a job is made from. */
export interface Answers {
  readonly jobName: string;
  readonly project: string;
  readonly inputTopic: string;
  readonly outputTopic: string;
  readonly inputLocation: string;
  readonly outputLocation: string;
}

/** One answer: its flag, how it is asked for, what it is when nobody says, and what it must be. */
export interface Question {
  readonly key: keyof Answers;
  readonly flag: string;
  readonly prompt: string;
  /** Undefined: there is no sensible default. The answers so far are given. */
  readonly byDefault: (answers: Partial<Answers>) => string | undefined;
  readonly rule: string;
  readonly pattern: RegExp;
}

const topicPattern =
  /^projects\/(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]\/topics\/(?!goog)[A-Za-z][A-Za-z0-9_.~+%-]{2,254}$/;
const topicRule = "projects/PROJECT_ID/topics/TOPIC_ID; the id has 3 to 255 letters, digits and -_.~+%, a letter first";
const locationPattern = /^gs:\/\/[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](?:\/[^\r\n\0]*)?$/;
const locationRule = "gs://BUCKET or gs://BUCKET/FOLDER; a bucket has 3 to 63 lower-case letters, digits and -_.";

/** In the order in which they are asked. */
export const questions: readonly Question[] = [
  {
    key: "jobName",
    flag: "job-name",
    prompt: "Name of the job",
    byDefault: () => undefined,
    rule: "lower-case letters, digits and hyphens, a letter first, no hyphen last, at most 63",
    pattern: /^[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?$/,
  },
  {
    key: "project",
    flag: "gcp-project",
    prompt: "Google Cloud project (for local work it need not exist)",
    byDefault: () => undefined,
    rule: "6 to 30 lower-case letters, digits and hyphens, a letter first, no hyphen last",
    pattern: /^(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]$/,
  },
  {
    key: "inputTopic",
    flag: "input-topic",
    prompt: "Topic the job receives from",
    byDefault: ({ project, jobName }) => `projects/${project}/topics/${jobName}-input`,
    rule: topicRule,
    pattern: topicPattern,
  },
  {
    key: "outputTopic",
    flag: "output-topic",
    prompt: "Topic the job sends to",
    byDefault: ({ project, jobName }) => `projects/${project}/topics/${jobName}-output`,
    rule: topicRule,
    pattern: topicPattern,
  },
  {
    key: "inputLocation",
    flag: "input-data-location",
    prompt: "Where input objects are",
    byDefault: ({ project, jobName }) => `gs://${project?.replaceAll(/[.:]/g, "-")}-input/${jobName}`,
    rule: locationRule,
    pattern: locationPattern,
  },
  {
    key: "outputLocation",
    flag: "output-data-location",
    prompt: "Where output objects go",
    byDefault: ({ project, jobName }) => `gs://${project?.replaceAll(/[.:]/g, "-")}-output/${jobName}`,
    rule: locationRule,
    pattern: locationPattern,
  },
];

/** True, or which rule the answer breaks: the form that prompts take. */
export function checkAnswer(question: Question, value: string): true | string {
  return question.pattern.test(value) ? true : `It must be ${question.rule}`;
}

/** How answers that no flag gave are found: by asking, by default, or not at all. */
export type Ask = (question: Question, byDefault: string | undefined) => Promise<string>;

/** Collects all answers: flags first, then `ask`. Throws a KlioError that names the flag of a wrong or missing answer. */
export async function collectAnswers(flags: Readonly<Record<string, string | undefined>>, ask: Ask): Promise<Answers> {
  const answers: Partial<Record<keyof Answers, string>> = {};
  for (const question of questions) {
    const given = flags[question.flag];
    const value = given ?? (await ask(question, question.byDefault(answers)));
    const verdict = checkAnswer(question, value);
    if (verdict !== true) {
      const message = `--${question.flag} ${JSON.stringify(value)} is not right`;
      throw new KlioError("CREATE_ANSWER", message, { hint: `${verdict}.` });
    }
    answers[question.key] = value;
  }
  return answers as Answers;
}

/** For `--use-defaults` and for runs without a terminal: the default, or an error that names the flag. */
export const askNobody: Ask = (question, byDefault) => {
  if (byDefault !== undefined) return Promise.resolve(byDefault);
  throw new KlioError("CREATE_MISSING", `--${question.flag} is missing`, {
    hint: `Give it: --${question.flag} VALUE (${question.rule}).`,
  });
};
