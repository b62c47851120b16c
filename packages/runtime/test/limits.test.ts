import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Item } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";
import { Limits } from "../src/limits.js";

const never = new AbortController().signal;

/** Asks for places, and tells who has one. */
function asking(limits: Limits) {
  const inside: string[] = [];
  const releases = new Map<string, () => void>();
  return {
    inside,
    ask: async (who: string, size: number) => {
      void limits.acquire("transform:work", size, never).then((release) => {
        inside.push(who);
        releases.set(who, release);
      });
      await new Promise((resolve) => setImmediate(resolve));
    },
    leave: async (who: string) => {
      inside.splice(inside.indexOf(who), 1);
      releases.get(who)?.();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

describe("a limit whose number changes while the job runs", () => {
  it("lets in at once who waits when it grows", async () => {
    const { inside, ask, leave } = asking(new Limits({}));
    for (const who of ["a", "b", "c"]) await ask(who, 1);
    expect(inside).toEqual(["a"]);
    await ask("d", 3);
    expect(inside).toEqual(["a", "b", "c"]);
    await leave("a");
    expect(inside).toEqual(["b", "c", "d"]);
  });

  it("lets nobody in before enough have left when it shrinks", async () => {
    const { inside, ask, leave } = asking(new Limits({}));
    for (const who of ["a", "b", "c"]) await ask(who, 3);
    await ask("d", 1);
    await leave("a");
    await leave("b");
    expect(inside).toEqual(["c"]);
    await leave("c");
    expect(inside).toEqual(["d"]);
  });

  it("keeps the number of klio-job.yaml where that counts", async () => {
    const { inside, ask } = asking(new Limits({ "transform:work": 2 }));
    for (const who of ["a", "b", "c"]) await ask(who, 0);
    expect(inside).toEqual(["a", "b"]);
  });
});

describe("a place in a limit", () => {
  it("is free when a call that hangs is given up for the time of its attempt", async () => {
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    let running = 0;
    let most = 0;
    const work = defineTransform("work", {
      limit: 1,
      async process(item): Promise<Item<string>> {
        if (item.element === "hangs") await waiting;
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return item.with("done");
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(work) }), { timeout: "10s" });
    const hangs = tested.send("hangs");
    await tested.clock.advance("12s");
    expect((await hangs).error?.code).toBe("TIMEOUT");
    expect((await tested.send("a")).outcome).toBe("processed");
    // Its end, which comes late, gives back no second place.
    goOn();
    const all = await Promise.all(["b", "c", "d"].map((element) => tested.send(element)));
    expect(all.map((r) => r.outcome)).toEqual(["processed", "processed", "processed"]);
    expect(most).toBeLessThanOrEqual(2); // the one that was given up, and one
  });
});
