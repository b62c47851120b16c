import { deadLetterKind, type EffectiveConfig, type PubSubInput } from "@klio/config/effective";
import { ElementSource, type ElementSourceOptions } from "../batch/element-source.js";
import { FileLines } from "../batch/file-output.js";
import type { JobIdentity } from "../message/index.js";
import type { Output } from "./output.js";
import { Publisher } from "./publisher.js";
import { type Clients, messageOf } from "./pubsub-clients.js";
import type { Source } from "./source.js";
import { Subscriber, type SubscriberOptions } from "./subscriber.js";

export interface SourcesOptions {
  /** How many messages all workers have in hand at once. As many again wait, so that none of them runs dry. */
  readonly capacity: number;
  readonly maxBytes: number;
  readonly subscriber: Pick<SubscriberOptions, "onDelivery" | "onTrouble" | "onLost"> & {
    /** Every subscription is received from. */
    readonly onConnected: () => void;
    readonly onRefused: (subscription: string, error: unknown) => void;
  };
  /** The elements of event files; absent when the job has none. */
  readonly elements: Omit<ElementSourceOptions, "maxMessages"> | undefined;
}

export interface Sources {
  readonly all: readonly Source[];
  readonly elements: ElementSource | undefined;
}

/** A source for each subscription, and one for all event files. */
export function makeSources(config: EffectiveConfig, clients: Clients, options: SourcesOptions): Sources {
  const inputs = config.job_config.events.inputs.filter((i): i is PubSubInput => i.type === "pubsub");
  const count = inputs.length + (options.elements === undefined ? 0 : 1);
  // One source alone can keep all workers busy; together they hold no more than twice that, or their number of times.
  const maxMessages = Math.max(options.capacity, Math.floor((2 * options.capacity) / count));
  const connected = new Set<string>();
  const subscribers = inputs.map(({ name, subscription }) => {
    return new Subscriber({
      client: clients.subscriber,
      input: name,
      subscription,
      ackDeadlineMs: config.job_config.delivery.ack_deadline_ms,
      maxMessages,
      maxBytes: Math.floor(options.maxBytes / count),
      ...options.subscriber,
      onConnected: () => {
        connected.add(name);
        if (connected.size === inputs.length) options.subscriber.onConnected();
      },
      onRefused: (error) => {
        options.subscriber.onRefused(subscription, error);
      },
    });
  });
  const elements = options.elements === undefined ? undefined : new ElementSource({ ...options.elements, maxMessages });
  return { all: elements === undefined ? subscribers : [...subscribers, elements], elements };
}

export interface Outputs {
  readonly outputs: readonly Output[];
  readonly deadLetters: Publisher | "file" | undefined;
  readonly parents: readonly { readonly parent: JobIdentity; readonly output: Output }[];
  close(): void;
}

/** Where a job's messages go: its outputs, its dead letters, its parents. */
export function makeOutputs(config: EffectiveConfig, clients: Clients, onTrouble: (message: string) => void): Outputs {
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
