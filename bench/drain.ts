import { Child, type ChildOptions } from "./child.js";
import type { Emulators } from "./emulators.js";
import { treeCpu, treeOf } from "./measure.js";

export interface Drain {
  readonly program: ChildOptions;
  /** What the program prints when it is ready. */
  readonly ready: string;
  /** The event that stands for a message that is done. */
  readonly done: readonly [kind: "acknowledge" | "publish", resource: string];
  /** How many messages wait. */
  readonly messages: number;
  /** Those that come first are not measured: code is compiled meanwhile. */
  readonly warmUp: number;
  /** Called while it runs, with how many are done. */
  readonly watch?: (pid: number, done: number) => void;
}

export interface Drained {
  /** Microseconds of processor time for each message, of all processes of the program. */
  readonly cpu: number;
  /** Messages a second. */
  readonly rate: number;
  readonly processes: number;
}

/** Lets a program take what was published before it started, and ends it. */
export async function drain(emulators: Emulators, what: Drain): Promise<Drained> {
  const child = new Child({ ...what.program, env: { ...emulators.env, ...what.program.env } });
  try {
    await child.printed(what.ready);
    const watch = (count: number) => what.watch?.(child.pid, count);
    const until = async (wanted: number) => {
      const done = await emulators.until(...what.done, wanted, child, watch);
      return { done, at: performance.now(), cpu: treeCpu(child.pid) };
    };
    const first = await until(what.warmUp);
    const processes = treeOf(child.pid).length;
    const last = await until(what.messages);
    const count = last.done - first.done;
    return {
      cpu: ((last.cpu - first.cpu) / count) * 1e6,
      rate: count / ((last.at - first.at) / 1_000),
      processes,
    };
  } finally {
    await child.end();
  }
}
