import { relative, resolve } from "node:path";
import { Flags } from "@oclif/core";
import {
  askNobody,
  checkAnswer,
  collectAnswers,
  findTemplate,
  installJob,
  listTemplates,
  questions,
  renderJob,
} from "../../scaffold/index.js";
import { KlioCommand } from "../../ui/klio-command.js";
import { askInTerminal, choose } from "../../ui/prompts.js";

const answerFlags = Object.fromEntries(
  questions.map((q) => [q.flag, Flags.string({ description: q.prompt.toLowerCase(), helpValue: "VALUE" })]),
);

export default class JobCreate extends KlioCommand {
  static override summary = "Make a job from a template.";
  static override description = `Without a terminal, or with --use-defaults, nothing is asked: a flag that has no default and is missing is an error.
The job vendors its runtime, so it runs without any registry.`;
  static override examples = [
    "<%= config.bin %> job create",
    "<%= config.bin %> job create --from audio --job-name my-job --gcp-project my-project --use-defaults --output my-job",
  ];
  static override flags = {
    from: Flags.string({ description: "the template: streaming or audio", helpValue: "NAME" }),
    output: Flags.string({ description: "the job's directory (default: the current one)", helpValue: "DIR" }),
    "use-defaults": Flags.boolean({ description: "ask nothing" }),
    install: Flags.boolean({ allowNo: true, default: true, description: "install the job's packages with npm" }),
    ...answerFlags,
  };

  async run() {
    const { flags } = await this.parse(JobCreate);
    const given = flags as Readonly<Record<string, string | undefined>>;
    const interactive = !flags["use-defaults"] && process.stdin.isTTY && process.stderr.isTTY && !this.jsonEnabled();
    const { templates, tarball } = this.assets;
    const name = flags.from ?? (interactive ? await this.#chooseTemplate() : "streaming");
    const template = findTemplate(templates, name);
    const answers = await collectAnswers(given, interactive ? askInTerminal(checkAnswer) : askNobody);
    const target = resolve(flags.output ?? ".");
    const files = await renderJob({ template, answers, target, tarball });
    this.log(`created ${answers.jobName} in ${target}: ${files.length} files`);
    const installed = flags.install && (await this.#install(target));
    this.#tellNext(target);
    return { job: answers.jobName, template: name, directory: target, files, installed };
  }

  async #chooseTemplate(): Promise<string> {
    const all = listTemplates(this.assets.templates);
    const choices = all.map((t) => ({ value: t.name, name: `${t.name}: ${t.description}` }));
    return choose(
      "Template",
      choices.sort((a, b) => (b.value === "streaming" ? 1 : a.value === "streaming" ? -1 : 0)),
    );
  }

  async #install(target: string): Promise<boolean> {
    this.tell("installing its packages…");
    const interrupted = new AbortController();
    process.once("SIGINT", () => {
      interrupted.abort();
    });
    const { ok, tail } = await installJob(target, interrupted.signal);
    if (!ok) this.tell(`! npm could not install them; the job is there, install later with: npm ci\n${tail}`);
    return ok;
  }

  #tellNext(target: string): void {
    const folder = relative(process.cwd(), target);
    if (folder !== "") this.tell(`next: cd ${folder}`);
    this.tell(`${folder === "" ? "next: " : "      "}klio job run --direct-runner`);
  }
}
