import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../support/rig.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "klio-library-"));
  const packed = ["pack", join(root, "dist/emulators"), "--pack-destination", folder, "--silent", "--ignore-scripts"];
  execFileSync("npm", packed, { stdio: ["ignore", "ignore", "inherit"] });
  const [tarball = ""] = readdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }');
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--silent", join(folder, tarball)], { cwd: folder });
}, 120_000);
afterAll(() => {
  rmSync(folder, { recursive: true });
});

describe("the emulators as a library by itself", () => {
  it("run in a program of their own", () => {
    const program = `
      import { startPubSub, startStorage, faultKinds } from "@klio/emulators";
      const pubsub = await startPubSub({ directory: "state", faults: { seed: 1, duplicate: 0.5 } });
      const storage = await startStorage({ root: "objects" });
      await fetch(storage.url + "/storage/v1/b?project=p", { method: "POST", body: '{"name":"bucket"}' });
      console.log(JSON.stringify([pubsub.address, storage.url, faultKinds.length]));
      await Promise.all([pubsub.close(), storage.close()]);
    `;
    writeFileSync(join(folder, "program.mjs"), program);
    const stdout = execFileSync(process.execPath, ["program.mjs"], { cwd: folder, encoding: "utf8" });
    expect(stdout).toMatch(/^\["127\.0\.0\.1:\d+","http:\/\/127\.0\.0\.1:\d+",8\]\n$/);
    expect(readdirSync(join(folder, "objects"))).toContain("bucket");
  });

  it("have types that name nothing which would have to be installed", () => {
    const program = `
      import { type Faults, type PubSubEvent, startPubSub } from "@klio/emulators";
      const faults: Faults = { seed: 1, loseAck: 0.1 };
      const events: PubSubEvent[] = [];
      const emulator = await startPubSub({ faults, sync: "always", observe: (e) => events.push(e) });
      emulator.setFaults({});
      // @ts-expect-error there is no such fault
      emulator.setFaults({ nonsense: 1 });
      const address: string = emulator.address;
      await emulator.close();
      export { address };
    `;
    writeFileSync(join(folder, "program.ts"), program);
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const flags = ["--noEmit", "--strict", "--module", "nodenext", "--target", "es2022"];
    execFileSync(process.execPath, [tsc, ...flags, "program.ts"], { cwd: folder, encoding: "utf8" });
  });
});
