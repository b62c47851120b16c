import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly code: number;
}

/** Milliseconds that a command may take. */
const timeout = 120_000;
/** Bytes that a command may write. */
const maxBuffer = 64 * 1024 * 1024;

/** gcloud for an emulator, with a configuration of its own, and plain HTTP for what a case needs beforehand. */
export class Gcloud {
  private constructor(
    readonly url: string,
    readonly path: string,
    readonly folder: string,
  ) {}

  /** `path` is the command's. What it writes is in a folder that `close` removes. */
  static async open(url: string, path = "gcloud"): Promise<Gcloud> {
    return new Gcloud(url, path, await mkdtemp(join(tmpdir(), "klio-gcloud-")));
  }

  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }

  /** Runs `gcloud storage` with these arguments to its end, whatever that is. */
  run(...args: readonly string[]): Promise<Outcome> {
    return this.runWith({}, ...args);
  }

  /** The same with some properties of gcloud's, such as `{ STORAGE_RESUMABLE_THRESHOLD: "1M" }`. */
  runWith(properties: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Outcome> {
    const own = Object.entries(properties).map(([name, value]) => [`CLOUDSDK_${name}`, value] as const);
    const env = { ...this.#environment(), ...Object.fromEntries(own) };
    return new Promise((resolve, reject) => {
      execFile(this.path, ["storage", ...args], { env, timeout, maxBuffer }, (error, stdout, stderr) => {
        if (error === null) resolve({ stdout, stderr, code: 0 });
        else if (typeof error.code === "number") resolve({ stdout, stderr, code: error.code });
        else reject(new Error(`gcloud storage ${args.join(" ")} did not end by itself`, { cause: error }));
      });
    });
  }

  /** What a command that has to succeed writes to its output. */
  async ok(...args: readonly string[]): Promise<string> {
    return succeeded(args, await this.run(...args));
  }

  /** The same, as JSON. */
  async json(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.ok(...args, "--format=json")) as unknown;
  }

  /** The lines that are not empty. */
  async lines(...args: readonly string[]): Promise<string[]> {
    return (await this.ok(...args)).split("\n").filter((line) => line !== "");
  }

  /** A file on this machine. */
  async file(name: string, data: string | Buffer): Promise<string> {
    const folder = join(this.folder, "files", randomUUID());
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), data);
    return join(folder, name);
  }

  /** A new bucket, made without gcloud, which takes a second for each command. */
  async bucket(settings: Readonly<Record<string, unknown>> = {}): Promise<string> {
    const name = `b-${randomUUID()}`;
    await this.#api("POST", "storage/v1/b?project=conformance-project", JSON.stringify({ name, ...settings }));
    return name;
  }

  /** Stores a small object, without gcloud. Returns its generation. */
  async save(bucket: string, name: string, data: string | Buffer = name, resource = {}): Promise<string> {
    const path = `upload/storage/v1/b/${bucket}/o?uploadType=media&name=${encodeURIComponent(name)}`;
    const { generation } = (await (await this.#api("POST", path, data)).json()) as { generation: string };
    const patch = `storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`;
    if (Object.keys(resource).length > 0) await this.#api("PATCH", patch, JSON.stringify(resource));
    return generation;
  }

  /** The resource of an object. */
  async resource(bucket: string, name: string): Promise<Record<string, unknown>> {
    const answer = await this.#api("GET", `storage/v1/b/${bucket}/o/${encodeURIComponent(name)}`);
    return (await answer.json()) as Record<string, unknown>;
  }

  async bytes(bucket: string, name: string): Promise<Buffer> {
    const answer = await this.#api("GET", `storage/v1/b/${bucket}/o/${encodeURIComponent(name)}?alt=media`);
    return Buffer.from(await answer.arrayBuffer());
  }

  /** The names of all objects of a bucket. */
  async names(bucket: string): Promise<string[]> {
    const { items = [] } = (await (await this.#api("GET", `storage/v1/b/${bucket}/o`)).json()) as {
      items?: { name: string }[];
    };
    return items.map((item) => item.name);
  }

  async #api(method: string, path: string, body?: string | Buffer): Promise<Response> {
    const headers = { "content-type": path.startsWith("upload") ? "text/plain" : "application/json" };
    const sent = body === undefined ? {} : { body: Uint8Array.from(Buffer.from(body)), headers };
    const answer = await fetch(`${this.url}/${path}`, { method, ...sent });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }

  #environment(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("CLOUDSDK_"));
    return {
      ...Object.fromEntries<string | undefined>(inherited),
      CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE: `${this.url}/storage/v1/`,
      CLOUDSDK_AUTH_DISABLE_CREDENTIALS: "true",
      CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: "1",
      CLOUDSDK_CONFIG: join(this.folder, "config"),
      CLOUDSDK_CORE_CHECK_GCE_METADATA: "false",
      CLOUDSDK_CORE_DISABLE_PROMPTS: "1",
      CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: "1",
      CLOUDSDK_CORE_PROJECT: "conformance-project",
      CLOUDSDK_STORAGE_PROCESS_COUNT: "1",
      CLOUDSDK_STORAGE_THREAD_COUNT: "4",
    };
  }
}

function succeeded(args: readonly string[], { stdout, stderr, code }: Outcome): string {
  if (code !== 0) throw new Error(`gcloud storage ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}
