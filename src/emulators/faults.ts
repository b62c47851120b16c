import { randomInt } from "node:crypto";
import { faultKinds, storageFaultKinds } from "@klio/emulators/faults";
import { nearest } from "@klio/config";
import { KlioError } from "../errors.js";
import { type EmulatorFaults, noFaults } from "../session/index.js";

/** What the flags of a command say about faults. */
export interface FaultFlags {
  readonly fault?: readonly string[] | undefined;
  readonly "fault-seed"?: number | undefined;
  readonly "fault-delay"?: number | undefined;
  readonly "fault-after"?: number | undefined;
}

const kebab = (kind: string) => kind.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const kinds: readonly string[] = [...faultKinds, ...storageFaultKinds];

/** Faults as `--fault` names them: those of Pub/Sub and those of Cloud Storage. */
export const pubsubFaultNames: readonly string[] = faultKinds.map(kebab);
export const storageFaultNames: readonly string[] = storageFaultKinds.map(kebab);

/** Faults from `duplicate=0.1`, with a seed of chance unless one is given. Throws a KlioError. */
export function faultsFrom(flags: FaultFlags): EmulatorFaults {
  const { fault: written = [], "fault-delay": delay, "fault-after": afterBytes } = flags;
  if (written.length === 0) {
    if ([flags["fault-seed"], delay, afterBytes].every((value) => value === undefined)) return noFaults;
    throw new KlioError(
      "FAULT_VALUE",
      "--fault-seed, --fault-delay and --fault-after are about faults, and there is none",
      {
        hint: "For example: --fault duplicate=0.1 --fault-seed 7",
      },
    );
  }
  const probabilities = new Map(written.map(parse));
  const seed = flags["fault-seed"] ?? randomInt(2 ** 31);
  const of = (own: readonly string[]) => Object.fromEntries([...probabilities].filter(([kind]) => own.includes(kind)));
  return {
    seed,
    pubsub: { ...of(faultKinds), seed, ...(delay === undefined ? {} : { delayMs: delay }) },
    storage: {
      ...of(storageFaultKinds),
      seed,
      ...(delay === undefined ? {} : { stallMs: delay, delayMs: delay }),
      ...(afterBytes === undefined ? {} : { afterBytes }),
    },
  };
}

function parse(text: string): readonly [kind: string, probability: number] {
  const [, name = "", value = ""] = /^([^=]*)=(.*)$/.exec(text) ?? [];
  const kind = kinds.find((k) => kebab(k) === name);
  const probability = value.trim() === "" ? NaN : Number(value);
  if (kind === undefined) throw unknown(text, name === "" ? text : name);
  if (probability >= 0 && probability <= 1) return [kind, probability];
  throw new KlioError("FAULT_VALUE", `--fault ${text}: a probability is 0 to 1`, {
    hint: `For example: --fault ${name}=0.1`,
  });
}

function unknown(text: string, name: string): KlioError {
  const names = kinds.map(kebab);
  if (names.includes(name)) {
    return new KlioError("FAULT_VALUE", `--fault ${text}: its probability is missing`, {
      hint: `For example: --fault ${name}=0.1`,
    });
  }
  const meant = nearest(name, names);
  return new KlioError("FAULT_VALUE", `--fault ${text}: there is no such fault`, {
    hint: meant === undefined ? `There are: ${names.join(", ")}` : `Did you mean --fault ${meant}=0.1?`,
  });
}
