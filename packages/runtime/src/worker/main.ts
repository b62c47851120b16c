import { create } from "@bufbuild/protobuf";
import { Socket } from "node:net";
import type { EffectiveConfig } from "@klio/config/effective";
import { type Configure, Failure_Kind, FailureSchema, type Input } from "../../gen/worker_pb.js";
import { realClock } from "../clock.js";
import { fewAtATime } from "../engine/few-at-a-time.js";
import { layOut } from "../engine/graph.js";
import { readMessage } from "../message/codec.js";
import { supervisorFrames, workerFrames } from "../protocol/codec.js";
import { FrameChannel, protocolVersion } from "../protocol/frames.js";
import { runtimeVersion } from "../version.js";
import { describeFatal } from "./fatal.js";
import { loadJob } from "./load-job.js";
import { Outbox } from "./outbox.js";
import { Performer } from "./performer.js";
import { RemoteLimits } from "./remote-limits.js";
import { toResult } from "./results.js";
import { makeStore } from "./store.js";
import { watchSupervisor } from "./watcher.js";

const channel = new FrameChannel(
  workerFrames,
  new Socket({ fd: 4, readable: false, writable: true }),
  supervisorFrames,
  new Socket({ fd: 3, readable: true, writable: false }),
);
const outbox = new Outbox(channel);
const limits = new RemoteLimits(
  (ticket, limit, size) => {
    outbox.acquire(ticket, limit, size);
  },
  (ticket) => {
    outbox.release(ticket);
  },
);
/** Bytes of messages that are in hand at once: without a bound, many of the largest would take more than the code that works on them. */
const creditBytes = 64 * 1024 * 1024;
let performer: Performer | undefined;

async function configure(frame: Configure): Promise<void> {
  const config = JSON.parse(frame.configJson) as EffectiveConfig;
  try {
    const job = await loadJob(frame.jobDir);
    const graph = await layOut(job, config);
    const store = makeStore(config.pipeline_options.project);
    performer = await Performer.make({ job, graph, config, store, clock: realClock, limits });
    outbox.ready(performer.digest, frame.concurrency, creditBytes);
    setInterval(() => {
      outbox.heartbeat();
    }, frame.heartbeatMs);
  } catch (error) {
    const { code, message, stack } = describeFatal(error);
    outbox.fatal(create(FailureSchema, { kind: Failure_Kind.PERMANENT, code, message, stack }));
  }
}

function perform(input: Input): void {
  const { id, klioId, source, attempt, timeoutMs, trace } = input;
  const message = readMessage(input.message);
  const what = { id, klioId, source, attempt, message, timeoutMs, trace };
  performer?.perform(what, outbox.sinkOf(id), (result, ms) => {
    outbox.result(toResult(id, ms, result));
  });
}

async function tearDown(): Promise<void> {
  await performer?.tearDown((message) => {
    process.stderr.write(`${message}\n`);
  });
  endGroup();
}

// An orderly exit would wait for the watcher's thread, which blocks; this also ends what user code left running.
function endGroup(): void {
  process.kill(-process.pid, "SIGKILL");
}

process.on("exit", (code) => {
  process.stderr.write(`user code called process.exit(${code}); the worker ends\n`);
  endGroup();
});

// An error outside any transform (a timer, an event handler) leaves the process in an unknown state: it ends, and the
// supervisor decides about what was in hand.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  endGroup();
});

watchSupervisor();
channel.receive(({ frame }) => {
  switch (frame.case) {
    case "configure":
      void configure(frame.value);
      break;
    case "bundle":
      fewAtATime(frame.value.inputs, perform);
      break;
    case "cancel":
      performer?.cancel(frame.value.id, frame.value.reason);
      break;
    case "grant":
      limits.granted(frame.value.ticket);
      break;
    case "drain":
      performer?.drain();
      if (frame.value.final) void tearDown();
      break;
    case undefined:
      break;
  }
}, endGroup);
outbox.hello(protocolVersion, runtimeVersion);
