// Writes docs/reference from the code: commands from the manifest, klio-job.yaml from its schema, errors from their list.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorCodes } from "./error-codes.mjs";

const root = join(import.meta.dirname, "..");
const readJson = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const made = "<!-- made by scripts/docs.mjs; change the code, then run: npm run docs -->\n";
const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function commands() {
  const { commands: all } = readJson("oclif.manifest.json");
  // The manifest lists them as the disk did.
  const sorted = Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = sorted.map(([id, command]) => {
    const name = `klio ${id.replaceAll(":", " ")}`;
    const args = Object.values(command.args)
      .map((a) => ` ${a.name.toUpperCase()}`)
      .join("");
    const flags = Object.values(command.flags)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((f) => {
        const value = f.type === "boolean" ? "" : ` ${f.helpValue ?? "VALUE"}`;
        const short = f.char ? `-${f.char}, ` : "";
        const no = f.allowNo ? `, --no-${f.name}` : "";
        const text = f.description ?? "Format output as json.";
        const unsaid = ![undefined, false].includes(f.default) && !text.includes("(default");
        return `| \`${short}--${f.name}${value}${no}\` | ${cell(text)}${unsaid ? ` (default: ${f.default})` : ""} |`;
      });
    const examples = command.examples.map((e) => e.replaceAll("<%= config.bin %>", "klio"));
    return `## ${name}\n\n${command.summary}\n\n${command.description ?? ""}\n\n\`${name}${args} [FLAGS]\`\n\n| flag | what |\n|---|---|\n${flags.join("\n")}\n\n\`\`\`sh\n${examples.join("\n")}\n\`\`\`\n`;
  });
  return `${made}# Commands\n\nstdout is data, stderr is talk. \`--json\` prints the result, or the error, as JSON: \`{"error": {"code": …, "message": …, "hint": …}}\`, with a code of [these](errors.md). Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted at a prompt.\n\n${parts.join("\n")}`;
}

function range({ minimum, maximum }) {
  if (maximum !== undefined) return ` From ${minimum} to ${maximum}.`;
  return minimum > 1 ? ` At least ${minimum}.` : "";
}

function configuration() {
  const schema = readJson("spec/klio-job.schema.json");
  const deref = (node) => (node.$ref ? { ...schema.definitions[node.$ref.split("/").at(-1)], ...node } : node);
  const rows = [];
  const walk = (node, path, required) => {
    const { properties = {}, required: needs = [] } = node;
    for (const [key, raw] of Object.entries(properties)) {
      const property = deref(raw);
      const items = property.items === undefined ? undefined : deref(property.items);
      const name = `${path}${key}${items ? "[]" : ""}`;
      const type = property.enum
        ? property.enum.map((e) => `\`${e}\``).join(", ")
        : items
          ? "list"
          : (property.type ?? "text");
      const byDefault = property.default === undefined ? "" : `\`${JSON.stringify(property.default)}\``;
      const must = needs.includes(key) && required ? " **needed**" : "";
      const description = `${property.description ?? "As in Klio."}${range(property)}${must}`;
      rows.push(`| \`${name}\` | ${type} | ${byDefault} | ${cell(description)} |`);
      if (property.properties) walk(property, `${name}.`, true);
      if (items?.properties) walk(items, `${name}.`, true);
    }
  };
  walk(schema, "", true);
  return `${made}# klio-job.yaml\n\nEditors check it with [\`spec/klio-job.schema.json\`](../../spec/klio-job.schema.json). Keys of \`job_config\` that are not listed are the job's own; keys of \`pipeline_options\` that are not listed go to Beam. \`$NAME\` and \`\${NAME}\` take the values of \`--template NAME=VALUE\`, \`$$\` is a dollar; \`--override PATH=VALUE\` sets a value.\n\nA duration is a whole number and a unit, at most 1000h: \`500ms\`, \`30s\`, \`2m\`, \`1h\`. A size is one of bytes: \`512Mi\`, \`2Gi\`, \`1500M\`.\n\n| key | type | default | what |\n|---|---|---|---|\n${rows.join("\n")}\n`;
}

function errors() {
  const parts = Object.entries(errorCodes).map(([title, codes]) => {
    const rows = Object.entries(codes).map(([code, text]) => `| \`${code}\` | ${cell(text)} |`);
    return `## ${title}\n\n| code | what it means |\n|---|---|\n${rows.join("\n")}\n`;
  });
  return `${made}# Errors\n\nEvery error says what failed, where, why, and what to do; its code is stable.\n\n${parts.join("\n")}`;
}

export const reference = { "commands.md": commands, "klio-job.md": configuration, "errors.md": errors };

if (process.argv[1] === import.meta.filename) {
  for (const [file, make] of Object.entries(reference)) writeFileSync(join(root, "docs/reference", file), make());
}
