import { randomInt } from "node:crypto";
import { type FaultKind, faultKinds, type Faults } from "@klio/emulators/faults";
import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";

const kebab = (kind: FaultKind) => kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** Faults as `--fault` names them. */
export const faultNames: readonly string[] = faultKinds.map(kebab);

/** Faults from `duplicate=0.1`, with a seed of chance unless one is given. Throws a KlioError. */
export function faultsFrom(written: readonly string[], seed: number | undefined, delayMs: number | undefined): Faults {
  if (written.length === 0 && (seed !== undefined || delayMs !== undefined)) {
    throw new KlioError("FAULT_VALUE", "--fault-seed and --fault-delay are about faults, and there is none", {
      hint: "For example: --fault duplicate=0.1 --fault-seed 7",
    });
  }
  const faults = Object.fromEntries(
    written.map((text) => {
      const [, name = "", value = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
      const kind = faultKinds.find((k) => kebab(k) === name);
      const probability = value.trim() === "" ? NaN : Number(value);
      if (kind === undefined) throw unknown(text, name === "" ? text : name);
      if (!(probability >= 0 && probability <= 1)) {
        throw new KlioError("FAULT_VALUE", `--fault ${text}: a probability is 0 to 1`, {
          hint: `For example: --fault ${name}=0.1`,
        });
      }
      return [kind, probability];
    }),
  );
  if (written.length === 0) return {};
  return { ...faults, seed: seed ?? randomInt(2 ** 31), ...(delayMs === undefined ? {} : { delayMs }) };
}

function unknown(text: string, name: string): KlioError {
  if (faultNames.includes(name)) {
    return new KlioError("FAULT_VALUE", `--fault ${text}: its probability is missing`, {
      hint: `For example: --fault ${name}=0.1`,
    });
  }
  const meant = nearest(name, faultNames);
  return new KlioError("FAULT_VALUE", `--fault ${text}: there is no such fault`, {
    hint: meant === undefined ? `There are: ${faultNames.join(", ")}` : `Did you mean --fault ${meant}=0.1?`,
  });
}
