import { describe, expect, it } from "vitest";
import { defineJob, defineTransform, type Job, PermanentError } from "@klio/runtime";
import { layOut } from "../src/engine/graph.js";
import { InlineWorker } from "../src/inline/worker.js";
import { Limits } from "../src/limits.js";
import { encodeMessage, requestMessage } from "../src/message/index.js";
import { MemoryStore } from "../src/objects/memory-store.js";
import type { SourceHandlers } from "../src/supervisor/edges.js";
import type { RuntimeEvent } from "../src/supervisor/events.js";
import { noObserver } from "../src/supervisor/observer.js";
import type { Lease, Source } from "../src/supervisor/source.js";
import { Supervisor } from "../src/supervisor/supervisor.js";
import { FakeClock } from "../src/testing/fake-clock.js";
import { testConfig } from "../src/testing/test-config.js";
import { Performer } from "../src/worker/performer.js";

const nothing = () => undefined;

/** A supervisor whose source the test holds in its hands. */
async function supervise(job: Job, deadLetters = true) {
  const config = testConfig({});
  const events: RuntimeEvent[] = [];
  const published: string[] = [];
  const givenBack: string[] = [];
  const letGo: string[] = [];
  const clock = new FakeClock(0, () => 0);
  let handlers: SourceHandlers | undefined;
  let confirm: () => void = nothing;
  let confirmed: Promise<void> = Promise.resolve();
  const source: Source = {
    start: () => handlers?.onConnected("pubsub0"),
    pause: nothing,
    resume: nothing,
    stopPulling: () => Promise.resolve(),
    close: nothing,
    acknowledge: () => confirmed,
    giveBack: ({ ackId }) => Promise.resolve(void givenBack.push(ackId)),
    letGo: ({ ackId }) => void letGo.push(ackId),
  };
  const keeping = {
    publish: (m: { data: Uint8Array }) => Promise.resolve(void published.push(String(m.data))),
    close: nothing,
  };
  const make = async () =>
    Performer.make({
      job,
      graph: await layOut(job, config),
      config,
      store: new MemoryStore(),
      clock,
      limits: new Limits({}),
    });
  const supervisor = new Supervisor({
    config,
    edges: {
      sources: (_, given) => {
        handlers = given;
        return { all: [source], failed: () => 0 };
      },
      outputs: () => ({
        outputs: [keeping],
        deadLetters: deadLetters ? keeping : undefined,
        parents: [],
        close: nothing,
      }),
      untilReady: () => Promise.resolve(),
    },
    emit: (event) => events.push(event),
    observer: noObserver,
    clock,
    fleet: {
      start: (options, tell) => new InlineWorker(options, tell, make),
      build: { directory: "", configJson: "" },
      workers: 1,
      memory: Infinity,
      warm: false,
      onRetired: nothing,
    },
    onFatal: nothing,
    onEnd: nothing,
  });
  supervisor.start();
  await expect.poll(() => supervisor.status().ready).toBe(true);
  return {
    supervisor,
    published,
    givenBack,
    letGo,
    outcomes: () => events.flatMap((e) => (e.event === "outcome" ? [`${e.element} ${e.outcome}`] : [])),
    deliver: (element: string, orderingKey = "") => {
      const lease: Lease = { source, ackId: element, confirmedUntil: Infinity, lost: false };
      const data = encodeMessage(requestMessage({ element }));
      const more = { messageId: element, input: "pubsub0", attributes: {}, orderingKey, publishTime: 0 };
      handlers?.onDelivery({ lease, data, ...more });
      return lease;
    },
    lose: (lease: Lease) => {
      lease.lost = true;
      handlers?.onLost(lease);
    },
    /** Acknowledgements are confirmed only when the function that is returned is called. */
    holdConfirmations: () => {
      confirmed = new Promise((resolve) => (confirm = resolve));
      return () => {
        confirm();
      };
    },
  };
}

describe("a message whose lease is lost while it is worked on", () => {
  it("gives back with it what waits behind it for its ordering key", async () => {
    let goOn: () => void = nothing;
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const work = defineTransform("work", {
      async process(item) {
        await waiting;
        return item.with(item.element);
      },
    });
    const run = await supervise(defineJob({ build: (input) => input.apply(work) }));
    const first = run.deliver("a", "k");
    run.deliver("b", "k");
    run.deliver("c", "another");
    run.lose(first);
    goOn();
    await expect.poll(run.outcomes).toEqual(expect.arrayContaining(["b given-back", "c processed"]));
    expect(run.givenBack).toEqual(["b"]);
    expect(run.published).toHaveLength(1);
    await run.supervisor.drain("the test is over");
  });
});

describe("a message that is left to its subscription's own policy", () => {
  it("is not overtaken by what waits behind it for its ordering key", async () => {
    let fail: () => void = nothing;
    const waiting = new Promise<void>((resolve) => (fail = resolve));
    const work = defineTransform("work", {
      async process(item) {
        await waiting;
        if (item.element === "a") throw new PermanentError("never");
        return item.with(item.element);
      },
    });
    const run = await supervise(defineJob({ build: (input) => input.apply(work) }), false);
    for (const element of ["a", "b", "c"]) run.deliver(element, "k");
    run.deliver("d", "another");
    fail();
    await expect.poll(() => run.outcomes().length).toBe(4);
    expect(run.outcomes()).toEqual(
      expect.arrayContaining(["a given-back", "b given-back", "c given-back", "d processed"]),
    );
    expect(run.letGo.sort()).toEqual(["a", "b", "c"]);
    expect(run.givenBack).toEqual([]);
    await run.supervisor.drain("the test is over");
  });
});

describe("a job that stops while an acknowledgement is on its way", () => {
  it("does not give the message back as well", async () => {
    const work = defineTransform("work", { process: (item) => item.with("done") });
    const run = await supervise(defineJob({ build: (input) => input.apply(work) }));
    const confirm = run.holdConfirmations();
    run.deliver("a");
    await expect.poll(() => run.published.length).toBe(1);
    const stopping = run.supervisor.drain("the test is over");
    run.supervisor.hurry();
    await stopping;
    expect(run.givenBack).toEqual([]);
    expect(run.outcomes()).toEqual([]);
    confirm();
    await expect.poll(run.outcomes).toEqual(["a processed"]);
  });
});
