import type { OutgoingMessage, Output } from "../supervisor/output.js";
import type { Edges, SourceHandlers } from "../supervisor/edges.js";
import type { Delivery, Lease, Source } from "../supervisor/source.js";

/** A message that was published. */
export interface PublishedMessage extends OutgoingMessage {
  /** Message id of the input it was made from. */
  readonly from: string;
  /** Name of the job it goes to, where that is a parent; else empty. */
  readonly to: string;
}

/** Edges of a job in memory: a source that is fed by hand, and outputs that keep what comes. */
export class MemoryEdges implements Edges {
  readonly published: PublishedMessage[] = [];
  readonly deadLetters: PublishedMessage[] = [];
  readonly upstream: PublishedMessage[] = [];
  /** Message ids. */
  readonly acknowledged = new Set<string>();
  readonly givenBack = new Set<string>();
  #handlers: SourceHandlers | undefined;
  readonly #ids = new Map<Lease, string>();
  /** What came while the job received nothing; undefined while it does. */
  #kept: Omit<Delivery, "lease">[] | undefined;

  constructor(
    readonly inputs: readonly string[],
    readonly parents: readonly { readonly jobName: string; readonly gcpProject: string }[],
  ) {}

  deliver(message: Omit<Delivery, "lease">): void {
    if (this.#kept !== undefined) {
      this.#kept.push(message);
      return;
    }
    const lease: Lease = { source: this.#source, ackId: message.messageId, confirmedUntil: Infinity, lost: false };
    this.#ids.set(lease, message.messageId);
    this.#handlers?.onDelivery({ ...message, lease });
  }

  sources(_bounds: unknown, handlers: SourceHandlers) {
    this.#handlers = handlers;
    return { all: [this.#source], failed: () => 0 };
  }

  outputs() {
    return {
      outputs: [keeping(this.published)],
      deadLetters: keeping(this.deadLetters),
      parents: this.parents.map((parent) => ({ parent, output: keeping(this.upstream, parent.jobName) })),
      close: () => undefined,
    };
  }

  untilReady(): Promise<void> {
    return Promise.resolve();
  }

  readonly #source: Source = {
    start: () => {
      for (const input of this.inputs) this.#handlers?.onConnected(input);
    },
    pause: () => {
      this.#kept ??= [];
    },
    resume: () => {
      const kept = this.#kept ?? [];
      this.#kept = undefined;
      // A job that takes one of them may pause again with it.
      for (const message of kept) this.deliver(message);
    },
    stopPulling: () => Promise.resolve(),
    close: () => undefined,
    acknowledge: (lease) => {
      this.acknowledged.add(this.#take(lease));
      return Promise.resolve();
    },
    giveBack: (lease) => {
      this.givenBack.add(this.#take(lease));
      return Promise.resolve();
    },
    letGo: (lease) => {
      this.givenBack.add(this.#take(lease));
    },
  };

  #take(lease: Lease): string {
    const id = this.#ids.get(lease) ?? "";
    this.#ids.delete(lease);
    return id;
  }
}

function keeping(messages: PublishedMessage[], to = ""): Output {
  return {
    publish: (message, work) => {
      messages.push({ ...message, from: work.delivery.messageId, to });
      return Promise.resolve();
    },
    close: () => undefined,
  };
}
