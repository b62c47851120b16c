import { randomUUID } from "node:crypto";
import type { Subscription as SubscriptionResource } from "../../gen/google/pubsub/v1/pubsub_pb.js";
import type { StoredMessage } from "./message.js";
import type { Observe, PubSubEvent } from "./observe.js";

/** A message handed out: it belongs to its consumer until acknowledged, given back or expired. */
export interface Lease {
  readonly ackId: string;
  readonly entry: Entry;
  readonly consumer: Consumer | undefined;
  /** Milliseconds since the epoch. */
  deadline: number;
}

interface Entry {
  readonly stored: StoredMessage;
  deliveries: number;
}

/** Somebody who receives: a streaming pull. */
export interface Consumer {
  readonly ackDeadlineSeconds: number;
  /** Whether a message of this many bytes may be sent now. */
  hasRoom(bytes: number): boolean;
  send(lease: Lease): void;
  /** The lease is over (acknowledged, given back, expired): its room is free again. */
  released(lease: Lease): void;
  /** The subscription was deleted. */
  end(): void;
}

/** The backlog of one subscription and what of it is handed out. */
export class Subscription {
  readonly #consumers: Consumer[] = [];
  /** In publish order; what comes back goes to the front. */
  #backlog: (Entry | undefined)[] = [];
  #head = 0;
  readonly #leases = new Map<string, Lease>();
  /** Ordering keys of which a message is handed out, with what waits behind it. */
  readonly #lanes = new Map<string, Entry[]>();
  readonly #pullers = new Set<() => void>();
  /** In every ack id, so that one from before a restart, or of another subscription, means nothing here. */
  readonly #incarnation = randomUUID();
  #lastAck = 0;
  #turn = 0;
  #closed = false;

  constructor(
    readonly resource: SubscriptionResource,
    readonly observe: Observe,
  ) {}

  get closed(): boolean {
    return this.#closed;
  }

  enqueue(messages: readonly StoredMessage[]): void {
    for (const stored of messages) this.#backlog.push({ stored, deliveries: 0 });
    this.dispatch();
  }

  attach(consumer: Consumer): void {
    this.#consumers.push(consumer);
    this.dispatch();
  }

  /** Takes the consumer out. What it was sent stays leased until the deadline; `unsent` goes back at once. */
  detach(consumer: Consumer, unsent: readonly Lease[]): void {
    const at = this.#consumers.indexOf(consumer);
    if (at >= 0) this.#consumers.splice(at, 1);
    for (const lease of [...unsent].reverse()) {
      lease.entry.deliveries -= 1;
      this.#giveBack(lease);
    }
    this.dispatch();
  }

  /** Unary pull: up to `max` messages, waiting up to `waitMs` for the first. */
  async pull(max: number, waitMs: number, signal: AbortSignal): Promise<Lease[]> {
    const leases = this.#take(max);
    if (leases.length > 0 || waitMs <= 0 || this.#closed) return leases;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#pullers.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#pullers.add(done);
      signal.addEventListener("abort", done);
    });
    return signal.aborted ? [] : this.#take(max);
  }

  acknowledge(ackIds: readonly string[]): void {
    for (const ackId of ackIds) {
      const lease = this.#leases.get(ackId);
      if (lease === undefined) continue;
      this.#tell("acknowledge", lease.entry);
      this.#release(lease);
      this.#openLane(lease.entry);
    }
    this.dispatch();
  }

  /** A deadline of 0 seconds gives the message back at once. */
  modifyDeadline(ackId: string, seconds: number): void {
    const lease = this.#leases.get(ackId);
    if (lease === undefined) return;
    if (seconds === 0) {
      this.#giveBack(lease);
      this.dispatch();
    } else {
      lease.deadline = Date.now() + seconds * 1_000;
    }
  }

  expire(now: number): void {
    let any = false;
    for (const lease of this.#leases.values()) {
      if (lease.deadline > now) continue;
      this.#giveBack(lease);
      any = true;
    }
    if (any) this.dispatch();
  }

  /** Sends what can be sent, to consumers in turn. */
  dispatch(): void {
    if (this.#backlogLength() > 0) for (const wake of [...this.#pullers]) wake();
    while (this.#backlogLength() > 0) {
      const entry = this.#backlog[this.#head];
      if (entry === undefined) break;
      if (this.#parkBehindLane(entry)) continue;
      const consumer = this.#nextWithRoom(entry.stored.bytes);
      if (consumer === undefined) break;
      this.#shift();
      consumer.send(this.#lease(entry, consumer.ackDeadlineSeconds, consumer));
    }
  }

  close(): void {
    this.#closed = true;
    for (const consumer of [...this.#consumers]) consumer.end();
    for (const wake of [...this.#pullers]) wake();
  }

  #take(max: number): Lease[] {
    const leases: Lease[] = [];
    while (leases.length < max) {
      const entry = this.#backlog[this.#head];
      if (entry === undefined) break;
      if (this.#parkBehindLane(entry)) continue;
      this.#shift();
      leases.push(this.#lease(entry, this.resource.ackDeadlineSeconds, undefined));
    }
    return leases;
  }

  #lease(entry: Entry, seconds: number, consumer: Consumer | undefined): Lease {
    this.#lastAck += 1;
    entry.deliveries += 1;
    this.#tell("deliver", entry);
    const key = this.#laneOf(entry);
    if (key !== "") this.#lanes.set(key, this.#lanes.get(key) ?? []);
    const ackId = `${this.#incarnation}:${this.#lastAck}`;
    const lease = { ackId, entry, consumer, deadline: Date.now() + seconds * 1_000 };
    this.#leases.set(ackId, lease);
    return lease;
  }

  #tell(kind: PubSubEvent["kind"], { stored: { message } }: Entry): void {
    const { messageId, attributes } = message;
    this.observe({ kind, resource: this.resource.name, messageId, attributes });
  }

  #release(lease: Lease): void {
    this.#leases.delete(lease.ackId);
    lease.consumer?.released(lease);
  }

  #giveBack(lease: Lease): void {
    this.#tell("give-back", lease.entry);
    this.#release(lease);
    const key = this.#laneOf(lease.entry);
    const waiting = this.#lanes.get(key) ?? [];
    this.#lanes.delete(key);
    this.#unshift([lease.entry, ...waiting]);
  }

  #openLane(entry: Entry): void {
    const key = this.#laneOf(entry);
    const waiting = this.#lanes.get(key);
    if (key === "" || waiting === undefined) return;
    this.#lanes.delete(key);
    this.#unshift(waiting);
  }

  /** Ordered subscriptions hand out one message of a key at a time; the others of the key wait in its lane. */
  #parkBehindLane(entry: Entry): boolean {
    const key = this.#laneOf(entry);
    if (key === "") return false;
    const lane = this.#lanes.get(key);
    if (lane === undefined) return false;
    lane.push(entry);
    this.#shift();
    return true;
  }

  #laneOf(entry: Entry): string {
    return this.resource.enableMessageOrdering ? entry.stored.message.orderingKey : "";
  }

  #nextWithRoom(bytes: number): Consumer | undefined {
    for (let i = 0; i < this.#consumers.length; i += 1) {
      const at = (this.#turn + i) % this.#consumers.length;
      const consumer = this.#consumers[at];
      if (consumer?.hasRoom(bytes) !== true) continue;
      this.#turn = at + 1;
      return consumer;
    }
    return undefined;
  }

  #backlogLength(): number {
    return this.#backlog.length - this.#head;
  }

  #shift(): void {
    this.#backlog[this.#head] = undefined; // what is acknowledged must not stay in memory
    this.#head += 1;
    if (this.#head < 4_096 || this.#head * 2 < this.#backlog.length) return;
    this.#backlog = this.#backlog.slice(this.#head);
    this.#head = 0;
  }

  #unshift(entries: readonly Entry[]): void {
    if (this.#head >= entries.length) {
      this.#head -= entries.length;
      entries.forEach((entry, i) => (this.#backlog[this.#head + i] = entry));
    } else {
      this.#backlog = [...entries, ...this.#backlog.slice(this.#head)];
      this.#head = 0;
    }
  }
}
