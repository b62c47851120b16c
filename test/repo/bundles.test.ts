import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const dist = join(import.meta.dirname, "../../dist");
const read = (...path: string[]) => readFileSync(join(dist, ...path), "utf8");

describe("the runtime as it ships", () => {
  it("has no dependencies and fits into two megabytes", () => {
    const manifest = JSON.parse(read("runtime", "package.json")) as Record<string, unknown>;
    expect(manifest).not.toHaveProperty("dependencies");
    expect(manifest["bin"]).toEqual({ "klio-runtime": "bin.js" });
    const [tarball = ""] = readdirSync(join(dist, "vendor"));
    expect(statSync(join(dist, "vendor", tarball)).size).toBeLessThan(2_000_000);
  });

  it("names in its types nothing that would have to be installed", () => {
    const files = readdirSync(join(dist, "runtime/types"), { recursive: true })
      .map(String)
      .filter((f) => f.endsWith(".d.ts"));
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      const imports = [...read("runtime/types", file).matchAll(/from "([^"]+)"/g)].map((m) => m[1] ?? "");
      expect(
        imports.filter((i) => !i.startsWith(".") && !i.startsWith("node:")),
        file,
      ).toEqual([]);
    }
  });

  it.each(["index.js", "testing.js"])("is imported by an ES module: %s", (entry) => {
    const input = `import * as it from ${JSON.stringify(join(dist, "runtime", entry))}; console.log(Object.keys(it).length > 0);`;
    expect(execFileSync(process.execPath, ["--input-type=module", "-"], { input }).toString()).toBe("true\n");
  });

  it("has no Pub/Sub in the worker, no Storage in the supervisor, and neither in what jobs import", () => {
    expect(read("runtime", "worker.js")).not.toContain("google.pubsub.v1");
    expect(read("runtime", "supervisor.js")).not.toContain("uploadType");
    expect(statSync(join(dist, "runtime/index.js")).size).toBeLessThan(20_000);
  });

  it("carries the notices of what is bundled in it", () => {
    const notices = read("runtime", "THIRD-PARTY-NOTICES.txt");
    for (const name of ["@google-cloud/pubsub", "@google-cloud/storage", "@grpc/grpc-js", "@bufbuild/protobuf"]) {
      expect(notices).toContain(`\n${name} `);
    }
  });
});

describe("the command line as it ships", () => {
  const commands = readdirSync(join(dist, "commands"), { recursive: true })
    .map(String)
    .filter((f) => f.endsWith(".js"));

  it.each(commands)("loads Google's clients only when it talks to Google, or an emulator: %s", (command) => {
    const text = read("commands", command);
    for (const mark of ["google.pubsub.v1", "uploadType"]) expect(text.includes(mark), mark).toBe(false);
  });
});
