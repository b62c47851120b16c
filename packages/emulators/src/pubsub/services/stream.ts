import type { ConnectError } from "@connectrpc/connect";
import type { StreamingPullResponse } from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Consumer, Delivery, Lease } from "../broker/consumer.js";
import { resourceExhausted } from "../errors.js";

/** What may wait in a stream's send buffer, however much the client says it takes. */
const maxUnsentMessages = 1_000;
const maxUnsentBytes = 4 * 1024 * 1024;

const maxConfirmations = 1_000;

export type Confirmations = Partial<
  Pick<StreamingPullResponse, "acknowledgeConfirmation" | "modifyAckDeadlineConfirmation">
>;

/** One open streaming pull: its room, and what is to be sent next. */
export class Stream implements Consumer {
  /** By lease, in order. */
  #unsent = new Map<Lease, Delivery>();
  #unsentBytes = 0;
  #outstanding = 0;
  #outstandingBytes = 0;
  #confirmations: Confirmations[] = [];
  #asked = false;
  #wake: (() => void) | undefined;
  #left = false;
  #finished = false;
  #settled = false;
  #failure: ConnectError | undefined;

  constructor(
    public ackDeadlineSeconds: number,
    /** 0 and less: no bound. */
    readonly maxMessages: number,
    readonly maxBytes: number,
  ) {}

  /** Why the emulator ended it. */
  get failure(): ConnectError | undefined {
    return this.#failure;
  }

  hasRoom(bytes: number): boolean {
    if (this.#left || !this.#settled) return false;
    if (this.#unsent.size >= maxUnsentMessages || this.#unsentBytes >= maxUnsentBytes) return false;
    if (this.#outstanding === 0) return true;
    if (this.maxMessages > 0 && this.#outstanding >= this.maxMessages) return false;
    return this.maxBytes <= 0 || this.#outstandingBytes + bytes <= this.maxBytes;
  }

  send(delivery: Delivery): void {
    const { bytes } = delivery.lease.entry;
    this.#unsent.set(delivery.lease, delivery);
    this.#unsentBytes += bytes;
    this.#outstanding += 1;
    this.#outstandingBytes += bytes;
    this.#wake?.();
  }

  released(lease: Lease): void {
    this.#outstanding -= 1;
    this.#outstandingBytes -= lease.entry.bytes;
    if (this.#unsent.delete(lease)) this.#unsentBytes -= lease.entry.bytes;
  }

  /** Lets messages come. */
  settle(): void {
    this.#settled = true;
  }

  /** Lets the next response carry a confirmation. */
  confirm(confirmation: Confirmations): void {
    if (this.#confirmations.length >= maxConfirmations) {
      this.end(resourceExhausted("the client does not read what it asks to be confirmed"));
      return;
    }
    this.#confirmations.push(confirmation);
    this.#wake?.();
  }

  /** Lets a response be sent even if it is empty. */
  answer(): void {
    this.#asked = true;
    this.#wake?.();
  }

  /** The client has gone. */
  leave(): void {
    this.#left = true;
    this.#wake?.();
  }

  /** The client will ask for nothing more, and waits for what it has been sent. */
  finish(): void {
    this.#finished = true;
    this.leave();
  }

  get finished(): boolean {
    return this.#finished;
  }

  end(reason: ConnectError): void {
    this.#failure ??= reason;
    this.leave();
  }

  takeUnsent(): Delivery[] {
    const deliveries = [...this.#unsent.values()];
    this.#unsent = new Map();
    this.#unsentBytes = 0;
    return deliveries;
  }

  /** One confirmation of each kind at most; more wait for the next response. */
  takeConfirmations(): Confirmations {
    this.#asked = false;
    return this.#confirmations.shift() ?? {};
  }

  /** Resolves to false when the stream has ended. */
  async waitForWork(): Promise<boolean> {
    while (!this.#left && this.#unsent.size + this.#confirmations.length === 0 && !this.#asked) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    return !this.#left;
  }
}
