import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { backlog } from "./backlog.js";
import { firstMessage, quickstartAgain } from "./first-message.js";
import { formatRow, type Row } from "./measure.js";
import { large } from "./large.js";
import { noopJob } from "./noop-job.js";
import { pipeline } from "./pipeline.js";
import { pubsub } from "./pubsub.js";
import { reload } from "./reload.js";
import { storage } from "./storage.js";
import { twoWorkers } from "./two-workers.js";
import { startup } from "./startup.js";

// npm run bench [-- startup|first-message|reload|noop|pipeline|large|two-workers|backlog|pubsub|storage|quickstart …]
const root = process.cwd();
const all: Readonly<Record<string, () => Row[] | Promise<Row[]>>> = {
  startup: () => startup(root),
  "first-message": () => firstMessage(root),
  reload: () => reload(root),
  noop: () => noopJob(root),
  pipeline: () => pipeline(root),
  large: () => large(root),
  "two-workers": () => twoWorkers(root),
  backlog: () => backlog(root),
  pubsub: () => pubsub(root),
  storage,
  quickstart: () => quickstartAgain(root),
};
const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !(name in all));
if (unknown.length > 0)
  throw new Error(`no such benchmark: ${unknown.join(", ")}; there are: ${Object.keys(all).join(", ")}`);
const version = (name: string) =>
  (JSON.parse(readFileSync(join(root, `node_modules/${name}/package.json`), "utf8")) as { version: string }).version;
const clients = ["@google-cloud/pubsub", "@google-cloud/storage"].map((name) => `${name} ${version(name)}`);
const about = { node: process.version, processors: cpus().length, clients };
console.log(`Node ${about.node}, ${about.processors} processors, ${clients.join(", ")}`);
const rows: Row[] = [];
const results = join(root, "bench/results");
mkdirSync(results, { recursive: true });
const file = join(results, `${new Date().toISOString().replaceAll(":", "-")}.json`);
for (const name of asked.length > 0 ? asked : Object.keys(all)) {
  process.stderr.write(`${name}\n`);
  for (const row of (await all[name]?.()) ?? []) {
    rows.push(row);
    console.log(formatRow(row));
  }
  writeFileSync(file, JSON.stringify({ about, rows }, null, 2));
}
