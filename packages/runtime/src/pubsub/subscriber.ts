import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { messageOf } from "../error-message.js";
import { Status, statusOf, triedOnce } from "./clients.js";
import type { Delivery, Lease, Source } from "../supervisor/source.js";

export interface SubscriberOptions {
  readonly client: SubscriberClient;
  /** Name of the event input. */
  readonly input: string;
  readonly subscription: string;
  readonly ackDeadlineMs: number;
  /** Bounds on what is outstanding; the service is told, and the stream is paused at them. */
  readonly maxMessages: number;
  readonly maxBytes: number;
  readonly onDelivery: (delivery: Delivery) => void;
  /** The stream is open, for the first time or again. */
  readonly onConnected: () => void;
  /** The stream is not open any more. */
  readonly onDisconnected: () => void;
  /** The stream broke; it will be opened again after `delayMs`. */
  readonly onTrouble: (error: unknown, delayMs: number) => void;
  /** The stream cannot be opened, and trying again will not help. */
  readonly onRefused: (error: unknown) => void;
  readonly onLost: (lease: Lease) => void;
}

interface Received {
  readonly receivedMessages?: readonly {
    readonly ackId?: string | null;
    readonly message?: {
      readonly messageId?: string | null;
      readonly data?: Uint8Array | string | null;
      readonly attributes?: Readonly<Record<string, string>> | null;
      readonly orderingKey?: string | null;
      readonly publishTime?: { readonly seconds?: unknown; readonly nanos?: number | null } | null;
    } | null;
  }[];
}

/** Acknowledgements that go in one request. */
interface Acks {
  readonly ids: string[];
  /** Size of their messages. */
  bytes: number;
  readonly done: Promise<void>;
}

const firstDelayMs = 100;
const longestDelayMs = 2_000;
const maxIdsPerRequest = 1_000;
/** Tries to acknowledge; they take about half a minute. */
const ackTries = 16;
/** How long acknowledgements wait for company, in milliseconds. */
const ackBatchMs = 5;
/** How long the service may take to end a stream; what it sends later comes again when its lease has expired. */
const streamEndMs = 1_000;
/** How long a stream must have been open to count as connected, when nothing has come through it. */
const connectedAfterMs = 300;

/** Receives from one subscription through the low-level API and keeps the leases of what is in hand. */
export class Subscriber implements Source {
  readonly #leases = new Map<Lease, number>();
  #stream: ReturnType<SubscriberClient["streamingPull"]> | undefined;
  #outstandingBytes = 0;
  #delayMs = firstDelayMs;
  #everConnected = false;
  #pulling = false;
  /** Resolves when nothing comes any more from streams that were ended. */
  #ending: Promise<unknown> = Promise.resolve();
  #acks: Acks | undefined;
  /** Acknowledged, and not confirmed yet: the service counts them as outstanding. */
  #unconfirmed = 0;
  #unconfirmedBytes = 0;
  #extender: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(readonly options: SubscriberOptions) {}

  start(): void {
    this.#pulling = true;
    this.#extender = setInterval(() => {
      void this.#extendAll();
    }, this.options.ackDeadlineMs / 3);
    void this.#probe();
  }

  pause(): void {
    void this.stopPulling();
  }

  resume(): void {
    this.#pulling = true;
    // What the stream before still delivers counts towards the bounds of the next.
    void this.#ending.then(() => {
      this.#open();
    });
  }

  /** Ends the stream, and resolves when what was on its way has been delivered. Leases go on until they are given up. */
  async stopPulling(): Promise<void> {
    this.#pulling = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined) this.#ending = Promise.all([this.#ending, endStream(stream)]);
    await this.#ending;
  }

  async close(): Promise<void> {
    await this.stopPulling();
    clearInterval(this.#extender);
    this.#leases.clear();
  }

  /** Resolves when the service has confirmed the acknowledgement, or cannot: then the message comes again. */
  acknowledge(lease: Lease): Promise<void> {
    const bytes = this.#leases.get(lease) ?? 0;
    if (lease.lost) {
      this.#drop(lease);
      return Promise.resolve();
    }
    if (this.#acks === undefined || this.#acks.ids.length >= maxIdsPerRequest) this.#acks = this.#gatherAcks();
    const { ids, done } = this.#acks;
    ids.push(lease.ackId);
    this.#acks.bytes += bytes;
    this.#unconfirmed += 1;
    this.#unconfirmedBytes += bytes;
    this.#drop(lease);
    return done;
  }

  /** Gives a message back: it is delivered again, to whomever. */
  async giveBack(lease: Lease): Promise<void> {
    this.#drop(lease);
    if (!lease.lost) await this.#modify([lease.ackId], 0).catch(() => undefined); // it expires by itself then
  }

  /** Gives up a lease without a word: the message is delivered again when it has expired. */
  letGo(lease: Lease): void {
    this.#drop(lease);
  }

  #drop(lease: Lease): void {
    const bytes = this.#leases.get(lease);
    if (bytes === undefined) return;
    this.#leases.delete(lease);
    this.#outstandingBytes -= bytes;
    this.#resumeWithRoom();
  }

  #gatherAcks(): Acks {
    const ids: string[] = [];
    const acks: Acks = { ids, bytes: 0, done: this.#sendAcks(ids) };
    void acks.done.then(() => {
      this.#unconfirmed -= ids.length;
      this.#unconfirmedBytes -= acks.bytes;
      this.#resumeWithRoom();
    });
    return acks;
  }

  async #sendAcks(ids: string[]): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ackBatchMs));
    if (this.#acks?.ids === ids) this.#acks = undefined;
    const request = { subscription: this.options.subscription, ackIds: ids };
    for (let attempt = 1; attempt <= ackTries; attempt += 1) {
      try {
        await this.options.client.acknowledge(request, triedOnce);
        return;
      } catch (error) {
        if (statusOf(error) === Status.notFound || attempt === ackTries) return; // delivered again, and known as done by its id
        const delayMs = Math.min(firstDelayMs * 2 ** attempt, longestDelayMs);
        await new Promise((resolve) => setTimeout(resolve, delayMs));
      }
    }
  }

  /** Asks whether the subscription is there before the first stream, which would only be silent. */
  async #probe(): Promise<void> {
    try {
      await this.options.client.getSubscription({ subscription: this.options.subscription });
    } catch (error) {
      // Receiving needs less permission than looking.
      if (statusOf(error) !== Status.permissionDenied) {
        this.#reopen(error);
        return;
      }
    }
    this.#open();
  }

  #open(): void {
    if (!this.#pulling || this.#stream !== undefined) return;
    const room = this.options.maxMessages - this.#leases.size - this.#unconfirmed;
    const roomBytes = this.options.maxBytes - this.#outstandingBytes - this.#unconfirmedBytes;
    if (room <= 0 || roomBytes <= 0) return; // opened when there is room again
    const stream = this.options.client.streamingPull();
    this.#stream = stream;
    const connected = () => {
      clearTimeout(quiet);
      if (this.#stream !== stream) return;
      this.#delayMs = firstDelayMs;
      this.#everConnected = true;
      this.options.onConnected();
    };
    const quiet = setTimeout(connected, connectedAfterMs);
    stream.once("data", connected);
    stream.on("data", (response: Received) => {
      this.#receive(response);
    });
    const over = (error?: unknown) => {
      clearTimeout(quiet);
      if (this.#stream === stream) this.#reopen(error);
    };
    stream.once("error", over);
    stream.once("end", over);
    stream.on("error", () => undefined);
    stream.write({
      subscription: this.options.subscription,
      streamAckDeadlineSeconds: Math.round(this.options.ackDeadlineMs / 1_000),
      maxOutstandingMessages: room,
      maxOutstandingBytes: roomBytes,
    });
  }

  #reopen(error: unknown): void {
    this.#stream = undefined;
    if (!this.#pulling) return;
    this.options.onDisconnected();
    const status = statusOf(error);
    const hopeless: readonly (number | undefined)[] = [
      Status.notFound,
      Status.permissionDenied,
      Status.unauthenticated,
      Status.invalidArgument,
    ];
    if (!this.#everConnected && hopeless.includes(status)) {
      this.options.onRefused(error);
      return;
    }
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs);
    this.options.onTrouble(error ?? new Error("the stream ended"), delayMs);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#everConnected) this.#open();
      else void this.#probe();
    }, delayMs);
  }

  #receive(response: Received): void {
    for (const { ackId, message } of response.receivedMessages ?? []) {
      if (typeof ackId !== "string" || message === null || message === undefined) continue;
      const data =
        typeof message.data === "string" ? Buffer.from(message.data, "base64") : (message.data ?? Buffer.alloc(0));
      const lease: Lease = {
        source: this,
        ackId,
        confirmedUntil: Date.now() + this.options.ackDeadlineMs,
        lost: false,
      };
      this.#leases.set(lease, data.length);
      this.#outstandingBytes += data.length;
      this.options.onDelivery({
        lease,
        input: this.options.input,
        messageId: message.messageId ?? "",
        data,
        attributes: message.attributes ?? {},
        orderingKey: message.orderingKey ?? "",
        publishTime: Number(message.publishTime?.seconds ?? 0) * 1_000 + (message.publishTime?.nanos ?? 0) / 1e6,
      });
    }
    if (this.#full()) this.#stream?.pause();
  }

  #full(): boolean {
    return this.#leases.size >= this.options.maxMessages || this.#outstandingBytes >= this.options.maxBytes;
  }

  #resumeWithRoom(): void {
    if (this.#full()) return;
    if (this.#stream?.isPaused() === true) this.#stream.resume();
    else if (this.#stream === undefined && this.#everConnected && this.#retry === undefined) this.#open();
  }

  async #extendAll(): Promise<void> {
    const leases = [...this.#leases.keys()];
    for (let i = 0; i < leases.length; i += maxIdsPerRequest) {
      await this.#extend(leases.slice(i, i + maxIdsPerRequest));
    }
  }

  async #extend(leases: readonly Lease[]): Promise<void> {
    const { ackDeadlineMs } = this.options;
    const asked = Date.now();
    // A process that was stopped for a while finds its leases expired; the service does not say so when it is asked to extend them.
    const held = this.#withoutExpired(leases);
    if (held.length === 0) return;
    try {
      await this.#modify(
        held.map((l) => l.ackId),
        Math.round(ackDeadlineMs / 1_000),
      );
      for (const lease of held) lease.confirmedUntil = asked + ackDeadlineMs;
    } catch (error) {
      this.#withoutExpired(held);
      this.options.onTrouble(new Error(`leases could not be extended: ${messageOf(error)}`), ackDeadlineMs / 3);
    }
  }

  /** Tells of leases that are lost, and returns the others. */
  #withoutExpired(leases: readonly Lease[]): Lease[] {
    const now = Date.now();
    return leases.filter((lease) => {
      if (!this.#leases.has(lease)) return false;
      if (lease.confirmedUntil > now) return true;
      lease.lost = true;
      this.#drop(lease);
      this.options.onLost(lease);
      return false;
    });
  }

  async #modify(ackIds: string[], ackDeadlineSeconds: number): Promise<void> {
    const { client, subscription, ackDeadlineMs } = this.options;
    await client.modifyAckDeadline(
      { subscription, ackIds, ackDeadlineSeconds },
      { ...triedOnce, timeout: ackDeadlineMs / 3 },
    );
  }
}

/** Resolves when all that the service has sent was delivered, or after {@link streamEndMs}. */
async function endStream(stream: ReturnType<SubscriberClient["streamingPull"]>): Promise<void> {
  await new Promise<void>((resolve) => {
    const end = () => {
      clearTimeout(tooLong);
      resolve();
    };
    const tooLong = setTimeout(end, streamEndMs);
    stream.once("end", end);
    stream.once("close", end);
    // The service ends its side when it hears that this one has ended; a call that is cancelled drops what it was sent.
    stream.end();
    stream.resume();
  });
  // A stream that is left open is sent what is published from now on.
  stream.cancel();
  stream.destroy();
}
