import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { cruise, type ICruiseResult, type IForbiddenRuleType } from "dependency-cruiser";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const features = readdirSync(join(root, "src"), { withFileTypes: true })
  .filter((e) => e.isDirectory() && !["commands", "hooks", "ui", "cloud"].includes(e.name))
  .map((e) => e.name);

const never = (name: string, from: object, to: object): IForbiddenRuleType => ({ name, severity: "error", from, to });

// docs/decisions/0001-house.md
const rules: IForbiddenRuleType[] = [
  never("no cycles", {}, { circular: true }),
  never(
    "config imports no other part",
    { path: "^packages/config/src" },
    { path: "^(packages/(runtime|emulators)|src)/" },
  ),
  never(
    "emulators imports no other part",
    { path: "^packages/emulators/src" },
    { path: "^(packages/(runtime|config)|src)/" },
  ),
  never("runtime imports config alone", { path: "^packages/runtime/src" }, { path: "^(packages/emulators|src)/" }),
  never("only commands import ui", { path: "^src/(?!commands|ui)" }, { path: "^src/ui/" }),
  never("nothing imports commands", { pathNot: "^src/commands" }, { path: "^src/commands/" }),
  never("cloud imports no feature", { path: "^src/cloud" }, { path: `^src/(${features.join("|")})/` }),
  never(
    "only cloud imports Google's clients",
    { path: "^src/(?!cloud)" },
    { path: "node_modules/(@google-cloud|google-gax)/" },
  ),
  never("only ui imports chalk and inquirer", { path: "^src/(?!ui)" }, { path: "node_modules/(chalk|@inquirer)/" }),
  never(
    "no Storage in the supervisor",
    { path: "^packages/runtime/src/supervisor" },
    { path: "(node_modules/@google-cloud/storage|^packages/runtime/src/objects/gcs)", reachable: true },
  ),
  never(
    "no Pub/Sub in the worker",
    { path: "^packages/runtime/src/worker" },
    { path: "node_modules/@google-cloud/pubsub", reachable: true },
  ),
  never(
    "what user code imports is small",
    { path: "^packages/runtime/src/(api|index)" },
    { path: "node_modules/", reachable: true },
  ),
  ...features.map((feature) =>
    never(
      `${feature} is entered through its index`,
      { path: "^src/", pathNot: `^src/${feature}/` },
      { path: `^src/${feature}/`, pathNot: `^src/${feature}/(index|process)\\.ts$` },
    ),
  ),
];

async function violations(forbidden: IForbiddenRuleType[], folders: string[]): Promise<string[]> {
  const result = await cruise(
    folders,
    {
      baseDir: root,
      validate: true,
      ruleSet: { forbidden },
      doNotFollow: { path: "node_modules" },
      tsPreCompilationDeps: true,
      exclude: { path: "^test/fixtures" },
      enhancedResolveOptions: {
        exportsFields: ["exports"],
        conditionNames: ["import", "node"],
        extensions: [".ts", ".js"],
      },
    },
    {
      extensions: [".ts", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node"],
      extensionAlias: { ".js": [".ts", ".js"] },
    },
  );
  return (result.output as ICruiseResult).summary.violations.map((v) => `${v.rule.name}: ${v.from} → ${v.to}`);
}

describe("the house", () => {
  it("keeps its import rules", async () => {
    expect(
      await violations(rules, ["src", "packages/config/src", "packages/runtime/src", "packages/emulators/src"]),
    ).toEqual([]);
  });

  it("would notice a broken one", async () => {
    const found = await violations([never("probe", { path: "^src/commands" }, { path: "^src/ui" })], ["src"]);
    expect(found.length).toBeGreaterThan(3);
    const deep = never(
      "probe",
      { path: "^packages/runtime/src/worker" },
      { path: "node_modules/google-auth-library", reachable: true },
    );
    expect((await violations([deep], ["packages/runtime/src"])).length).toBeGreaterThan(0);
  });
});

describe("the repository", () => {
  const files = (folder: string): string[] =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((e) => !["node_modules", "dist", "gen", ".klio", ".git"].includes(e.name))
      .flatMap((e) => (e.isDirectory() ? files(join(folder, e.name)) : [join(folder, e.name)]));

  it("names no registry host in its lockfiles", () => {
    for (const lock of files(".").filter((f) => /package-lock\.json(\.hbs)?$/.test(f))) {
      expect(readFileSync(join(root, lock), "utf8"), lock).not.toMatch(/"resolved": "https?:/);
    }
  });

  it("has one version", () => {
    const version = (path: string) =>
      (JSON.parse(readFileSync(join(root, path), "utf8")) as { version: string }).version;
    const all = ["package.json", ...["config", "runtime", "emulators"].map((p) => `packages/${p}/package.json`)].map(
      version,
    );
    expect(new Set(all).size).toBe(1);
    expect(readFileSync(join(root, "packages/runtime/src/version.ts"), "utf8")).toContain(`"${all[0] ?? ""}"`);
  });

  it("leaves nothing open in its sources", () => {
    const open = ["TO" + "DO", "FIX" + "ME"];
    const marked = [...files("src"), ...files("packages"), ...files("scripts")].filter((f) => {
      const text = readFileSync(join(root, f), "utf8");
      return open.some((mark) => text.includes(mark));
    });
    expect(marked.map((f) => relative(root, f))).toEqual([]);
  });
});
