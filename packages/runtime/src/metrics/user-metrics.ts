import { Counter, Gauge, Registry } from "prom-client";
import { messageOf } from "../error-message.js";
import type { MetricTotal } from "./totals.js";

const suffixes = { counter: ["_total"], gauge: [""], timer: ["_seconds_sum", "_seconds_count"] } as const;

/** Figures of one kind that share their names in Prometheus. */
interface Group {
  readonly kind: MetricTotal["kind"];
  /** As user code has it. */
  readonly name: string;
  readonly series: readonly string[];
  readonly totals: MetricTotal[];
}

/**
 * What user code reported, as Prometheus reads it. Names and tags are the user's, and may be anything: what cannot be shown is left
 * out, with a comment that says why, and takes nothing else with it.
 */
export async function userMetricsText(totals: readonly MetricTotal[], job: string): Promise<string> {
  const texts: string[] = [];
  const taken = new Map<string, Group>();
  for (const group of groupsOf(totals)) {
    const name = group.series.find((n) => taken.has(n));
    const other = name === undefined ? undefined : taken.get(name);
    if (name !== undefined && other !== undefined) {
      texts.push(leftOut(name, `the ${other.kind} ${JSON.stringify(other.name)} has that name as well`));
      continue;
    }
    for (const own of group.series) taken.set(own, group);
    texts.push(await textOf(group, job));
  }
  return texts.join("\n");
}

function groupsOf(totals: readonly MetricTotal[]): Iterable<Group> {
  const groups = new Map<string, Group>();
  for (const total of totals) {
    const { kind, name } = total;
    const series = suffixes[kind].map((suffix) => `klio_user_${legal(name)}${suffix}`);
    const key = `${kind} ${legal(name)}`;
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { kind, name, series, totals: [total] });
    else known.totals.push(total);
  }
  return groups.values();
}

/** In a registry of its own: one that fails would fail all that are in it. */
async function textOf(group: Group, job: string): Promise<string> {
  const registry = new Registry();
  registry.setDefaultLabels({ job });
  try {
    add(registry, group);
    return await registry.metrics();
  } catch (error) {
    return leftOut(group.series[0] ?? "", messageOf(error));
  }
}

function add(registry: Registry, { kind, series, totals }: Group): void {
  const labelNames = [...new Set(totals.flatMap((t) => Object.keys(labelsOf(t))))];
  const made = series.map((name) => {
    const options = { name, help: "Reported by the job's code.", labelNames, registers: [registry] };
    return kind === "gauge" ? new Gauge(options) : new Counter(options);
  });
  for (const total of totals) {
    const values = kind === "timer" ? [(total.value * total.count) / 1e9, total.count] : [total.value];
    made.forEach((metric, i) => {
      metric.inc(labelsOf(total), values[i]);
    });
  }
}

function labelsOf({ node, tags }: MetricTotal): Record<string, string> {
  const own = Object.entries(tags).map(([key, value]) => [legal(key).replace(/^(?=\d|__|$)/, "tag_"), value] as const);
  return { ...Object.fromEntries(own), node };
}

/** https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels */
function legal(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_]/g, "_");
}

function leftOut(name: string, why: string): string {
  return `# ${name} is left out: ${why.replaceAll(/\s+/g, " ")}\n`;
}
