import type { Amount, PullStream } from "./pull-stream.js";

/** A message of this size, the largest there is, fits into each of two streams: https://cloud.google.com/pubsub/quotas#resource_limits */
const largestMessage = 10_000_000;
/** A stream whose bounds are this part of what it may have is as good as whole. */
const wholeEnough = 0.9;

/** What to do about the streams of a subscriber, so that together they have all that they may have outstanding, and never more. */
export type Step = "open" | "replace" | "none";

/** The streams of one subscriber: one, or two where the first had to be opened while something was in hand (decision 10). */
export class Streams {
  readonly #all = new Set<PullStream>();

  constructor(readonly max: Amount) {}

  /** Those through which more is to come. */
  get open(): PullStream[] {
    return [...this.#all].filter((s) => !s.isOver && !s.isEnding);
  }

  get #isEnding(): boolean {
    return [...this.#all].some((s) => !s.isOver && s.isEnding);
  }

  add(stream: PullStream): void {
    this.#forgetOld();
    this.#all.add(stream);
  }

  /** What may be outstanding besides what these streams may have. */
  get room(): Amount {
    return [...this.#all].reduce((room, { most }) => minus(room, most), this.max);
  }

  /** What the next stream is to be opened for: the first leaves a second one its share of the bytes. */
  get grant(): Amount {
    return this.open.length === 0 ? this.#shareOf(this.room) : this.room;
  }

  /** What to do now that something was done with. */
  next(): Step {
    if (this.#all.size > 1) this.#forgetOld();
    const { open } = this;
    if (this.#isWhole(open) || this.#isEnding) return "none";
    const { room } = this;
    const [first, second] = open;
    if (first === undefined) return isSome(room) ? "open" : "none";
    const outstanding = [...this.#all].reduce((sum, s) => sum + s.outstanding.messages, 0);
    if (outstanding === 0) return "replace";
    if (second !== undefined) return "none";
    if (this.#all.size === 1) return this.#fitsBeside(first, room) ? "open" : "none";
    // Twice as much at a time: else it would be replaced for each message that is done with.
    const { granted } = first.options;
    const then = this.#shareOf(plus(room, minus(granted, first.outstanding)));
    const enough = then.messages >= granted.messages && then.bytes >= granted.bytes;
    return enough && (then.messages >= 2 * granted.messages || then.bytes >= 2 * granted.bytes) ? "replace" : "none";
  }

  /** Those that are over, and of which nothing is outstanding. */
  #forgetOld(): void {
    for (const stream of this.#all) if (stream.isOver && stream.outstanding.messages === 0) this.#all.delete(stream);
  }

  #shareOf({ messages, bytes }: Amount): Amount {
    if (messages === this.max.messages) return { messages, bytes };
    const share = Math.floor((this.max.bytes * messages) / this.max.messages);
    return { messages, bytes: Math.min(bytes, Math.max(share, largestMessage)) };
  }

  #isWhole(open: readonly PullStream[]): boolean {
    const [only] = open;
    if (only === undefined || open.length > 1) return false;
    const { messages, bytes } = only.options.granted;
    return messages >= wholeEnough * this.max.messages && bytes >= wholeEnough * this.max.bytes;
  }

  /** The service sends a stream that has nothing outstanding one message, however large it is. */
  #fitsBeside({ options }: PullStream, room: Amount): boolean {
    return room.messages > 0 && room.bytes >= largestMessage && options.granted.bytes >= largestMessage;
  }
}

export function isSome({ messages, bytes }: Amount): boolean {
  return messages > 0 && bytes > 0;
}

function plus(a: Amount, b: Amount): Amount {
  return { messages: a.messages + b.messages, bytes: a.bytes + b.bytes };
}

function minus(a: Amount, b: Amount): Amount {
  return { messages: a.messages - b.messages, bytes: a.bytes - b.bytes };
}
