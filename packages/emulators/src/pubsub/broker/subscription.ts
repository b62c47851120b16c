import type { ConnectError } from "@connectrpc/connect";
import type { Subscription as SubscriptionResource } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import { compileFilter, type Filter } from "../filter/filter.js";
import type { LogRecord } from "../log/message-log.js";
import { attributesOf } from "../message.js";
import type { PubSubEvent } from "../observe.js";
import { type Consumer, type Entry, entryOf, type Lease } from "./consumer.js";
import { Consumers } from "./consumers.js";
import { Due } from "./due.js";
import { Fifo } from "./fifo.js";
import { type Lane, Lanes } from "./lanes.js";
import { Leases } from "./leases.js";
import { Pace } from "./pace.js";
import { backOffMs, maxAttempts, retentionMs, timeToLiveMs } from "./policies.js";
import { type Progress, Source } from "./source.js";
import type { Surroundings } from "./surroundings.js";
import type { Topic } from "./topic.js";

/** What may be handed out and not yet acknowledged, whatever the consumers ask for. */
const maxOutstanding = 100_000;
/** How many messages one turn hands out before others get theirs. */
const atOnce = 5_000;

/** One subscription: what of its topic was handed out, to whom, and what comes next. */
export class Subscription {
  #source: Source;
  /** By position. */
  readonly #outstanding = new Map<number, Entry>();
  /** To be handed out again at once. */
  #returned = new Fifo<Entry>();
  /** To be handed out again later: entries by themselves, or the lanes of ordering keys. */
  readonly #later = new Due<Entry | Lane>();
  /** A fault: held back until one other message was handed out. */
  #aside: Entry | undefined;
  readonly #lanes = new Lanes();
  readonly #leases = new Leases();
  readonly #consumers = new Consumers();
  readonly #filter: Filter;
  #retentionMs: number;
  readonly #pace = new Pace(() => {
    this.dispatch();
  });
  #ended: ConnectError | undefined;
  /** Milliseconds since the epoch. */
  lastUsed: number;

  constructor(
    public resource: SubscriptionResource,
    readonly uid: string,
    readonly topic: Topic,
    progress: Progress,
    readonly around: Surroundings,
  ) {
    this.#filter = compileFilter(resource.filter);
    this.#retentionMs = retentionMs(resource, topic.resource);
    this.#source = this.#sourceFrom(progress);
    this.lastUsed = around.now();
  }

  /** Why nothing comes any more: it was deleted or detached. */
  get ended(): ConnectError | undefined {
    return this.#ended;
  }

  get exactlyOnce(): boolean {
    return this.resource.enableExactlyOnceDelivery;
  }

  attach(consumer: Consumer): void {
    this.#consumers.add(consumer);
    this.dispatch();
  }

  /** Takes the consumer out. What it was sent stays leased until the deadline; `unsent` goes back at once, uncounted. */
  detach(consumer: Consumer, unsent: readonly Lease[]): void {
    this.lastUsed = this.around.now();
    if (!this.#consumers.delete(consumer)) return;
    for (const lease of [...unsent].reverse()) {
      if (!this.#leases.release(lease) || lease.entry.leases.size > 0) continue;
      lease.entry.attempts -= 1;
      this.#takeBack(lease.entry, 0);
    }
    this.dispatch();
  }

  /** Returns the ack ids that are not, or no longer, good; `lost` are those that a fault forgot. */
  acknowledge(ackIds: readonly string[]): { readonly invalid: string[]; readonly lost: string[] } {
    this.lastUsed = this.around.now();
    const [invalid, lost, settled]: [string[], string[], Entry[]] = [[], [], []];
    for (const ackId of ackIds) {
      const lease = this.#leases.find(ackId);
      if (lease === undefined) invalid.push(ackId);
      else if (this.around.faults.strikes("loseAck")) lost.push(ackId);
      else settled.push(...this.#acknowledge(lease.entry));
    }
    this.#settle(settled);
    this.#pace.madeRoom(settled.length);
    return { invalid, lost };
  }

  /** A deadline of 0 seconds gives the message back. Returns the ack ids that are not, or no longer, good. */
  modifyDeadline(ackIds: readonly string[], seconds: number): string[] {
    this.lastUsed = this.around.now();
    const invalid: string[] = [];
    for (const ackId of ackIds) {
      const lease = this.#leases.find(ackId);
      if (lease === undefined) invalid.push(ackId);
      else if (seconds === 0) this.#giveBack(lease);
      else this.#leases.extend(lease, this.around.now() + seconds * 1_000);
    }
    // The room of what was given back is filled at the next tick: who gives back much at once is often about to leave.
    return invalid;
  }

  /** Takes back what has expired, and what waited for its time. */
  tick(now: number): void {
    this.#retentionMs = retentionMs(this.resource, this.topic.resource);
    for (const lease of this.#leases.takeExpired(now)) this.#giveBack(lease);
    for (const item of this.#later.takeDue(now)) {
      if ("paused" in item) item.paused = false;
      else this.#returned.push(item);
    }
    this.#releaseAside();
    this.dispatch();
  }

  /** Sends what can be sent, to consumers in turn. */
  dispatch(): void {
    if (this.#pace.resting) return;
    for (let i = 0; i < atOnce; i += 1) {
      if (this.#leases.size >= maxOutstanding || !this.#consumers.anyRoom()) return;
      if (!(this.#sendReturned() || this.#sendFromLanes() || this.#sendNext())) {
        if (this.#source.busy) break;
        return;
      }
    }
    this.#pace.goOnSoon();
  }

  /** Ends all consumers; nothing is handed out any more. */
  end(reason: ConnectError): void {
    this.#ended = reason;
    this.#clear();
    this.#consumers.end(reason);
  }

  progress(): Progress {
    const { cursor, pending, acknowledged } = this.#source.progress();
    const all = [...pending, ...this.#outstanding.keys(), ...this.#lanes.waiting()];
    return { cursor, pending: all.sort((a, b) => a - b), acknowledged };
  }

  /** The position of the first message that is still needed. */
  floor(): number {
    let floor = this.#source.floor;
    for (const position of this.#outstanding.keys()) floor = Math.min(floor, position);
    for (const position of this.#lanes.waiting()) floor = Math.min(floor, position);
    if (!this.resource.retainAckedMessages) return floor;
    return Math.min(floor, this.topic.log.positionAt(this.around.now() - this.#retentionMs));
  }

  /** Whether nobody used it for the time of its expiration policy. A connected consumer uses it. */
  unusedTooLong(now: number): boolean {
    if (this.#consumers.size > 0) this.lastUsed = now;
    return now - this.lastUsed > timeToLiveMs(this.resource);
  }

  /** Forgets what was handed out and goes on from there. */
  seek(progress: Progress): void {
    this.#clear();
    this.#source = this.#sourceFrom(progress);
    this.dispatch();
  }

  #sourceFrom(progress: Progress): Source {
    return new Source(this.topic.log, (record) => this.#wants(record), progress);
  }

  #wants(record: LogRecord): boolean {
    if (record.publishTime < this.around.now() - this.#retentionMs) return false;
    return this.resource.filter === "" || this.#filter(attributesOf(record.message));
  }

  #clear(): void {
    this.#pace.clear();
    this.#leases.releaseAll();
    this.#outstanding.clear();
    this.#returned = new Fifo();
    this.#later.clear();
    this.#aside = undefined;
    this.#lanes.clear();
  }

  #sendReturned(): boolean {
    const entry = this.#returned.peek();
    if (entry === undefined) return false;
    if (entry.publishTime < this.around.now() - this.#retentionMs) {
      this.#returned.shift();
      this.#settle([entry]);
      return true;
    }
    const consumer = this.#consumers.nextWithRoom(entry.bytes);
    if (consumer === undefined) return false;
    this.#returned.shift();
    this.#handAgain(entry, consumer);
    return true;
  }

  #sendFromLanes(): boolean {
    for (const lane of this.#lanes.ready()) {
      const entry = lane.returned.peek() ?? this.#entryAt(lane.waiting.peek());
      if (entry === undefined) {
        lane.waiting.shift(); // it cannot be read any more
        this.#lanes.closeIfEmpty(lane);
        return true;
      }
      const consumer = this.#consumerFor(lane, entry.bytes);
      if (consumer === undefined) continue;
      if (lane.returned.length > 0) lane.returned.shift();
      else lane.waiting.shift();
      this.#outstanding.set(entry.position, entry);
      lane.owner = consumer;
      this.#handAgain(entry, consumer);
      return true;
    }
    return false;
  }

  #sendNext(): boolean {
    const record = this.#source.peek();
    if (record === undefined) return false;
    const entry = entryOf(record);
    const lane = this.#laneOf(entry);
    const behind = lane !== undefined && lane.returned.length + lane.waiting.length > 0;
    const consumer = behind ? undefined : this.#consumerFor(lane, entry.bytes);
    if (consumer === undefined) {
      if (lane === undefined) return false;
      this.#source.shift();
      this.#lanes.park(lane, record.position);
      return true;
    }
    this.#source.shift();
    this.#outstanding.set(entry.position, entry);
    if (this.#ordered(entry)) (lane ?? this.#lanes.open(entry.orderingKey)).owner = consumer;
    else if (this.#heldByFault(entry)) return true;
    this.#hand(entry, record, consumer);
    this.#releaseAside();
    return true;
  }

  #heldByFault(entry: Entry): boolean {
    const { faults } = this.around;
    if (faults.strikes("delay")) this.#later.set(entry, this.around.now() + faults.delayMs);
    else if (this.#aside === undefined && faults.strikes("reorder")) this.#aside = entry;
    else return false;
    return true;
  }

  #releaseAside(): void {
    if (this.#aside === undefined) return;
    this.#returned.unshift([this.#aside]);
    this.#aside = undefined;
  }

  #entryAt(position: number | undefined): Entry | undefined {
    const record = position === undefined ? undefined : this.topic.log.readOne(position);
    return record === undefined ? undefined : entryOf(record);
  }

  #handAgain(entry: Entry, consumer: Consumer): void {
    const record = this.topic.log.readOne(entry.position, entry.bytes);
    if (record === undefined) this.#settle([entry]);
    else this.#hand(entry, record, consumer);
  }

  #hand(entry: Entry, record: LogRecord, consumer: Consumer): void {
    const { faults } = this.around;
    entry.attempts += 1;
    this.#laneOf(entry)?.outstanding.push(entry);
    this.#send(entry, record, consumer, faults.strikes("expireDeadline"));
    if (this.exactlyOnce || this.#ordered(entry) || !faults.strikes("duplicate")) return;
    const second = this.#consumers.nextWithRoom(entry.bytes);
    if (second !== undefined) this.#send(entry, record, second, false);
  }

  #send(entry: Entry, record: LogRecord, consumer: Consumer, doomed: boolean): void {
    const lease = this.#leases.add(entry, consumer, doomed, this.around.now());
    this.#tell("deliver", record);
    const attempt = this.resource.deadLetterPolicy === undefined ? 0 : entry.attempts;
    consumer.send({ ackId: this.#leases.ackId(lease), lease, record, attempt });
  }

  #acknowledge(entry: Entry): Entry[] {
    for (const lease of [...entry.leases]) this.#leases.release(lease);
    this.#tellOf("acknowledge", entry);
    const lane = this.#laneOf(entry);
    if (lane === undefined) return [entry];
    entry.acknowledged = true;
    return this.#lanes.takeSettled(lane);
  }

  /** Writes down that these are done with. */
  #settle(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      this.#outstanding.delete(entry.position);
      const lane = this.#laneOf(entry);
      if (lane !== undefined) this.#lanes.closeIfEmpty(lane);
    }
    const value = { subscriptionUid: this.uid, positions: entries.map((e) => e.position) };
    this.around.record({ case: "acknowledged", value });
  }

  #giveBack(lease: Lease): void {
    if (!this.#leases.release(lease)) return;
    const { entry } = lease;
    this.#tellOf("give-back", entry);
    if (entry.leases.size > 0) return; // its duplicate is still with somebody
    this.#takeBack(entry, backOffMs(this.resource, entry.attempts));
  }

  /** Lets an entry wait to be handed out again, with all after it of its ordering key; `waitMs` not before. */
  #takeBack(entry: Entry, waitMs: number): void {
    const lane = this.#laneOf(entry);
    if (lane === undefined) {
      if (this.#deadLettered(entry)) this.#settle([entry]);
      else this.#later.set(entry, this.around.now() + waitMs);
      return;
    }
    const [first, ...rest] = this.#lanes.takeFrom(lane, entry);
    for (const later of rest) {
      for (const lease of [...later.leases]) this.#leases.release(lease);
      later.acknowledged = false;
      later.attempts -= 1; // neither refused nor expired
    }
    if (first !== undefined && this.#deadLettered(first)) {
      this.#lanes.giveBack(lane, rest);
      this.#settle([first]);
      return;
    }
    this.#lanes.giveBack(lane, first === undefined ? rest : [first, ...rest]);
    lane.paused = true;
    this.#later.set(lane, this.around.now() + waitMs);
  }

  #deadLettered(entry: Entry): boolean {
    const { deadLetterPolicy } = this.resource;
    if (deadLetterPolicy === undefined || entry.attempts < maxAttempts(this.resource)) return false;
    const record = this.topic.log.readOne(entry.position, entry.bytes);
    if (record === undefined) return true;
    const sent = this.around.deadLetter(this.resource, record, entry.attempts);
    if (sent) this.#tell("dead-letter", record);
    return sent;
  }

  #ordered(entry: Entry): boolean {
    return this.resource.enableMessageOrdering && entry.orderingKey !== "";
  }

  #laneOf(entry: Entry): Lane | undefined {
    return this.#ordered(entry) ? this.#lanes.get(entry.orderingKey) : undefined;
  }

  /** Whom the next message of a lane may go to: all that is handed out of an ordering key is with one consumer. */
  #consumerFor(lane: Lane | undefined, bytes: number): Consumer | undefined {
    if (lane?.paused === true) return undefined;
    if (lane === undefined || lane.outstanding.length === 0) return this.#consumers.nextWithRoom(bytes);
    const { owner } = lane;
    return owner !== undefined && this.#consumers.has(owner) && owner.hasRoom(bytes) ? owner : undefined;
  }

  #tell(kind: PubSubEvent["kind"], record: LogRecord): void {
    this.around.tell(kind, this.resource.name, record.message);
  }

  #tellOf(kind: PubSubEvent["kind"], entry: Entry): void {
    this.around.tell(kind, this.resource.name, () => this.topic.log.readOne(entry.position, entry.bytes));
  }
}
