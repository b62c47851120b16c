import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Item, type TransformDefinition } from "@klio/runtime";
import { testJob } from "@klio/runtime/testing";

type Definition = TransformDefinition<Uint8Array, undefined, Item<string>>;

function jobOf(definition: Definition) {
  return defineJob({ build: (input) => input.apply(defineTransform("several", definition)) });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
}

describe("a generator", () => {
  it("whose time is up is closed before it is called again, so that no two run side by side", async () => {
    const said: string[] = [];
    let calls = 0;
    const tested = testJob(
      jobOf({
        timeout: "10s",
        retry: { tries: 2 },
        async *process(item, ctx) {
          calls += 1;
          const call = calls;
          said.push(`${call} begins`);
          try {
            if (call === 1) await untilAborted(ctx.signal);
            yield item.with(`call ${call}`);
            said.push(`${call} goes on`);
          } finally {
            await Promise.resolve();
            said.push(`${call} ends`);
          }
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).messages.map((m) => m.text)).toEqual(["call 2"]);
    expect(said).toEqual(["1 begins", "1 ends", "2 begins", "2 goes on", "2 ends"]);
  });

  it("whose time is up between two outputs is closed", async () => {
    const said: string[] = [];
    const tested = testJob(
      jobOf({
        timeout: "10s",
        async *process(item, ctx) {
          try {
            yield item.with("1");
            await untilAborted(ctx.signal);
            yield item.with("too late");
          } finally {
            said.push("closed");
          }
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).error).toMatchObject({ code: "TIMEOUT" });
    expect(said).toEqual(["closed"]);
  });

  it("that is given up is closed when it comes so far, and nobody waits for that", async () => {
    let goOn: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    let closed = false;
    const tested = testJob(
      jobOf({
        timeout: "10s",
        async *process(item) {
          try {
            await waiting;
            yield item.with("never");
          } finally {
            closed = true;
          }
        },
      }),
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).error).toMatchObject({ code: "TIMEOUT" });
    expect(closed).toBe(false);
    goOn();
    await expect.poll(() => closed).toBe(true);
  });

  it("that is called off while it waits for a place in its limit is closed", async () => {
    const said: string[] = [];
    let holding: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (holding = resolve));
    let waits: () => void = () => undefined;
    const waiting = new Promise<void>((resolve) => (waits = resolve));
    const several = defineTransform("several", {
      limit: "one",
      async *process(item) {
        if (item.element === "holds") {
          holding();
          await new Promise(() => undefined);
        }
        try {
          yield item.with("1");
          yield item.with("2");
        } finally {
          said.push("closed");
        }
      },
    });
    // Between the two outputs of the one the other takes the only place, and keeps it.
    const next = defineTransform("next", {
      async process(item: Item<string>) {
        void tested.send("holds");
        await held;
        waits();
        return item;
      },
    });
    const tested = testJob(defineJob({ build: (input) => input.apply(several).apply(next) }), { limits: { one: 1 } });
    const result = tested.send("x");
    await waiting;
    const stopped = tested.stop();
    await tested.clock.advance("30s");
    expect((await result).outcome).toBe("given-back");
    expect(said).toEqual(["closed"]);
    await tested.clock.advance("10s");
    await stopped;
  });
});
