import type { Context, Logger } from "../api/context.js";
import type { Item } from "../api/item.js";
import type { Metrics, MetricReport, Tags } from "../api/metrics.js";
import type { GraphNode } from "../api/pipeline.js";
import { messageOf } from "../error-message.js";
import type { CallScope } from "./call-scope.js";
import type { Engine } from "./engine.js";
import { runProgram, streamProgram } from "./programs.js";
import type { LogEntry, Sink } from "./sink.js";
import type { Turns } from "./turns.js";
import type { UserCall } from "./user-call.js";

/** What user code is given beside the item. Its parts are made when they are asked for, and may be taken out of it. */
export class CallContext implements Context<never> {
  readonly attempt: number;
  readonly klioId: string;
  readonly #scope: CallScope;
  readonly #node: GraphNode;
  readonly #item: Item<unknown>;
  readonly #turns: Turns;
  readonly #call: UserCall;

  constructor(scope: CallScope, node: GraphNode, item: Item<unknown>, turns: Turns, call: UserCall) {
    this.attempt = scope.input.attempt;
    this.klioId = scope.input.klioId;
    this.#scope = scope;
    this.#node = node;
    this.#item = item;
    this.#turns = turns;
    this.#call = call;
  }

  get state() {
    return this.#scope.engine.states.get(this.#node.path) as never;
  }

  get config() {
    return this.#scope.engine.config;
  }

  get logger() {
    return makeLogger(this.#scope.sink, this.#node.path, this.#item.element);
  }

  get metrics() {
    return makeMetrics(this.#scope.engine, this.#scope.sink, this.#node.path);
  }

  get signal() {
    return this.#turns.signal;
  }

  get draining() {
    return this.#scope.engine.draining();
  }

  get read(): Context["read"] {
    return (of) => this.#scope.objects.read(of, this.#turns.ownSignal);
  }

  get open(): Context["open"] {
    return (of) => this.#scope.objects.open(of, this.#turns.ownSignal);
  }

  get file(): Context["file"] {
    return (of) => this.#scope.objects.file(of, this.#turns.ownSignal);
  }

  get folder(): Context["folder"] {
    return () => this.#scope.objects.folder(this.#untilOver());
  }

  get upload(): Context["upload"] {
    return (of, data, options = {}) => {
      const by = { call: this.#call, signal: this.#turns.signal };
      return this.#scope.objects.upload(of, data, options, by);
    };
  }

  get exec(): Context["exec"] {
    return (command, args = [], options = {}) => {
      const running = runProgram(command, args, options, this.#untilOver());
      this.#noteProgram(running);
      return running;
    };
  }

  get execStream(): Context["execStream"] {
    return (command, args = [], options = {}) => {
      const { output, ended } = streamProgram(command, args, options, this.#untilOver());
      this.#noteProgram(ended);
      return output;
    };
  }

  /** Aborts when the work has become pointless, and when the try or the attempt is over. */
  #untilOver(): AbortSignal {
    return AbortSignal.any([this.#turns.signal, this.#call.signal, this.#scope.objects.signal]);
  }

  #noteProgram(running: Promise<unknown>): void {
    this.#scope.objects.awaitEnd(running);
    this.#call.addProgram(running);
  }
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
    if (metric.kind === "counter" && metric.value < 0) {
      throw new TypeError(
        `metric "${metric.name}": a counter only grows, and ${metric.value} is below zero; take a gauge`,
      );
    }
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
