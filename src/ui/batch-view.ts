import { chalkStderr } from "chalk";
import type { RunEvent } from "../runners/index.js";

const { green, yellow, red, dim, bold } = chalkStderr;

/** The event at the end of a batch run (spec/runtime-events.schema.json). */
export interface Summary {
  readonly job: string;
  readonly complete: boolean;
  readonly elements: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly failed: number;
  readonly resumed: number;
  readonly duration_ms: number;
  readonly files: readonly string[];
  readonly dead_letters?: string;
}

const count = (n: number) => n.toLocaleString("en-US");

export function gatheredLine(event: RunEvent): string {
  const [elements, blank, done] = ["elements", "blank", "done"].map((k) => Number(event[k])) as [
    number,
    number,
    number,
  ];
  const left = blank === 0 ? "" : dim(`, ${count(blank)} empty line(s) left out`);
  const resumed = done === 0 ? "" : `; going on after ${count(done)} that an interrupted run was done with`;
  return `${count(elements)} element(s)${left}${resumed}`;
}

/** In the order in which they are told. */
const told = ["processed", "passed-through", "skipped", "duplicate", "dead-letter"];

/** What became of the elements, where the output is, and what to do next. */
export function summaryLines(summary: Summary): string {
  const { outcomes, elements, complete, failed, job, files, resumed } = summary;
  const dead = outcomes["dead-letter"] ?? 0;
  const counted = told.flatMap((name) => ((outcomes[name] ?? 0) > 0 ? [[name, outcomes[name] ?? 0] as const] : []));
  const parts = counted.map(([name, n]) =>
    name === "dead-letter" ? red(`${count(n)} dead letter(s)`) : `${count(n)} ${name}`,
  );
  if (failed > 0) parts.push(red(`${count(failed)} failed`));
  const done = counted.reduce((sum, [, n]) => sum + n, 0);
  const seconds = summary.duration_ms / 1_000;
  const rate = seconds > 0 ? ` (${count(Math.round((done - resumed) / seconds))}/s)` : "";
  const before = resumed > 0 ? `, ${count(resumed)} of them before` : "";
  const sign = !complete || dead > 0 ? red("✘") : green("✔");
  const many = complete ? count(elements) : `${count(done)} of ${count(elements)}`;
  const lines = [
    `${sign} ${bold(job)}: ${many} element(s): ${parts.join(", ") || "none"}${before}${dim(` in ${seconds.toFixed(1)} s${rate}`)}`,
  ];
  if (files.length > 0) {
    lines.push(`  → ${files.length > 3 ? `${files[0] ?? ""} … ${files.at(-1) ?? ""}` : files.join(", ")}`);
  }
  if (summary.dead_letters !== undefined) {
    lines.push(
      yellow(`  ! why elements became dead letters: ${summary.dead_letters}; run the job again to try them again`),
    );
  }
  if (!complete) lines.push(yellow("  ! it is not finished; run the job again and it goes on with the rest"));
  return lines.join("\n");
}

/** How far a batch run is, in a line. */
export class Progress {
  #total = 0;
  #done = 0;
  #before = 0;
  #dead = 0;
  readonly #started = Date.now();

  /** Takes an event into account. Whether the run is at work. */
  add(event: RunEvent): void {
    if (event.event === "gathered") {
      this.#total = Number(event["elements"]);
      this.#done = this.#before = Number(event["done"]);
    }
    if (event.event === "outcome" && event["outcome"] !== "given-back") {
      this.#done += 1;
      if (event["outcome"] === "dead-letter") this.#dead += 1;
    }
  }

  get begun(): boolean {
    return this.#total > 0;
  }

  line(width: number): string {
    const share = this.#total === 0 ? 0 : this.#done / this.#total;
    const seconds = (Date.now() - this.#started) / 1_000;
    const rate = seconds > 0 ? (this.#done - this.#before) / seconds : 0;
    const left = rate > 0 ? ` · ${count(Math.ceil((this.#total - this.#done) / rate))} s left` : "";
    const dead = this.#dead === 0 ? "" : ` · ${this.#dead} dead letter(s)`;
    const text = ` ${count(this.#done)}/${count(this.#total)} · ${Math.floor(share * 100)} % · ${rate.toFixed(rate < 10 ? 1 : 0)}/s${dead}${left}`;
    const room = Math.max(0, width - 1);
    const cells = Math.max(0, Math.min(40, room - text.length));
    const full = Math.round(cells * share);
    return `${green("█".repeat(full))}${dim("░".repeat(cells - full))}${width === 0 ? text : text.slice(0, room)}`;
  }
}
