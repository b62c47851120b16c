import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface BatchJobOptions {
  readonly inputs?: string;
  readonly outputs?: string;
  /** More of job_config, each line indented by two. */
  readonly more?: string;
  readonly streaming?: boolean;
}

/**
 * A batch job whose code notes every start of itself in `starts.log`; elements that begin with `bad` throw, with `slow` take
 * two seconds, the others `pause` milliseconds.
 */
export function writeBatchJob(directory: string, options: BatchJobOptions = {}): string {
  mkdirSync(join(directory, "src"), { recursive: true });
  writeFileSync(
    join(directory, "klio-job.yaml"),
    `job_name: test-batch
pipeline_options: {project: test-project, streaming: ${options.streaming ?? false}, runner: DirectRunner}
job_config:
  pause: 5
  events:
    inputs: ${options.inputs ?? "[{type: file, location: elements.txt}]"}
    outputs: ${options.outputs ?? "[{type: file, location: out/done, file_name_suffix: .txt}]"}
  data:
    outputs: [{type: file, location: out/objects}]
${options.more ?? "  delivery: {attempts: 2, retry_delay: 50ms}\n"}`,
  );
  writeFileSync(
    join(directory, "src/run.ts"),
    `import { appendFileSync } from "node:fs";
import { defineJob, defineTransform, skip } from "@klio/runtime";

const work = (pause: number) => defineTransform("work", {
  async process(item, ctx) {
    appendFileSync("starts.log", item.element + "\\n");
    if (item.element.startsWith("bad")) throw new Error("it is bad");
    if (item.element.startsWith("skip")) return skip("not wanted");
    await new Promise((r) => setTimeout(r, item.element.startsWith("slow") ? 2_000 : pause));
    await ctx.upload(item, "made from " + item.element);
    return item.with(undefined);
  },
});
export default defineJob({ build: (input, config) => input.apply(work(Number(config["pause"]))) });
`,
  );
  return directory;
}

/** How often user code began with each element. */
export function starts(directory: string): Map<string, number> {
  const counts = new Map<string, number>();
  const path = join(directory, "starts.log");
  if (!existsSync(path)) return counts;
  for (const line of readFileSync(path, "utf8").split("\n").slice(0, -1)) counts.set(line, (counts.get(line) ?? 0) + 1);
  return counts;
}

export function writeElements(directory: string, elements: readonly string[], file = "elements.txt"): void {
  appendFileSync(join(directory, file), elements.map((e) => `${e}\n`).join(""));
}

/** `e1` to `en`. */
export function numbered(n: number, prefix = "e"): string[] {
  return Array.from({ length: n }, (_, i) => `${prefix}${i + 1}`);
}
