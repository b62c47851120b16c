import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { encodeMessage, klioIdAttribute, requestMessage, rootId } from "../message/index.js";
import type { Delivery, End, Lease, Source } from "../supervisor/source.js";
import type { ElementRecord } from "./records.js";
import type { RunFolder } from "./run-folder.js";

export interface ElementSourceOptions {
  readonly folder: RunFolder;
  /** Elements in hand at once. */
  readonly maxMessages: number;
  readonly onDelivery: (delivery: Delivery) => void;
  /** Every element was delivered, and none is in hand any more. */
  readonly onEnd: () => void;
  /** What is done can no longer be noted. */
  readonly onBroken: (error: unknown) => void;
}

/** The elements of event files as messages: delivered from the run's folder, acknowledged into its journal. */
export class ElementSource implements Source {
  /** Elements that were let go: no dead letter could be written for them. */
  failed = 0;
  readonly #leases = new Map<Lease, number>();
  #pulling = false;
  #allDelivered = false;
  #ended = false;
  #roomAgain: () => void = () => undefined;

  constructor(readonly options: ElementSourceOptions) {}

  start(): void {
    this.#pulling = true;
    void this.#deliverAll().catch((error: unknown) => {
      this.options.onBroken(error);
    });
  }

  /** Its elements are in nobody else's way: they go on. */
  pause(): void {
    return;
  }

  resume(): void {
    return;
  }

  stopPulling(): Promise<void> {
    this.#pulling = false;
    this.#roomAgain();
    return Promise.resolve();
  }

  async close(): Promise<void> {
    await this.stopPulling();
  }

  async acknowledge(lease: Lease, { outcome, lines, deadLetter }: End): Promise<void> {
    const n = this.#leases.get(lease);
    if (n === undefined) return;
    try {
      await this.options.folder.journal.append({
        n,
        outcome,
        ...(lines.length === 0 ? {} : { lines }),
        ...(deadLetter === undefined ? {} : { dead: deadLetter }),
      });
    } catch (error) {
      this.options.onBroken(error);
    }
    this.#drop(lease);
  }

  giveBack(lease: Lease): Promise<void> {
    this.#drop(lease);
    return Promise.resolve();
  }

  letGo(lease: Lease): void {
    if (this.#leases.has(lease)) this.failed += 1;
    this.#drop(lease);
  }

  #drop(lease: Lease): void {
    this.#leases.delete(lease);
    this.#roomAgain();
    this.#endIfOver();
  }

  #endIfOver(): void {
    if (this.#ended || !this.#allDelivered || this.#leases.size > 0 || !this.#pulling) return;
    this.#ended = true;
    setImmediate(this.options.onEnd);
  }

  async #deliverAll(): Promise<void> {
    const { folder, maxMessages } = this.options;
    const source = createReadStream(folder.elements);
    let n = -1;
    for await (const line of createInterface({ input: source, crlfDelay: Infinity })) {
      n += 1;
      if (folder.done.has(n)) continue;
      while (this.#leases.size >= maxMessages && this.#pulling) {
        await new Promise<void>((resolve) => {
          this.#roomAgain = resolve;
        });
      }
      if (!this.#pulling) break;
      this.#deliver(n, JSON.parse(line) as ElementRecord);
    }
    source.destroy();
    if (!this.#pulling) return;
    this.#allDelivered = true;
    this.#endIfOver();
  }

  #deliver(n: number, record: ElementRecord): void {
    const { folder, onDelivery } = this.options;
    const place = `${folder.run.files[record.file] ?? ""}:${record.line}`;
    const lease: Lease = { source: this, ackId: String(n), confirmedUntil: Infinity, lost: false };
    this.#leases.set(lease, n);
    onDelivery({
      lease,
      input: record.input,
      messageId: place,
      // What is no text is no element either; decoding says so.
      data:
        record.element === undefined
          ? Buffer.from(record.bytes ?? "", "base64")
          : encodeMessage(requestMessage({ element: record.element })),
      attributes: { [klioIdAttribute]: rootId(folder.run.id, record.input, place) },
      orderingKey: "",
      publishTime: 0,
    });
  }
}
