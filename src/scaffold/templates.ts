import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";

/** What `job create` renders: a folder of files and a manifest. */
export interface Template {
  readonly name: string;
  readonly description: string;
  /** Values of its files besides the answers. */
  readonly defaults: Readonly<Record<string, string>>;
  /** Folder of the files; `name.hbs` is rendered to `name`, `_name` becomes `.name`. */
  readonly files: string;
}

/** All templates below a folder, by name. */
export function listTemplates(folder: string): Template[] {
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "template.json")))
    .sort()
    .map((name) => {
      const manifest = JSON.parse(readFileSync(join(folder, name, "template.json"), "utf8")) as {
        readonly description: string;
        readonly defaults: Readonly<Record<string, string>>;
      };
      return { name, ...manifest, files: join(folder, name, "files") };
    });
}

/** Finds a template by its name. Throws a KlioError that lists those there are. */
export function findTemplate(folder: string, name: string): Template {
  const all = listTemplates(folder);
  const found = all.find((t) => t.name === name);
  if (found !== undefined) return found;
  const names = all.map((t) => t.name);
  const meant = nearest(name, names);
  throw new KlioError("TEMPLATE", `there is no template "${name}"`, {
    hint: meant === undefined ? `There are: ${names.join(", ")}.` : `Did you mean --from ${meant}?`,
  });
}
