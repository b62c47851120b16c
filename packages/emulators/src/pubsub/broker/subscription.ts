import type { ConnectError } from "@connectrpc/connect";
import type { Subscription as SubscriptionResource } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { LogRecord } from "../log/message-log.js";
import type { PubSubEvent } from "../observe.js";
import { Backlog } from "./backlog.js";
import { type Consumer, type Entry, entryOf, type Lease } from "./consumer.js";
import { Consumers } from "./consumers.js";
import type { Lane } from "./lanes.js";
import { Leases } from "./leases.js";
import { Pace } from "./pace.js";
import { backOffMs, maxAttempts, timeToLiveMs } from "./policies.js";
import type { Progress } from "./source.js";
import type { Surroundings } from "./surroundings.js";
import type { Topic } from "./topic.js";

/** What may be handed out and not yet acknowledged, whatever the consumers ask for. */
const maxOutstanding = 50_000;
/** How long a subscription hands out messages before others get their turn, in milliseconds. */
const turnMs = 10;

/** One subscription: what of its topic was handed out, to whom, and what comes next. */
export class Subscription {
  readonly #backlog: Backlog;
  readonly #leases = new Leases();
  readonly #consumers = new Consumers();
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
    this.#backlog = new Backlog(topic, resource, progress, () => around.now());
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
      if (!this.#leases.release(lease)) continue;
      this.#tellOf("withdraw", lease.entry);
      if (lease.entry.leases.size > 0) continue;
      lease.entry.attempts -= 1;
      this.#takeBack(lease.entry, 0);
    }
    this.dispatch();
  }

  /** Returns the ack ids that are not, or no longer, good; `lost` are those that a fault forgot. */
  acknowledge(ackIds: readonly string[]): { readonly invalid: string[]; readonly lost: string[] } {
    this.lastUsed = this.around.now();
    const [invalid, lost, settled]: [string[], string[], Entry[]] = [[], [], []];
    const from = new Set<Consumer>();
    for (const ackId of new Set(ackIds)) {
      const lease = this.#leases.find(ackId);
      if (lease === undefined) invalid.push(ackId);
      else if (this.around.faults.strikes("loseAck")) {
        lost.push(ackId);
        if (!this.exactlyOnce) this.#tellOf("lose-acknowledge", lease.entry);
      } else {
        from.add(lease.consumer);
        for (const entry of this.#acknowledge(lease.entry)) settled.push(entry);
      }
    }
    this.#settle(settled);
    this.#pace.madeRoom(settled.length, from);
    return { invalid, lost };
  }

  /** A deadline of 0 seconds gives the message back. Returns the ack ids that are not, or no longer, good. */
  modifyDeadline(ackIds: readonly string[], seconds: number): string[] {
    this.lastUsed = this.around.now();
    const invalid: string[] = [];
    for (const ackId of ackIds) {
      const lease = this.#leases.find(ackId);
      if (lease === undefined) invalid.push(ackId);
      else if (seconds === 0) this.#giveBack(lease, "give-back");
      else this.#leases.extend(lease, this.around.now() + seconds * 1_000);
    }
    // The room of what was given back is filled at the next tick: who gives back much at once is often about to leave.
    return invalid;
  }

  /** Takes back what has expired, and what waited for its time. */
  tick(now: number): void {
    this.#backlog.follow(this.resource);
    for (const lease of this.#leases.takeExpired(now)) this.#giveBack(lease, "deadline");
    this.#backlog.takeDue(now);
    this.dispatch();
  }

  /** Sends what can be sent, to consumers in turn. */
  dispatch(): void {
    if (this.#pace.resting && !this.#consumers.anyHurried()) return;
    const end = this.around.now() + turnMs;
    while (this.around.now() < end) {
      if (!this.#consumers.anyRoom()) return;
      const sent = this.#sendOne();
      if (sent === "later") break;
      if (!sent) return;
    }
    this.#pace.goOnSoon();
  }

  /** Ends all consumers; nothing is handed out any more. */
  end(reason: ConnectError): void {
    this.#ended = reason;
    this.#pace.clear();
    this.#leases.releaseAll();
    this.#consumers.end(reason);
  }

  /** Ends those who pull from it. */
  disconnect(reason: ConnectError): void {
    this.#consumers.end(reason);
  }

  progress(): Progress {
    return this.#backlog.progress();
  }

  /** The position of the first message that is still needed. */
  floor(): number {
    return this.#backlog.floor(this.resource.retainAckedMessages);
  }

  /** Whether nobody used it for the time of its expiration policy. A connected consumer uses it. */
  unusedTooLong(now: number): boolean {
    if (this.#consumers.size > 0) this.lastUsed = now;
    return now - this.lastUsed > timeToLiveMs(this.resource);
  }

  /** Forgets what was handed out and goes on from there. */
  seek(progress: Progress): void {
    this.#pace.clear();
    this.#leases.releaseAll();
    this.#backlog.seek(progress);
    this.dispatch();
  }

  /** "later": so many messages were passed over that others should have their turn first. */
  #sendOne(): boolean | "later" {
    // What came back goes first, also when it has to wait for room: smaller ones would go past it for ever.
    if (this.#backlog.returned.length > 0) return this.#sendReturned();
    return this.#sendFromLanes() || (this.#backlog.outstanding.size < maxOutstanding && this.#sendNext());
  }

  #sendReturned(): boolean {
    const entry = this.#backlog.returned.peek();
    if (entry === undefined) return false;
    if (this.#backlog.isPast(entry)) {
      this.#backlog.returned.shift();
      this.#drop([entry]);
      return true;
    }
    const consumer = this.#consumers.nextWithRoom(entry.bytes);
    if (consumer === undefined) return false;
    this.#backlog.returned.shift();
    this.#handAgain(entry, consumer);
    return true;
  }

  #sendFromLanes(): boolean {
    for (const lane of this.#backlog.lanes.ready()) {
      if (this.#consumerFor(lane, 0) === undefined) continue;
      const entry = this.#backlog.headOf(lane);
      const gone = entry === undefined || this.#backlog.isPast(entry); // it cannot be read any more
      const consumer = gone ? undefined : this.#consumerFor(lane, entry.bytes);
      if (!gone && consumer === undefined) continue;
      if (lane.returned.length > 0) lane.returned.shift();
      else lane.waiting.shift();
      if (gone || consumer === undefined) {
        if (entry !== undefined) this.#drop([entry]);
        this.#backlog.lanes.closeIfEmpty(lane);
        return true;
      }
      this.#backlog.outstanding.set(entry.position, entry);
      lane.owner = consumer;
      this.#handAgain(entry, consumer);
      return true;
    }
    return false;
  }

  #sendNext(): boolean | "later" {
    const record = this.#backlog.source.peek();
    if (record === undefined) return this.#backlog.source.busy ? "later" : false;
    const entry = entryOf(record);
    const lane = this.#backlog.laneOf(entry);
    const behind = lane !== undefined && lane.returned.length + lane.waiting.length > 0;
    const consumer = behind ? undefined : this.#consumerFor(lane, entry.bytes);
    if (consumer === undefined) {
      if (lane === undefined) return false;
      this.#backlog.source.shift();
      this.#backlog.lanes.park(lane, record.position);
      return true;
    }
    this.#backlog.source.shift();
    this.#backlog.outstanding.set(entry.position, entry);
    if (this.#backlog.isOrdered(entry)) (lane ?? this.#backlog.lanes.open(entry.orderingKey)).owner = consumer;
    else if (this.#heldByFault(entry)) return true;
    this.#hand(entry, record, consumer);
    this.#backlog.releaseAside();
    return true;
  }

  #heldByFault(entry: Entry): boolean {
    const { faults } = this.around;
    if (faults.strikes("delay")) this.#backlog.later.set(entry, this.around.now() + faults.delayMs);
    else if (this.#backlog.aside === undefined && faults.strikes("reorder")) this.#backlog.aside = entry;
    else return false;
    return true;
  }

  #handAgain(entry: Entry, consumer: Consumer): void {
    const record = this.#backlog.read(entry);
    if (record === undefined) this.#drop([entry]);
    else this.#hand(entry, record, consumer);
  }

  #hand(entry: Entry, record: LogRecord, consumer: Consumer): void {
    const { faults } = this.around;
    entry.attempts += 1;
    this.#backlog.laneOf(entry)?.outstanding.push(entry);
    this.#send(entry, record, consumer, faults.strikes("expireDeadline"));
    if (this.exactlyOnce || this.#backlog.isOrdered(entry) || !faults.strikes("duplicate")) return;
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
    const lane = this.#backlog.laneOf(entry);
    if (lane === undefined) return [entry];
    entry.acknowledged = true;
    if (!this.exactlyOnce) return this.#backlog.lanes.takeSettled(lane);
    this.#backlog.lanes.settle(lane, entry); // confirmed, so it must not come again with an earlier one
    return [entry, ...this.#backlog.lanes.takeSettled(lane)];
  }

  /** Writes down that these are done with. */
  #settle(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    for (const entry of entries) {
      this.#backlog.outstanding.delete(entry.position);
      const lane = this.#backlog.laneOf(entry);
      if (lane !== undefined) this.#backlog.lanes.closeIfEmpty(lane);
    }
    const value = { subscriptionUid: this.uid, positions: entries.map((e) => e.position) };
    this.around.record({ case: "acknowledged", value });
  }

  /** The same for what the emulator itself is done with: a disk that is full is no reason to keep it. */
  #drop(entries: readonly Entry[]): void {
    try {
      this.#settle(entries);
    } catch (error) {
      this.around.warn((error as Error).message);
    }
  }

  #giveBack(lease: Lease, why: "give-back" | "deadline"): void {
    if (!this.#leases.release(lease)) return;
    const { entry } = lease;
    this.#tellOf(why, entry);
    if (entry.leases.size > 0) return; // its duplicate is still with somebody
    this.#takeBack(entry, backOffMs(this.resource, entry.attempts));
  }

  /** Lets an entry wait to be handed out again, with all after it of its ordering key; `waitMs` not before. */
  #takeBack(entry: Entry, waitMs: number): void {
    const lane = this.#backlog.laneOf(entry);
    if (lane === undefined) {
      if (this.#deadLettered(entry)) this.#drop([entry]);
      else this.#backlog.later.set(entry, this.around.now() + waitMs);
      return;
    }
    const [first, ...rest] = this.#backlog.lanes.takeFrom(lane, entry);
    const paused = lane.paused;
    lane.paused = true; // nothing is handed out of it meanwhile
    for (const later of rest) {
      for (const lease of [...later.leases]) {
        this.#leases.release(lease);
        this.#tellOf("withdraw", later);
      }
      later.acknowledged = false;
      later.attempts -= 1; // neither refused nor expired
    }
    this.#backlog.lanes.giveBack(lane, rest);
    if (first !== undefined && this.#deadLettered(first)) {
      lane.paused = paused;
      this.#drop([first]);
      return;
    }
    if (first !== undefined) this.#backlog.lanes.giveBack(lane, [first]);
    this.#backlog.later.postpone(lane, this.around.now() + waitMs);
  }

  #deadLettered(entry: Entry): boolean {
    const { deadLetterPolicy } = this.resource;
    if (deadLetterPolicy === undefined || entry.attempts < maxAttempts(this.resource)) return false;
    const record = this.#backlog.read(entry);
    if (record === undefined) return true;
    const sent = this.around.deadLetter(this.resource, record, entry.attempts);
    if (sent) this.#tell("dead-letter", record);
    return sent;
  }

  /** Whom the next message of a lane may go to: all that is handed out of an ordering key is with one consumer. */
  #consumerFor(lane: Lane | undefined, bytes: number): Consumer | undefined {
    if (lane?.paused === true) return undefined;
    if (lane === undefined || lane.outstanding.length === 0) return this.#consumers.nextWithRoom(bytes);
    const { owner } = lane;
    if (owner?.oneByOne === true) return undefined;
    return owner !== undefined && this.#consumers.has(owner) && owner.hasRoom(bytes) ? owner : undefined;
  }

  #tell(kind: PubSubEvent["kind"], record: LogRecord): void {
    this.around.tell(kind, this.resource.name, record.message);
  }

  #tellOf(kind: PubSubEvent["kind"], entry: Entry): void {
    this.around.tell(kind, this.resource.name, () => this.#backlog.read(entry));
  }
}
