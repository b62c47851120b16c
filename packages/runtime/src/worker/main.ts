import { create, fromBinary } from "@bufbuild/protobuf";
import { mkdtemp } from "node:fs/promises";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EffectiveConfig } from "@klio/config/effective";
import { KlioMessageSchema } from "../../gen/klio_pb.js";
import {
  type Configure,
  Failure_Kind,
  FailureSchema,
  type Input,
  SupervisorFrameSchema,
  WorkerFrameSchema,
} from "../../gen/worker_pb.js";
import { AttemptTimeout, runAttempt } from "../engine/attempt.js";
import type { Engine } from "../engine/engine.js";
import { graphDigest, JobError, layOut } from "../engine/graph.js";
import { emulatorUrl } from "../emulator-url.js";
import { FileStore } from "../objects/file-store.js";
import { GcsStore } from "../objects/gcs-store.js";
import { RoutedStore } from "../objects/routed-store.js";
import { FrameChannel, protocolVersion } from "../protocol/frames.js";
import { runtimeVersion } from "../version.js";
import { loadJob } from "./load-job.js";
import { Outbox } from "./outbox.js";
import { toResult } from "./results.js";
import { watchSupervisor } from "./watcher.js";

const channel = new FrameChannel(
  WorkerFrameSchema,
  new Socket({ fd: 4, readable: false, writable: true }),
  SupervisorFrameSchema,
  new Socket({ fd: 3, readable: true, writable: false }),
);
const outbox = new Outbox(channel);
const running = new Map<bigint, AbortController>();
let engine: Engine | undefined;
let draining = false;

async function configure(frame: Configure): Promise<void> {
  const config = JSON.parse(frame.configJson) as EffectiveConfig;
  try {
    const graph = await layOut(await loadJob(frame.jobDir), config);
    const emulator = emulatorUrl(process.env["STORAGE_EMULATOR_HOST"]);
    const buckets = () =>
      new GcsStore({
        project: config.pipeline_options.project,
        ...(emulator === undefined ? {} : { emulator }),
      });
    const store = new RoutedStore(() => new FileStore(), buckets);
    const states = new Map<string, unknown>();
    for (const node of graph.nodes.values()) {
      if (node.transform.setup !== undefined) states.set(node.path, await node.transform.setup());
    }
    const temporaryFolder = () => mkdtemp(join(tmpdir(), "item-"));
    engine = { config, graph, store, states, temporaryFolder, draining: () => draining };
    outbox.ready(graphDigest(graph), frame.concurrency);
    setInterval(() => {
      outbox.heartbeat();
    }, frame.heartbeatMs);
  } catch (error) {
    fatal(error);
  }
}

function fatal(error: unknown): void {
  const known = error instanceof JobError;
  const cause = known && error.cause instanceof Error ? error.cause : error;
  outbox.fatal(
    create(FailureSchema, {
      kind: Failure_Kind.PERMANENT,
      code: known ? error.code : "SETUP",
      message: error instanceof Error ? error.message : String(error),
      stack: cause instanceof Error ? (cause.stack ?? "") : "",
    }),
  );
}

async function processInput(input: Input): Promise<void> {
  if (engine === undefined) return;
  const controller = new AbortController();
  running.set(input.id, controller);
  const timer =
    input.timeoutMs === 0
      ? undefined
      : setTimeout(() => {
          controller.abort(new AttemptTimeout(`it took longer than ${input.timeoutMs} ms`));
        }, input.timeoutMs);
  const started = process.hrtime.bigint();
  const result = await runAttempt(
    engine,
    {
      klioId: input.klioId,
      input: input.source,
      attempt: input.attempt,
      message: fromBinary(KlioMessageSchema, input.message),
      signal: controller.signal,
    },
    outbox.sinkOf(input.id),
  );
  clearTimeout(timer);
  running.delete(input.id);
  outbox.result(toResult(input.id, (process.hrtime.bigint() - started) / 1_000n, result));
}

async function end(): Promise<void> {
  for (const node of engine?.graph.nodes.values() ?? []) {
    await node.transform.teardown?.(engine?.states.get(node.path) as never);
  }
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
      for (const input of frame.value.inputs) void processInput(input);
      break;
    case "cancel":
      running.get(frame.value.id)?.abort(new Error(frame.value.reason));
      break;
    case "drain":
      draining = true;
      if (frame.value.final) void end().finally(endGroup);
      break;
    case undefined:
      break;
  }
}, endGroup);
outbox.hello(protocolVersion, runtimeVersion);
