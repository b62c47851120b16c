import type { LogRecord, MessageLog } from "../log/message-log.js";

/** How far a subscription has come in the log of its topic; all are positions. */
export interface Progress {
  /** Everything before was handed out once, or passed over. */
  readonly cursor: number;
  /** Before the cursor and not acknowledged, ascending. */
  readonly pending: readonly number[];
  /** At or after the cursor, and acknowledged. */
  readonly acknowledged: readonly number[];
}

// How much is passed over in one go, before others get their turn.
const messagesAtOnce = 5_000;
const bytesAtOnce = 16 * 1024 * 1024;

/** The messages of a subscription that were never handed out, in order, read from the log as they are wanted. */
export class Source {
  #cursor: number;
  #pending: readonly number[];
  #pendingAt = 0;
  readonly #acknowledged: Set<number>;
  #read: LogRecord[] = [];
  #readAt = 0;
  #busy = false;

  /** `wanted` tells whether a message is for this subscription. */
  constructor(
    readonly log: MessageLog,
    readonly wanted: (record: LogRecord) => boolean,
    progress: Progress,
  ) {
    this.#cursor = progress.cursor;
    this.#pending = progress.pending;
    this.#acknowledged = new Set(progress.acknowledged);
  }

  /**
   * The next message. Undefined when there is none, or when so many were passed over that others should have their turn: then
   * `busy` is set, and the next call goes on.
   */
  peek(): LogRecord | undefined {
    this.#busy = false;
    let bytes = 0;
    for (let passedOver = 0; passedOver < messagesAtOnce && bytes < bytesAtOnce; passedOver += 1) {
      const record = this.#pendingAt < this.#pending.length ? this.#peekPending() : this.#peekLog();
      if (record === undefined && this.#pendingAt >= this.#pending.length) return undefined;
      if (record !== undefined && !this.#acknowledged.delete(record.position) && this.wanted(record)) return record;
      bytes += record === undefined ? 0 : record.next - record.position;
      this.shift();
    }
    this.#busy = true;
    return undefined;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Goes on behind the message that `peek` told. */
  shift(): void {
    if (this.#pendingAt < this.#pending.length) {
      this.#pendingAt += 1;
      if (this.#pendingAt === this.#pending.length) {
        this.#pending = [];
        this.#pendingAt = 0;
      }
      return;
    }
    const record = this.#read[this.#readAt];
    if (record === undefined) return;
    this.#readAt += 1;
    this.#cursor = record.next;
    if (this.#readAt === this.#read.length) this.#read = []; // nothing of it must stay in memory
  }

  /** Everything before it was handed out or passed over. */
  get floor(): number {
    return this.#pending[this.#pendingAt] ?? this.#cursor;
  }

  progress(): Progress {
    return {
      cursor: this.#cursor,
      pending: this.#pending.slice(this.#pendingAt),
      acknowledged: [...this.#acknowledged],
    };
  }

  #peekPending(): LogRecord | undefined {
    return this.log.readOne(this.#pending[this.#pendingAt] ?? 0);
  }

  #peekLog(): LogRecord | undefined {
    if (this.#readAt >= this.#read.length) {
      const { records, next } = this.log.read(this.#cursor);
      this.#read = records;
      this.#readAt = 0;
      if (records.length === 0) this.#cursor = Math.max(this.#cursor, next); // what lies between cannot be read
    }
    return this.#read[this.#readAt];
  }
}
