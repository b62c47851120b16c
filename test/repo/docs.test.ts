import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const { reference } = (await import(join(root, "scripts/docs.mjs"))) as { reference: Record<string, () => string> };
const { errorCodes } = (await import(join(root, "scripts/error-codes.mjs"))) as {
  errorCodes: Record<string, Record<string, string>>;
};

describe("the reference", () => {
  it.each(Object.entries(reference))("%s is what the code makes of it (npm run docs)", (file, make) => {
    expect(readFileSync(join(root, "docs/reference", file), "utf8")).toBe(make());
  });

  it("explains every error code of the sources, and no other", () => {
    const sources = ["src", "packages/config/src", "packages/runtime/src"].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true })
        .map(String)
        .filter((f) => f.endsWith(".ts"))
        .map((f) => readFileSync(join(root, folder, f), "utf8")),
    );
    const text = sources.join("\n");
    const pattern =
      /(?:KlioError\(\s*|JobError\(\s*|trouble\(|EventFileError\(\s*|BatchError\(\s*|code: |code = |\? error\.code : |"code" in error \? error\.code : )"([A-Z][A-Z_]{3,})"/g;
    const severities = [
      "DEBUG",
      "INFO",
      "WARNING",
      "SIGKILL",
      "SIGTERM",
      "SIGINT",
      "USAGE",
      "ENOENT",
      "EEXIST",
      "ENOTDIR",
      "EISDIR",
      "ENAMETOOLONG",
      "EPERM",
    ];
    const used = new Set([...text.matchAll(pattern)].map((m) => m[1] ?? "").filter((c) => !severities.includes(c)));
    const explained = Object.values(errorCodes).flatMap((codes) => Object.keys(codes));
    expect([...used].filter((c) => !explained.includes(c))).toEqual([]);
    expect(explained.filter((c) => !text.includes(`"${c}"`))).toEqual([]);
  });

  it("leads nowhere that is not there", () => {
    const pages = [
      "README.md",
      ...["docs/guide", "docs/reference", "docs/decisions"].flatMap((f) =>
        readdirSync(join(root, f)).map((n) => `${f}/${n}`),
      ),
    ];
    for (const page of pages) {
      const links = [...readFileSync(join(root, page), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(
        (m) => m[1] ?? "",
      );
      for (const link of links)
        expect(() => readdirSync(join(root, page, "..", link)), `${page} → ${link}`).not.toThrow(/ENOENT/);
    }
  });
});
