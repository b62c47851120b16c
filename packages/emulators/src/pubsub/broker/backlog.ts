import type { Subscription as SubscriptionResource } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import { compileFilter, type Filter } from "../filter/filter.js";
import type { LogRecord } from "../log/message-log.js";
import { attributesOf } from "../message.js";
import { type Entry, entryOf } from "./consumer.js";
import { Due } from "./due.js";
import { Fifo } from "./fifo.js";
import { type Lane, Lanes } from "./lanes.js";
import { retentionMs } from "./policies.js";
import { type Progress, Source } from "./source.js";
import type { Topic } from "./topic.js";

/** What of its topic a subscription has still to deal with, wherever it stands. */
export class Backlog {
  source: Source;
  /** Handed out at least once and not acknowledged, by position. */
  readonly outstanding = new Map<number, Entry>();
  /** Of those, what is to be handed out again at once. */
  readonly returned = new Fifo<Entry>();
  /** Of those, what is to be handed out again later: entries by themselves, or the lanes of ordering keys. */
  readonly later = new Due<Entry | Lane>();
  /** A fault: held back until one other message was handed out. */
  aside: Entry | undefined;
  readonly lanes = new Lanes();
  readonly #filter: Filter | undefined;
  readonly #ordered: boolean;
  #retentionMs: number;
  /** The position of the oldest message that the retention still holds, when that was last looked for. */
  #retained = 0;

  constructor(
    readonly topic: Topic,
    resource: SubscriptionResource,
    progress: Progress,
    readonly now: () => number,
  ) {
    this.#filter = resource.filter === "" ? undefined : compileFilter(resource.filter);
    this.#ordered = resource.enableMessageOrdering;
    this.#retentionMs = retentionMs(resource, topic.resource);
    this.source = new Source(topic.log, (record) => this.#wants(record), progress);
  }

  /** Takes over how long messages are retained now. */
  follow(resource: SubscriptionResource): void {
    const retention = retentionMs(resource, this.topic.resource);
    if (retention > this.#retentionMs) this.#retained = 0; // what it holds again may lie before
    this.#retentionMs = retention;
  }

  progress(): Progress {
    const { cursor, pending, acknowledged } = this.source.progress();
    const all = [...pending, ...this.outstanding.keys(), ...this.lanes.waiting()];
    return { cursor, pending: all.sort((a, b) => a - b), acknowledged };
  }

  /** The position of the first message that is still needed; `acknowledgedToo`: also for seeking. */
  floor(acknowledgedToo: boolean): number {
    this.#retained = this.topic.log.positionAt(this.now() - this.#retentionMs, this.#retained);
    if (acknowledgedToo) return this.#retained;
    let floor = this.source.floor;
    for (const position of this.outstanding.keys()) floor = Math.min(floor, position);
    for (const position of this.lanes.waiting()) floor = Math.min(floor, position);
    return Math.max(floor, this.#retained);
  }

  /** Forgets everything that was handed out and goes on from there. */
  seek(progress: Progress): void {
    this.outstanding.clear();
    this.returned.clear();
    this.later.clear();
    this.aside = undefined;
    this.lanes.clear();
    this.source = new Source(this.topic.log, (record) => this.#wants(record), progress);
  }

  /** Whether its retention is over. */
  isPast({ publishTime }: { readonly publishTime: number }): boolean {
    return publishTime < this.now() - this.#retentionMs;
  }

  isOrdered(entry: Entry): boolean {
    return this.#ordered && entry.orderingKey !== "";
  }

  laneOf(entry: Entry): Lane | undefined {
    return this.isOrdered(entry) ? this.lanes.get(entry.orderingKey) : undefined;
  }

  /** What a lane hands out next. Undefined when it cannot be read any more. */
  headOf(lane: Lane): Entry | undefined {
    const returned = lane.returned.peek();
    if (returned !== undefined) return returned;
    const position = lane.waiting.peek();
    const record = position === undefined ? undefined : this.topic.log.readOne(position);
    return record === undefined ? undefined : entryOf(record);
  }

  read(entry: Entry): LogRecord | undefined {
    return this.topic.log.readOne(entry.position, entry.bytes);
  }

  /** What waited for its time is to be handed out again. */
  takeDue(now: number): void {
    for (const item of this.later.takeDue(now)) {
      if ("paused" in item) item.paused = false;
      else this.returned.push(item);
    }
    this.releaseAside();
  }

  releaseAside(): void {
    if (this.aside === undefined) return;
    this.returned.unshift([this.aside]);
    this.aside = undefined;
  }

  #wants(record: LogRecord): boolean {
    return !this.isPast(record) && (this.#filter === undefined || this.#filter(attributesOf(record.message)));
  }
}
