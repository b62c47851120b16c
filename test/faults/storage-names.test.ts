import { lstatSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { startStorage, type StorageEmulator } from "@klio/emulators";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

/** What hostile names are made of. */
const pieces = [
  "..",
  ".",
  "",
  "../..",
  "..\\..",
  "%2e%2e",
  "%2E%2E%2F",
  "..%2f",
  "..;",
  "...",
  "etc/passwd",
  "C:",
  "C:\\x",
  "\\\\host\\share",
  "con",
  "NUL.txt",
  "aux.",
  "lpt1",
  "COM¹",
  "$(touch x)",
  "`id`",
  "; rm -rf .",
  "| cat",
  "-rf",
  "--help",
  "'",
  '"',
  "{{ x }}",
  "<script>",
  "*",
  "?",
  "~",
  "~root",
  "#x",
  "a?b=c",
  "x&y",
  "+",
  " ",
  "ends ",
  "ends.",
  "\t",
  "\u0000",
  "nul\u0000byte",
  "\u001b[2J",
  "\u007f",
  "\u202egnp.exe",
  "\ufeff",
  "é",
  "e\u0301",
  "🎵",
  "%",
  "%%",
  "%41",
  "%_",
  "%@",
  "%+",
  "name%@",
  "name%+",
  ".klio",
  ".klio/records",
  ".klio/staging",
  ".klio/owner",
  "link",
  "link/secret",
  "__proto__",
  "constructor",
  "b",
  "o",
  "x".repeat(255),
  "x".repeat(256),
  "%".repeat(300),
  "é".repeat(200),
  "/".repeat(40),
];

/** Every piece by itself, and in the places of a path where it can hurt. */
function corpus(): string[] {
  const all = pieces.flatMap((p) => [
    p,
    `/${p}`,
    `${p}/`,
    `a/${p}/b`,
    `a/../${p}`,
    `${p}/${p}`,
    `../${p}/../${p}`,
    `x${p}`,
  ]);
  return [...new Set(all)].filter((name) => name !== "" && Buffer.byteLength(name) <= 1_024);
}

let folder: string;
let emulator: StorageEmulator;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "klio-names-"));
  writeFileSync(join(folder, "secret"), "secret");
  emulator = await startStorage({ root: join(folder, "root") });
  await mkdir(join(folder, "root", "bucket"));
  symlinkSync(folder, join(folder, "root", "bucket", "link"));
});

afterEach(async () => {
  await emulator.close();
  await rm(folder, { recursive: true });
});

/** Everything outside of the bucket's folder and of the emulator's own, with its content's size and time. */
function outside(): string[] {
  const found: string[] = [];
  const look = (path: string) => {
    const below = relative(folder, path);
    if (below === join("root", "bucket") || below === join("root", ".klio")) return;
    const stats = lstatSync(path);
    found.push(`${below} ${stats.isDirectory() ? "folder" : `${stats.size} ${stats.mtimeMs}`}`);
    if (stats.isDirectory()) for (const entry of readdirSync(path)) look(join(path, entry));
  };
  look(folder);
  return found;
}

/** Sends the path as it is: fetch would resolve what looks like a step upwards. */
function send(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Answer> {
  const { port } = emulator;
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ host: "127.0.0.1", port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        const location = response.headers.location ?? "";
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), location });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly location: string;
}

/** As clients encode names, and as an attacker may: dots, too. */
const encodings = [encodeURIComponent, (name: string) => encodeURIComponent(name).replaceAll(".", "%2E")];

/** Every call that takes a name, with its answers' statuses and bodies. */
async function callAll(name: string, encoded: string): Promise<Answer[]> {
  const o = "/storage/v1/b/bucket/o";
  const upload = "/upload/storage/v1/b/bucket/o";
  const resource = JSON.stringify({ name });
  const multipart = `--x\r\n\r\n${resource}\r\n--x\r\n\r\nbytes\r\n--x--`;
  const batch = `--x\r\n\r\nGET ${o}/${encoded} HTTP/1.1\r\n\r\n--x--`;
  const query = encodeURIComponent(name);
  const answers = [
    await send("POST", `${upload}?uploadType=media&name=${query}`, "bytes"),
    await send("POST", `${upload}?uploadType=multipart`, multipart, {
      "content-type": "multipart/related; boundary=x",
    }),
    await send("GET", `${o}/${encoded}`),
    await send("GET", `${o}/${encoded}?alt=media`),
    await send("GET", `/download/storage/v1/b/bucket/o/${encoded}?alt=media`),
    await send("HEAD", `${o}/${encoded}?alt=media`),
    await send("PATCH", `${o}/${encoded}`, JSON.stringify({ metadata: { k: name } })),
    await send("PUT", `${o}/${encoded}`, "{}"),
    await send("POST", `${o}/${encoded}/copyTo/b/bucket/o/copied`, ""),
    await send("POST", `${o}/copied/copyTo/b/bucket/o/${encoded}`, ""),
    await send("POST", `${o}/${encoded}/rewriteTo/b/bucket/o/${encoded}`, ""),
    await send("POST", `${o}/whole/compose`, JSON.stringify({ sourceObjects: [{ name }, { name }] })),
    await send("POST", `${o}/${encoded}/compose`, JSON.stringify({ sourceObjects: [{ name: "copied" }] })),
    await send("POST", `${o}/${encoded}/moveTo/o/moved`, ""),
    await send("POST", `${o}/moved/moveTo/o/${encoded}`, ""),
    await send("POST", `${o}/${encoded}/restore?generation=1`, ""),
    await send("POST", "/batch/storage/v1", batch, { "content-type": "multipart/mixed; boundary=x" }),
    await send("GET", `${o}?prefix=${query}&delimiter=/&startOffset=${query}&versions=true`),
    await send("GET", `${o}?matchGlob=${query}`),
    await send("GET", `/storage/v1/b/${encoded}/o`),
    await send("GET", `/storage/v1/b/${encoded}`),
    await send("DELETE", `/storage/v1/b/${encoded}`),
    await send("POST", "/storage/v1/b?project=p", resource),
  ];
  const begun = await send("POST", `${upload}?uploadType=resumable&name=${query}`, "");
  answers.push(begun);
  if (begun.location !== "") {
    const { pathname, search } = new URL(begun.location);
    answers.push(await send("PUT", `${pathname}${search}`, "bytes", { "content-range": "bytes 0-4/5" }));
  }
  return answers;
}

describe("hostile object names", () => {
  it("reach nothing outside of their bucket, through any call", async () => {
    const names = corpus();
    expect(names.length).toBeGreaterThan(500);
    const before = outside();
    for (const name of names) {
      for (const encode of encodings) {
        const answers = await callAll(name, encode(name));
        expect(answers.map((a) => a.status).filter((status) => status >= 500 && status !== 501)).toEqual([]);
        expect(answers.filter((a) => a.text.includes("secret") && !name.includes("secret"))).toEqual([]);
      }
      await send("DELETE", `/storage/v1/b/bucket/o/${encodeURIComponent(name)}`);
      if (/^[a-z0-9][a-z0-9._-]+$/.test(name)) await send("DELETE", `/storage/v1/b/${name}`); // it may be a bucket's, too
      expect(outside(), name).toEqual(before);
    }
    expect(await readFile(join(folder, "secret"), "utf8")).toBe("secret");
    console.log(`${names.length} names, each through 25 calls in two encodings`);
  }, 300_000);
});
