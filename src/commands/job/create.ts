import { relative, resolve } from "node:path";
import { Flags } from "@oclif/core";
import { KlioError } from "../../errors.js";
import { createResources } from "../../resources/index.js";
import {
  type Answers,
  askNobody,
  checkAnswer,
  type Collected,
  collectAnswers,
  drawTree,
  findTemplate,
  type Given,
  installJob,
  isTrue,
  listTemplates,
  optionQuestions,
  planWrite,
  type Question,
  refuseFilled,
  renderJob,
  type Template,
  templateQuestions,
  writeJob,
  type WritePlan,
} from "../../scaffold/index.js";
import { KlioCommand, paragraphs } from "../../ui/klio-command.js";
import { askInTerminal, choose } from "../../ui/prompts.js";

const textFlag = (question: Question) =>
  Flags.string({ description: question.prompt.charAt(0).toLowerCase() + question.prompt.slice(1), helpValue: "VALUE" });
const flagsOf = (questions: readonly Question[]) => Object.fromEntries(questions.map((q) => [q.flag, textFlag(q)]));

/** Flags that Klio takes with a word or without one. */
const switches = ["use-fnapi", "create-resources"];

export default class JobCreate extends KlioCommand {
  static override summary = "Make a job from a template.";
  static override description =
    paragraphs(`On a terminal it asks what no flag says, shows what it is about to write, and writes it when you agree. Without a terminal,
with --use-defaults or --json, nothing is asked: a flag that has no default and is missing is an error.
The job vendors its runtime, so it runs without any registry. Written is all of it or nothing.`);
  static override examples = [
    "<%= config.bin %> job create",
    "<%= config.bin %> job create --list-templates",
    "<%= config.bin %> job create --from audio --job-name my-job --gcp-project my-project --use-defaults --output my-job",
    "<%= config.bin %> job create --job-name child --gcp-project my-project --use-defaults --dependency job_name=parent",
    "<%= config.bin %> job create --job-type batch --job-name words --gcp-project my-project --use-defaults --dry-run",
  ];
  static override flags = {
    from: Flags.string({
      description: "the template: a name of --list-templates, or a directory",
      helpValue: "NAME|DIR",
    }),
    "list-templates": Flags.boolean({ description: "say which templates there are, and make nothing" }),
    "job-type": Flags.option({
      options: ["streaming", "batch"] as const,
      description: "streaming or batch: the template when --from does not say",
      helpValue: "TYPE",
    })(),
    "job-name": Flags.string({ description: "name of the job", helpValue: "NAME" }),
    "gcp-project": Flags.string({
      description: "Google Cloud project; for local work it need not exist",
      helpValue: "ID",
    }),
    output: Flags.string({ description: "the job's directory (default: the current one)", helpValue: "DIR" }),
    "use-defaults": Flags.boolean({ description: "ask nothing" }),
    force: Flags.boolean({ description: "write into a directory that is not empty; says which files it overwrites" }),
    "dry-run": Flags.boolean({ description: "print the tree and the files, and write nothing" }),
    install: Flags.boolean({ allowNo: true, default: true, description: "install the job's packages with npm" }),
    dependency: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: "a job that this one receives from; its output topic is this job's input",
      helpValue: "job_name=NAME,gcp_project=ID,region=REGION,input_topic=TOPIC",
    }),
    answer: Flags.string({
      multiple: true,
      multipleNonGreedy: true,
      description: "an answer to a question of a template of your own",
      helpValue: "KEY=VALUE",
    }),
    "create-resources": Flags.boolean({
      description: "create its topics, subscriptions and buckets, in Google Cloud or where PUBSUB_EMULATOR_HOST says",
    }),
    "python-version": Flags.string({
      description: "accepted for Klio's sake: jobs are TypeScript",
      helpValue: "VERSION",
    }),
    ...flagsOf(templateQuestions),
    ...flagsOf(optionQuestions),
    "use-fnapi": Flags.boolean({ description: "use Beam's FnAPI" }),
    "worker-machine-type": Flags.string({
      aliases: ["machine-type"],
      description: "machine type of workers",
      helpValue: "VALUE",
    }),
  };

  async run() {
    this.argv = withoutWords(this.argv, switches);
    const { flags } = await this.parse(JobCreate);
    const { templates, tarball } = this.assets;
    if (flags["list-templates"]) return this.#list(templates);
    const interactive = !flags["use-defaults"] && process.stdin.isTTY && process.stderr.isTTY && !this.jsonEnabled();
    const target = resolve(flags.output ?? ".");
    await refuseFilled(target, flags.force || flags["dry-run"]);
    if (flags["python-version"] !== undefined)
      this.tell("! --python-version is for Klio's Python jobs; this job is TypeScript");
    const name = flags.from ?? flags["job-type"] ?? (interactive ? await this.#chooseTemplate() : "streaming");
    const template = findTemplate(templates, name, process.cwd());
    refuseOtherType(template, flags["job-type"]);
    const ask = interactive ? askInTerminal(checkAnswer) : askNobody;
    const collected = await collectAnswers(template, given(flags), ask);
    const plan = await planWrite(
      target,
      await renderJob(template, collected, tarball),
      flags.force || flags["dry-run"],
    );
    const result = { job: collected.answers["jobName"], template: template.name, directory: target };
    const paths = plan.files.map((f) => f.path);
    if (flags["dry-run"]) return { ...result, files: paths, ...this.#dryRun(plan) };
    if (interactive && !(await this.#agreed(plan, collected, (message) => ask.confirm(message, true)))) {
      this.tell("nothing was written");
      process.exitCode = 1;
      return { ...result, files: [], installed: false };
    }
    this.#tellOverwritten(plan);
    const resources = flags["create-resources"] ? await createResources(plan.files, process.env) : [];
    for (const { kind, name: what, state } of resources) this.tell(`${state} the ${kind} ${what}`);
    await writeJob(plan);
    this.log(`created ${result.job ?? ""} in ${target}: ${paths.length} files`);
    const installed = flags.install && (await this.#install(target));
    this.#tellNext(target, collected.answers);
    return { ...result, files: paths, overwritten: plan.overwritten, resources, installed };
  }

  #list(folder: string) {
    const templates = listTemplates(folder).map(({ name, description, jobType }) => ({ name, jobType, description }));
    const width = Math.max(...templates.map((t) => t.name.length));
    for (const { name, jobType, description } of templates)
      this.log(`${name.padEnd(width)}  ${jobType.padEnd(9)}  ${description}`);
    return { templates };
  }

  async #chooseTemplate(): Promise<string> {
    const all = listTemplates(this.assets.templates);
    const choices = all.map((t) => ({ value: t.name, name: `${t.name}: ${t.description}` }));
    return choose(
      "Template",
      choices.sort((a, b) => (b.value === "streaming" ? 1 : a.value === "streaming" ? -1 : 0)),
    );
  }

  async #agreed(
    plan: WritePlan,
    collected: Collected,
    confirm: (message: string) => Promise<boolean>,
  ): Promise<boolean> {
    this.tell(
      drawTree(
        plan.target,
        plan.files.map((f) => f.path),
      ),
    );
    this.#tellOverwritten(plan);
    const parents = collected.parents.map((p) => p.jobName).join(", ");
    if (parents !== "") this.tell(`receives from: ${parents}`);
    return confirm(`Write these ${plan.files.length} files?`);
  }

  #tellOverwritten({ overwritten }: WritePlan): void {
    if (overwritten.length > 0) this.tell(`! overwritten: ${overwritten.join(", ")}`);
  }

  #dryRun(plan: WritePlan) {
    const contents = plan.files.map(({ path, data }) => ({ path, bytes: data.length, text: textOf(data) }));
    this.log(
      drawTree(
        plan.target,
        plan.files.map((f) => f.path),
      ),
    );
    for (const { path, bytes, text } of contents)
      this.log(`\n--- ${path} (${bytes} bytes)${text === undefined ? "" : `\n${text}`}`);
    this.#tellOverwritten(plan);
    return { contents, overwritten: plan.overwritten, installed: false };
  }

  async #install(target: string): Promise<boolean> {
    this.tell("installing its packages…");
    const interrupted = new AbortController();
    process.once("SIGINT", () => {
      interrupted.abort();
    });
    const { ok, tail } = await installJob(target, interrupted.signal);
    if (interrupted.signal.aborted) {
      process.exitCode = 130;
      this.tell("! interrupted; the job is there, install its packages later with: npm ci");
      return false;
    }
    if (!ok) this.tell(`! npm could not install them; the job is there, install later with: ${tail}`);
    return ok;
  }

  #tellNext(target: string, answers: Answers): void {
    const folder = relative(process.cwd(), target);
    if (folder !== "") this.tell(`next: cd ${folder}`);
    const watch = answers["inputTopic"] === undefined ? "" : " --watch";
    this.tell(`${folder === "" ? "next: " : "      "}klio job run --direct-runner${watch}`);
  }
}

function given(flags: Readonly<Record<string, unknown>>): Given {
  const texts = Object.entries(flags).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  const answers = ((flags["answer"] as string[] | undefined) ?? []).map((text): [string, string] => {
    const at = text.indexOf("=");
    if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
    throw new KlioError("FLAG_VALUE", `--answer takes KEY=VALUE, not "${text}"`);
  });
  const values = Object.fromEntries(texts);
  if (flags["use-fnapi"] === true) values["use-fnapi"] = "yes";
  return {
    flags: values,
    answers: new Map(answers),
    dependencies: (flags["dependency"] as string[] | undefined) ?? [],
  };
}

/** `--use-fnapi true` and `--use-fnapi=no` as Klio takes them: the switch, or its absence. */
function withoutWords(argv: readonly string[], names: readonly string[]): string[] {
  const words: string[] = [];
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? "";
    const name = names.find((n) => word === `--${n}` || word.startsWith(`--${n}=`));
    const next = argv[i + 1] ?? "";
    const value = word.includes("=") ? word.slice(word.indexOf("=") + 1) : isWord(next) ? next : "yes";
    if (name === undefined || !isWord(value)) {
      words.push(word);
      continue;
    }
    if (value === next && !word.includes("=")) i += 1;
    if (isTrue(value)) words.push(`--${name}`);
  }
  return words;
}

function isWord(text: string): boolean {
  return /^(?:y|yes|true|n|no|false)$/i.test(text);
}

function refuseOtherType(template: Template, asked: string | undefined): void {
  if (asked === undefined || asked === template.jobType) return;
  throw new KlioError(
    "CREATE_NO_PLACE",
    `the template ${template.name} makes a ${template.jobType} job, not a ${asked} one`,
    {
      hint: `Leave out --job-type, or choose another template: klio job create --list-templates`,
    },
  );
}

/** Text to be shown; undefined for what is not text. */
function textOf(data: Buffer): string | undefined {
  if (data.includes(0) || data.length > 1_000_000) return undefined;
  const text = data.toString();
  return text.includes("\uFFFD") ? undefined : text;
}
