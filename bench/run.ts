import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { firstMessage, quickstartAgain } from "./first-message.js";
import { formatRow, type Row } from "./measure.js";
import { noopJob } from "./noop-job.js";
import { pubsub } from "./pubsub.js";
import { reload } from "./reload.js";
import { storage } from "./storage.js";
import { startup } from "./startup.js";

// npm run bench [-- startup|first-message|reload|noop|pubsub|storage|quickstart …]
const root = process.cwd();
const all: Readonly<Record<string, () => Row[] | Promise<Row[]>>> = {
  startup: () => startup(root),
  "first-message": () => firstMessage(root),
  reload: () => reload(root),
  noop: () => noopJob(root),
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
const about = { node: process.version, processors: cpus().length, pubsub: version("@google-cloud/pubsub") };
console.log(`Node ${about.node}, ${about.processors} processors, @google-cloud/pubsub ${about.pubsub}`);
const rows: Row[] = [];
for (const name of asked.length > 0 ? asked : Object.keys(all)) {
  for (const row of (await all[name]?.()) ?? []) {
    rows.push(row);
    console.log(formatRow(row));
  }
}
const results = join(root, "bench/results");
mkdirSync(results, { recursive: true });
writeFileSync(
  join(results, `${new Date().toISOString().replaceAll(":", "-")}.json`),
  JSON.stringify({ about, rows }, null, 2),
);
