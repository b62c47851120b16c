import { createReadStream, existsSync } from "node:fs";
import { PassThrough, Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Context, defineJob, defineTransform, type Item } from "@klio/runtime";
import { testJob, type TestOptions } from "@klio/runtime/testing";

type Work = (item: Item, ctx: Context) => Promise<unknown>;

/** A job of one transform, which puts out what the work returns as text. */
function testing(
  work: Work,
  more: { readonly retry?: { readonly tries: number }; readonly timeout?: "10s" } = {},
  options?: TestOptions,
) {
  const transform = defineTransform("work", {
    ...more,
    process: async (item: Item, ctx) => item.with(String(await work(item, ctx))),
  });
  return testJob(defineJob({ build: (input) => input.apply(transform) }), options);
}

async function* breaking(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.alloc(10));
  throw new Error("the encoder broke");
}

const message = (error: unknown) => (error as Error).message;

describe("an upload that failed", () => {
  it("is forgotten with the try that made it", async () => {
    let tries = 0;
    const work: Work = async (item, ctx) => {
      tries += 1;
      await ctx.upload(item, tries === 1 ? breaking() : "whole");
      return `try ${tries}`;
    };
    const tested = testing(work, { retry: { tries: 3 } });
    expect(await tested.send("x")).toMatchObject({ outcome: "processed", charged: 0, messages: [{ text: "try 2" }] });
    expect(Buffer.from(tested.output("x") ?? []).toString()).toBe("whole");
  });

  it("is forgotten with a try that took too long, awaited or not", async () => {
    let tries = 0;
    const work: Work = async (item, ctx) => {
      tries += 1;
      if (tries > 1) return `try ${tries}`;
      void ctx.upload(item, new PassThrough(), { suffix: ".forgotten" });
      return ctx.upload(item, new PassThrough());
    };
    const tested = testing(work, { retry: { tries: 2 }, timeout: "10s" });
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect(await result).toMatchObject({ outcome: "processed", messages: [{ text: "try 2" }] });
  });

  const ways: readonly (readonly [string, Work])[] = [
    ["try", async (item, ctx) => ctx.upload(item, breaking()).then(undefined, message)],
    ["await", async (item, ctx) => {
      try {
        return await ctx.upload(item, breaking());
      } catch (error) {
        return message(error);
      }
    }],
    ["await later", async (item, ctx) => {
      const thumbnail = ctx.upload(item, breaking());
      await ctx.upload(item, "song", { suffix: ".mp3" });
      return thumbnail.catch(message);
    }],
    ["await together with others", async (item, ctx) =>
      Promise.all([ctx.upload(item, breaking()), ctx.upload(item, breaking(), { suffix: ".2" })]).catch(message)],
  ]; // prettier-ignore

  it.each(ways)("costs the message nothing when its error was caught: %s", async (_, work) => {
    const result = await testing(work).send("x");
    expect(result).toMatchObject({ outcome: "processed", messages: [{ text: "the encoder broke" }] });
  });

  it("fails the attempt when nobody took its error", async () => {
    const tested = testing(async (item, ctx) => {
      void ctx.upload(item, breaking());
      await ctx.upload(item, breaking(), { suffix: ".caught" }).catch(() => undefined);
    });
    expect(await tested.send("x")).toMatchObject({ outcome: "dead-letter", error: { message: "the encoder broke" } });
  });

  it("may be made again under the same name", async () => {
    const tested = testing(async (item, ctx) => {
      await ctx.upload(item, breaking()).catch(() => undefined);
      return (await ctx.upload(item, "a poorer copy")).write;
    });
    expect((await tested.send("x")).messages[0]?.text).toBe("uploaded");
    expect(Buffer.from(tested.output("x") ?? []).toString()).toBe("a poorer copy");
  });

  it("because another one writes the same object leaves that its name", async () => {
    const codes: unknown[] = [];
    const tested = testing(async (item, ctx) => {
      const first = ctx.upload(item, Readable.from([Buffer.from("first")]));
      for (let i = 0; i < 2; i += 1) {
        await ctx.upload(item, "second").catch((error: unknown) => codes.push((error as { code: string }).code));
      }
      await first;
    });
    expect((await tested.send("x")).outcome).toBe("processed");
    expect(codes).toEqual(["DUPLICATE_OUTPUT", "DUPLICATE_OUTPUT"]);
  });
});

describe("an upload that nobody awaits", () => {
  it("is whole when the message is done, also where a program makes its bytes", async () => {
    const tested = testing(async (item, ctx) => {
      void ctx.upload(item, ctx.execStream("sh", ["-c", "sleep 0.3; echo done"]));
      return Promise.resolve("returned");
    });
    expect(await tested.send("x")).toMatchObject({ outcome: "processed", objects: [{ name: "x", size: 5 }] });
  });

  it("ends with the try that made it", async () => {
    let tries = 0;
    const work: Work = async (item, ctx) => {
      tries += 1;
      if (tries === 1) {
        void ctx.upload(item, new PassThrough());
        throw new Error("not yet");
      }
      return (await ctx.upload(item, "second")).write;
    };
    const tested = testing(work, { retry: { tries: 2 } });
    expect((await tested.send("x")).messages[0]?.text).toBe("uploaded");
  });
});

describe("the source of an upload", () => {
  it("is destroyed when the upload fails before it reads", async () => {
    const sources: Readable[] = [];
    const source = () => {
      const made = new PassThrough();
      sources.push(made);
      return made;
    };
    let returned = false;
    const iterable = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: true as const, value: undefined }),
        return: () => {
          returned = true;
          return Promise.resolve({ done: true as const, value: undefined });
        },
      }),
    };
    const tested = testing(async (item, ctx) => {
      await ctx.upload(item, "first");
      await ctx.upload(item, source()).catch(() => undefined); // DUPLICATE_OUTPUT
      await ctx.upload(item, iterable).catch(() => undefined);
      const suffix = "x".repeat(2_000);
      await ctx.upload(item, source(), { suffix }).catch(() => undefined); // ILLEGAL_OBJECT_NAME
    });
    expect((await tested.send("x")).outcome).toBe("processed");
    expect(sources.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    expect(returned).toBe(true);
  });

  it("that fails before it is read fails its upload, with its own error", async () => {
    const work: Work = async (item, ctx) =>
      ctx.upload(item, createReadStream("/no/such/file"), { suffix: ".png" }).catch(message);
    const result = await testing(work).send("x");
    expect(result.messages[0]?.text).toBe("ENOENT: no such file or directory, open '/no/such/file'");
  });

  it("that fails after its upload has, hurts nobody", async () => {
    const tested = testing(async (item, ctx) => {
      await ctx.upload(item, "first");
      await ctx.upload(item, createReadStream("/no/such/file")).catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, 20));
    });
    expect((await tested.send("x")).outcome).toBe("processed");
  });
});

describe("what was read", () => {
  it("is kept by user code alone", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const tested = testing(
      async (item, ctx) => {
        const read: WeakRef<Uint8Array>[] = [];
        for (let i = 0; i < 10; i += 1) read.push(new WeakRef(await ctx.read(item)));
        await setImmediate();
        collect();
        return read.filter((each) => each.deref() !== undefined).length;
      },
      {},
      { objects: { x: Buffer.alloc(1_000_000) } },
    );
    expect(Number((await tested.send("x")).messages[0]?.text)).toBeLessThan(3);
  });
});

describe("a temporary folder", () => {
  it("is not made any more for a call that has returned, though the message used none", async () => {
    let later: () => void = () => undefined;
    const told = new Promise<void>((resolve) => (later = resolve));
    let late: unknown;
    const tested = testing(async (_, ctx) => {
      void told.then(async () => (late = await ctx.folder().catch(message)));
      return Promise.resolve("returned");
    });
    expect((await tested.send("x")).outcome).toBe("processed");
    later();
    await expect.poll(() => late).toBe("the call is over");
  });

  it("is not made any more once the call's time is up, or the message is done", async () => {
    const late: unknown[] = [];
    let later: () => void = () => undefined;
    const told = new Promise<void>((resolve) => (later = resolve));
    const tested = testing(
      async (_, ctx) => {
        void told.then(async () => late.push(await ctx.folder().catch(message)));
        await new Promise((resolve) => {
          ctx.signal.addEventListener("abort", resolve);
        });
        late.push(await ctx.folder().catch(message));
      },
      { timeout: "10s" },
    );
    const result = tested.send("x");
    await tested.clock.advance("10s");
    expect((await result).error?.code).toBe("TIMEOUT");
    later();
    await expect.poll(() => late.length).toBe(2);
    expect(late.map(String).filter((each) => existsSync(each))).toEqual([]);
    expect(late[0]).toContain("it took longer than 10000 ms");
  });
});
