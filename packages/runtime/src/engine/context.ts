import type { Context, Logger } from "../api/context.js";
import type { Item } from "../api/item.js";
import type { Metrics, MetricReport, Tags } from "../api/metrics.js";
import type { GraphNode } from "../api/pipeline.js";
import { messageOf } from "../error-message.js";
import type { CallScope } from "./call-scope.js";
import type { Engine } from "./engine.js";
import type { UserCall } from "./item-objects.js";
import { runProgram, streamProgram } from "./programs.js";
import type { LogEntry, Sink } from "./sink.js";
import type { Turns } from "./turns.js";

export function makeContext(
  { engine, input, objects, sink }: CallScope,
  node: GraphNode,
  item: Item<unknown>,
  turns: Turns,
  userCall: UserCall,
): Context<never> {
  return {
    state: engine.states.get(node.path) as never,
    config: engine.config,
    logger: makeLogger(sink, node.path, item.element),
    metrics: makeMetrics(engine, sink, node.path),
    get signal() {
      return turns.signal;
    },
    get draining() {
      return engine.draining();
    },
    attempt: input.attempt,
    klioId: input.klioId,
    read: (of) => objects.read(of, turns.ownSignal),
    open: (of) => objects.open(of, turns.ownSignal),
    file: (of) => objects.file(of, turns.ownSignal),
    folder: () => objects.folder(),
    upload: (of, data, options = {}) => objects.upload(of, data, options, { call: userCall, signal: turns.signal }),
    exec: (command, args = [], options = {}) => runProgram(command, args, options, turns.signal),
    execStream: (command, args = [], options = {}) => streamProgram(command, args, options, turns.signal),
  };
}

function makeLogger(sink: Sink, node: string, element: string): Logger {
  const at =
    (severity: LogEntry["severity"]) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}) => {
      sink.log({ severity, message, fields: { ...fields, element }, node });
    };
  return { debug: at("DEBUG"), info: at("INFO"), warn: at("WARNING"), error: at("ERROR") };
}

function makeMetrics(engine: Engine, sink: Sink, node: string): Metrics {
  const report = (metric: MetricReport) => {
    if (!Number.isFinite(metric.value)) throw new TypeError(`metric "${metric.name}": ${metric.value} is no number`);
    sink.metric(metric);
    for (const backend of engine.backends) {
      try {
        backend.report(metric);
      } catch (error) {
        const message = `a metrics back-end failed: ${messageOf(error)}`;
        sink.log({ severity: "WARNING", message, fields: {}, node });
      }
    }
  };
  const none: Tags = {};
  return {
    counter: (name, tags = none) => ({
      inc: (by = 1) => {
        report({ kind: "counter", name, node, tags, value: by });
      },
    }),
    gauge: (name, tags = none) => ({
      set: (value) => {
        report({ kind: "gauge", name, node, tags, value });
      },
    }),
    timer: (name, tags = none) => {
      const start = process.hrtime.bigint();
      let stopped: number | undefined;
      return {
        stop: () => {
          if (stopped !== undefined) return stopped;
          stopped = Number(process.hrtime.bigint() - start);
          report({ kind: "timer", name, node, tags, value: stopped });
          return stopped;
        },
      };
    },
  };
}
