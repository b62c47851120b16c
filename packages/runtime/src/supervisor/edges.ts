import { deadLetterKind, type EffectiveConfig, type PubSubInput } from "@klio/config/effective";
import { ElementSource, type ElementSourceOptions } from "../batch/element-source.js";
import { FileLines } from "../batch/file-output.js";
import type { RunFolder } from "../batch/run-folder.js";
import type { Clients } from "../pubsub/clients.js";
import { Publisher } from "../pubsub/publisher.js";
import { Subscriber } from "../pubsub/subscriber.js";
import { untilTopicExists } from "../pubsub/topics.js";
import { messageOf } from "../error-message.js";
import type { Output } from "./output.js";
import type { Delivery, Lease, Source } from "./source.js";

/** Where messages come from. */
export interface Sources {
  readonly all: readonly Source[];
  /** Elements that failed without a place for their dead letter. */
  failed(): number;
}

export interface SourceHandlers {
  readonly onDelivery: (delivery: Delivery) => void;
  /** It is received from an input, for the first time or again. */
  readonly onConnected: (input: string) => void;
  readonly onDisconnected: (input: string) => void;
  readonly onTrouble: (message: string) => void;
  /** An input can never be received from. */
  readonly onRefused: (code: string, message: string) => void;
  readonly onLost: (lease: Lease) => void;
  /** Every element of the event files is done. */
  readonly onEnd: () => void;
}

/** Where messages go: a job's outputs, its dead letters, its parents. */
export interface Outputs {
  readonly outputs: readonly Output[];
  /** "file": they are kept with the work and written when the run has finished. */
  readonly deadLetters: Output | "file" | undefined;
  readonly parents: readonly { readonly parent: Parent; readonly output: Output }[];
  close(): void;
}

interface Parent {
  readonly jobName: string;
  readonly gcpProject: string;
}

/** What a job is connected to. */
export interface Edges {
  sources(bounds: Bounds, handlers: SourceHandlers): Sources;
  outputs(onTrouble: (message: string) => void): Outputs;
  /** Resolves when what the job needs is there; tells what it waits for. */
  untilReady(signal: AbortSignal, tell: (message: string) => void): Promise<void>;
}

export interface Bounds {
  /** How many messages all workers work on at once. */
  readonly capacity: number;
  /** Messages in hand at once; 0: as many again wait as are worked on, so that no worker runs dry. */
  readonly messages: number;
  readonly bytes: number;
}

/** Pub/Sub, and event files when the job has a run of them. */
export function realEdges(config: EffectiveConfig, clients: Clients, run: RunFolder | undefined): Edges {
  const deadLetter = config.job_config.delivery.dead_letter;
  return {
    sources: (bounds, handlers) => makeSources(config, clients, run, bounds, handlers),
    outputs: (onTrouble) => makeOutputs(config, clients, onTrouble),
    untilReady: async (signal, tell) => {
      if (deadLetterKind(deadLetter) === "topic") await untilTopicExists(clients.publisher, deadLetter, signal, tell);
    },
  };
}

/** Whether the job talks to Pub/Sub at all. */
export function usesPubSub({ job_config, pipeline_options }: EffectiveConfig): boolean {
  const { events, delivery, dependencies } = job_config;
  const isTopic = (o: { readonly type: string }) => o.type === "pubsub";
  if (events.inputs.some(isTopic) || deadLetterKind(delivery.dead_letter) === "topic") return true;
  if (pipeline_options.streaming && dependencies.length > 0) return true;
  return events.outputs.some((o) => isTopic(o) && !o.skip_klio_write);
}

/** A source for each subscription, and one for all event files. */
function makeSources(
  config: EffectiveConfig,
  clients: Clients,
  run: RunFolder | undefined,
  bounds: Bounds,
  handlers: SourceHandlers,
): Sources {
  const inputs = config.job_config.events.inputs.filter((i): i is PubSubInput => i.type === "pubsub");
  const count = inputs.length + (run === undefined ? 0 : 1);
  // Left to itself one source alone can keep all workers busy; a bound that is set is divided, so that it holds for all together.
  const maxMessages =
    bounds.messages > 0
      ? Math.max(1, Math.floor(bounds.messages / count))
      : Math.max(bounds.capacity, Math.floor((2 * bounds.capacity) / count));
  const subscribers = inputs.map(({ name, subscription }) => {
    return new Subscriber({
      client: clients.subscriber,
      input: name,
      subscription,
      ackDeadlineMs: config.job_config.delivery.ack_deadline_ms,
      maxMessages,
      maxBytes: Math.max(1, Math.floor(bounds.bytes / count)),
      onDelivery: handlers.onDelivery,
      onLost: handlers.onLost,
      onConnected: () => {
        handlers.onConnected(name);
      },
      onDisconnected: () => {
        handlers.onDisconnected(name);
      },
      onTrouble: (error, delayMs) => {
        handlers.onTrouble(`${messageOf(error)}; again in ${Math.round(delayMs)} ms`);
      },
      onRefused: (error) => {
        handlers.onRefused("SUBSCRIPTION", `${subscription}: ${messageOf(error)}`);
      },
    });
  });
  if (run === undefined) return { all: subscribers, failed: () => 0 };
  const options: ElementSourceOptions = {
    folder: run,
    maxMessages,
    onDelivery: handlers.onDelivery,
    onEnd: handlers.onEnd,
    onBroken: (error) => {
      handlers.onRefused("BATCH_JOURNAL", `${run.path}: ${messageOf(error)}`);
    },
  };
  const elements = new ElementSource(options);
  return { all: [...subscribers, elements], failed: () => elements.failed };
}

function makeOutputs(config: EffectiveConfig, clients: Clients, onTrouble: (message: string) => void): Outputs {
  const publisher = (topic: string) =>
    new Publisher(clients.publisher, topic, (error, delayMs) => {
      onTrouble(`${messageOf(error)}; again in ${delayMs} ms`);
    });
  const { events, delivery, dependencies } = config.job_config;
  const outputs = events.outputs
    .filter((o) => !o.skip_klio_write)
    .sort((a, b) => (a.type === b.type ? 0 : a.type === "file" ? -1 : 1))
    .map((o): Output => (o.type === "pubsub" ? publisher(o.topic) : new FileLines(o.name)));
  const kind = deadLetterKind(delivery.dead_letter);
  const deadLetters = kind === "topic" ? publisher(delivery.dead_letter) : kind === "file" ? "file" : undefined;
  // Jobs that run through files are in an orchestrator's hands.
  const parents = (config.pipeline_options.streaming ? dependencies : []).map((d) => ({
    parent: { jobName: d.job_name, gcpProject: d.gcp_project },
    output: publisher(d.input_topics[0] ?? ""),
  }));
  return {
    outputs,
    deadLetters,
    parents,
    close: () => {
      for (const output of [...outputs, ...parents.map((p) => p.output)]) output.close();
      if (deadLetters instanceof Publisher) deadLetters.close();
    },
  };
}
