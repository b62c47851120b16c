import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";
import { outputLocationOf, outputTopicOf, parseDependency, type ParentJob } from "./dependencies.js";
import {
  type Answers,
  checkAnswer,
  isTrue,
  jobNameQuestion,
  optionQuestions,
  projectQuestion,
  type Question,
  templateQuestions,
} from "./questions.js";
import type { Template } from "./templates.js";

/** How answers that no flag gave are found. */
export interface Ask {
  text(question: Question, byDefault: string | undefined): Promise<string>;
  confirm(message: string, byDefault: boolean): Promise<boolean>;
}

/** What the command line gave. */
export interface Given {
  /** By flag, without the hyphens. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  /** `--answer KEY=VALUE`, of a template's own questions. */
  readonly answers: ReadonlyMap<string, string>;
  /** `--dependency`, in order. */
  readonly dependencies: readonly string[];
}

export interface Collected {
  readonly answers: Answers;
  readonly parents: readonly ParentJob[];
  /** Options of `pipeline_options` that were given. */
  readonly options: readonly { readonly key: string; readonly value: string | number | readonly string[] }[];
}

/** Collects all answers: flags first, then `ask`. Throws a KlioError that names the flag of a wrong or missing answer. */
export async function collectAnswers(template: Template, given: Given, ask: Ask): Promise<Collected> {
  refuseUseless(template, given);
  const answers: Record<string, string> = {};
  const answer = async (question: Question) => {
    const own = question.flag === `answer ${question.key}`;
    const flag = own ? given.answers.get(question.key) : given.flags[question.flag];
    const value = flag ?? (await ask.text(question, question.byDefault(answers)));
    checkOrThrow(question, value);
    answers[question.key] = value;
  };
  await answer(jobNameQuestion);
  await answer(projectQuestion);
  const parents = await collectParents(template, given, answers["project"] ?? "", ask);
  const [first, second] = parents;
  if (first !== undefined) {
    answers["parentTopic"] = outputTopicOf(first);
    answers["parentLocation"] = outputLocationOf(first);
  }
  if (second !== undefined) answers["secondParentTopic"] = outputTopicOf(second);
  for (const question of template.questions) await answer(question);
  const options = await collectOptions(given, answers, ask);
  return { answers, parents, options };
}

/** An answer that the template has no place for would be lost in silence. */
function refuseUseless(template: Template, given: Given): void {
  const asked = template.questions.map((q) => q.flag);
  for (const { flag } of templateQuestions) {
    if (given.flags[flag] === undefined || asked.includes(flag)) continue;
    throw new KlioError("CREATE_NO_PLACE", `--${flag} has no meaning for the template ${template.name}`, {
      hint: `It is told: ${asked.map((f) => `--${f}`).join(", ")}.`,
    });
  }
  const own = template.questions.filter((q) => q.flag === `answer ${q.key}`).map((q) => q.key);
  for (const key of given.answers.keys()) {
    if (own.includes(key)) continue;
    const meant = nearest(key, own);
    const known = own.length === 0 ? "It has no questions of its own." : `It asks: ${own.join(", ")}.`;
    throw new KlioError("CREATE_NO_PLACE", `--answer ${key} has no meaning for the template ${template.name}`, {
      hint: meant === undefined ? known : `Did you mean --answer ${meant}=…?`,
    });
  }
}

function checkOrThrow(question: Question, value: string): void {
  const verdict = checkAnswer(question, value);
  if (verdict === true) return;
  throw new KlioError("CREATE_ANSWER", `--${question.flag} ${JSON.stringify(value)} is not right`, {
    hint: `${verdict}.`,
  });
}

async function collectParents(template: Template, given: Given, project: string, ask: Ask): Promise<ParentJob[]> {
  const parents = given.dependencies.map((text) => parseDependency(text, project));
  const topics = template.questions.filter((q) => q.flag.endsWith("input-topic"));
  if (parents.length > 0 || topics.length === 0 || topics.some((q) => given.flags[q.flag] !== undefined))
    return parents;
  const parent = { ...jobNameQuestion, flag: "dependency", prompt: "Name of that job" };
  const itsProject = { ...projectQuestion, flag: "dependency", prompt: "Its Google Cloud project" };
  let more = await ask.confirm("Does it receive from another job?", false);
  while (more) {
    const jobName = await ask.text(parent, undefined);
    parents.push({ jobName, project: await ask.text(itsProject, project), region: undefined, inputTopics: [] });
    more = parents.length < topics.length && (await ask.confirm("From another one?", false));
  }
  return parents;
}

async function collectOptions(given: Given, answers: Record<string, string>, ask: Ask): Promise<Collected["options"]> {
  const wanted = await ask.confirm("Set options of Dataflow now? They can be added to klio-job.yaml later", false);
  const options: { key: string; value: string | number | readonly string[] }[] = [];
  for (const question of optionQuestions) {
    const flag = given.flags[question.flag];
    const value = flag ?? (wanted ? await ask.text(question, question.byDefault(answers)) : undefined);
    if (value === undefined) continue;
    checkOrThrow(question, value);
    answers[question.key] = value;
    if (question.option === undefined || value === "") continue;
    const typed = question.type === "integer" ? Number(value) : question.type === "list" ? value.split(",") : value;
    options.push({ key: question.option, value: typed });
  }
  if (!isTrue(answers["useFnapi"])) return options;
  // What Klio writes when it is asked for Beam's FnAPI.
  const others = options.filter((o) => o.key !== "experiments");
  const experiments = (answers["experiments"] ?? "").split(",").filter((e) => e !== "" && e !== "beam_fn_api");
  return [...others, { key: "experiments", value: ["beam_fn_api", ...experiments] }];
}

/** For `--use-defaults` and for runs without a terminal: the default, or an error that names the flag. */
export const askNobody: Ask = {
  text: (question, byDefault) => {
    if (byDefault !== undefined) return Promise.resolve(byDefault);
    const [flag = "", key] = question.flag.split(" ");
    throw new KlioError("CREATE_MISSING", `--${question.flag} is missing`, {
      hint: `Give it: --${flag} ${key === undefined ? "" : `${key}=`}VALUE (${question.rule}).`,
    });
  },
  confirm: (_, byDefault) => Promise.resolve(byDefault),
};
