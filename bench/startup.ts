import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { childrenCpu, median, type Row } from "./measure.js";

const rounds = 7;
const runsARound = 10;

/** Start-up of the command line against `node -e 0`, processor time, in turns. */
export function startup(root: string): Row[] {
  const klio = join(root, "bin/run.js");
  const variants = {
    node: ["-e", "0"],
    version: [klio, "--version"],
    help: [klio, "--help"],
    dispatch: [klio, "job", "build", "--help"],
  };
  const samples: Record<string, number[]> = {};
  // It costs 50 ms at every start of Node 20, whatever is started.
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, args] of Object.entries(variants)) {
      const before = childrenCpu();
      for (let i = 0; i < runsARound; i += 1) execFileSync(process.execPath, args, { stdio: "ignore", env });
      (samples[name] ??= []).push(((childrenCpu() - before) / runsARound) * 1_000);
    }
  }
  const of = (name: string) => median(samples[name] ?? []);
  const row = (what: string, name: string, reach: string): Row => ({
    what,
    klio: of(name),
    peer: of("node"),
    unit: "ms CPU",
    reach,
  });
  return [
    row("klio --version / node -e 0", "version", "≤ 1.4×"),
    row("klio --help / node -e 0", "help", "≤ 2.5×"),
    row("klio job build --help / node -e 0", "dispatch", "≤ 2.5×"),
  ];
}
