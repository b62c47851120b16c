import { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { Cancellation } from "../src/engine/cancellation.js";
import { fewAtATime } from "../src/engine/few-at-a-time.js";
import { emitTo } from "../src/supervisor/events.js";

describe("an attempt's signal", () => {
  it("aborts with the first reason, whether it was asked for before or after", () => {
    const first = new Error("first");
    const early = new Cancellation();
    const { signal } = early;
    const late = new Cancellation();
    for (const cancellation of [early, late]) {
      cancellation.throwIfAborted();
      cancellation.abort(first);
      cancellation.abort(new Error("second"));
      expect(cancellation.reason).toBe(first);
      expect(() => {
        cancellation.throwIfAborted();
      }).toThrow(first);
    }
    expect(signal.reason).toBe(first);
    expect(late.signal.reason).toBe(first);
    expect(late.signal).toBe(late.signal);
  });
});

describe("messages of one bundle", () => {
  it("all begin, in order, before the event loop turns", async () => {
    const items = Array.from({ length: 1_000 }, (_, i) => i);
    const begun: number[] = [];
    let alive = 0;
    let most = 0;
    fewAtATime(items, (i) => {
      begun.push(i);
      alive += 1;
      most = Math.max(most, alive);
      void Promise.resolve()
        .then(() => undefined)
        .then(() => (alive -= 1));
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(begun).toEqual(items);
    expect(most).toBeLessThan(100);
  });
});

describe("events", () => {
  it("of one turn of the event loop are printed in order, in one piece", async () => {
    const written: string[] = [];
    const emit = emitTo(
      new Writable({
        write: (chunk: Buffer, _, done) => {
          written.push(chunk.toString());
          done();
        },
      }),
    );
    for (const job of ["a", "b", "c"]) emit({ event: "resumed", job });
    expect(written).toEqual([]);
    await new Promise((resolve) => setImmediate(resolve));
    emit({ event: "resumed", job: "d" });
    await new Promise((resolve) => setImmediate(resolve));
    const jobs = written.map((text) => [...text.matchAll(/"job":"(.)"/g)].map(([, job]) => job));
    expect(jobs).toEqual([["a", "b", "c"], ["d"]]);
  });
});
