import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { checkYaml, formatDiagnostic } from "@klio/config";
import schema from "../../spec/emulators-seed.schema.json" with { type: "json" };
import { KlioError } from "../errors.js";

type Fields = Readonly<Record<string, unknown>>;

/** What emulators begin with; names are as the seed file has them. */
export interface Seed {
  /** The folder that `files` are relative to. */
  readonly directory: string;
  readonly topics: readonly ({ readonly name: string } & Fields)[];
  readonly subscriptions: readonly ({ readonly name: string; readonly topic: string } & Fields)[];
  readonly buckets: readonly string[];
  readonly files: readonly { readonly from: string; readonly bucket: string; readonly to?: string }[];
}

interface Written extends Partial<Omit<Seed, "topics" | "directory">> {
  readonly topics?: readonly (string | Seed["topics"][number])[];
}

/** Reads a seed file (YAML or JSON). Throws a KlioError with all its mistakes, each with its place. */
export function loadSeed(file: string, cwd: string): Seed {
  const path = resolve(cwd, file);
  const { value, diagnostics } = checkYaml(file, read(path, file), schema);
  if (diagnostics.length > 0) {
    throw new KlioError("SEED_INVALID", `${file} is no valid seed file`, {
      details: diagnostics.map(formatDiagnostic),
    });
  }
  const { topics = [], subscriptions = [], buckets = [], files = [] } = value as Written;
  const directory = dirname(path);
  for (const { from, bucket } of files) {
    if (statSync(resolve(directory, from), { throwIfNoEntry: false }) === undefined) {
      throw new KlioError("SEED_FILE", `${file}: there is no ${resolve(directory, from)}`);
    }
    if (!buckets.includes(bucket)) {
      throw new KlioError("SEED_FILE", `${file}: "${bucket}", which ${from} is for, is none of its buckets`);
    }
  }
  return {
    directory,
    topics: topics.map((topic) => (typeof topic === "string" ? { name: topic } : topic)),
    subscriptions,
    buckets,
    files,
  };
}

function read(path: string, shown: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new KlioError("SEED_FILE", `${shown} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}
