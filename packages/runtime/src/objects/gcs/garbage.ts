import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// What comes through a socket lies in buffers outside of V8's heap, in use for a moment. V8 frees them when it collects its young
// generation, for which it waits until that is full of objects: a stream of bytes makes few. Long before, their weight makes it go
// through its whole heap.

/** So many bytes come between two collections. */
const betweenBytes = 8 * 1024 * 1024;

let come = 0;
let collectYoung: (() => void) | undefined;

/** Counts bytes that came, and now and then has their buffers freed: about a millisecond, where little else is young. */
export function noteReceived(bytes: number): void {
  come += bytes;
  if (come < betweenBytes) return;
  come = 0;
  collectYoung ??= makeCollector();
  collectYoung();
}

type Collect = (options: { readonly type: "minor" }) => void;

/** https://nodejs.org/api/v8.html#v8setflagsfromstringflags, V8's extension `gc`. Nothing is lost where there is none. */
function makeCollector(): () => void {
  try {
    const collect = (globalThis as { gc?: Collect }).gc ?? exposed();
    return () => {
      collect({ type: "minor" });
    };
  } catch {
    return () => undefined;
  }
}

function exposed(): Collect {
  setFlagsFromString("--expose-gc");
  try {
    return runInNewContext("gc") as Collect;
  } finally {
    setFlagsFromString("--no-expose-gc");
  }
}
