import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { messageOf } from "../error-message.js";
import { Acknowledger } from "./acknowledger.js";
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

const firstDelayMs = 100;
const longestDelayMs = 2_000;
const maxIdsPerRequest = 1_000;
/** How long the service may take to end a stream; what it sends later comes again when its lease has expired. */
const streamEndMs = 1_000;
/** How long a stream must have been open to count as connected, when nothing has come through it. */
const connectedAfterMs = 300;

type Stream = ReturnType<SubscriberClient["streamingPull"]>;

/** What may still be outstanding, or what a stream was opened for. */
interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** Receives from one subscription through the low-level API and keeps the leases of what is in hand. */
export class Subscriber implements Source {
  readonly #leases = new Map<Lease, number>();
  #stream: Stream | undefined;
  /** What the stream was opened for: less than the bounds when something was in hand then. */
  #granted: Room = { messages: 0, bytes: 0 };
  /** Leases of what came before the stream was opened, for which it has no room. */
  #inherited = new Set<Lease>();
  #outstandingBytes = 0;
  #delayMs = firstDelayMs;
  #everConnected = false;
  #pulling = false;
  /** Resolves when nothing comes any more from streams that were ended. */
  #ending: Promise<unknown> = Promise.resolve();
  /** Streams that were ended, and through which something may still come: it counts towards the bounds of the next. */
  #endings = 0;
  readonly #acks: Acknowledger;
  #extender: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(readonly options: SubscriberOptions) {
    this.#acks = new Acknowledger(options.client, options.subscription, () => {
      this.#useRoom();
    });
  }

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
    this.#open();
  }

  /** Ends the stream, and resolves when what was on its way has been delivered. Leases go on until they are given up. */
  async stopPulling(): Promise<void> {
    this.#pulling = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#endStream();
  }

  /** Resolves when nothing comes any more. If more is wanted by then, another stream is opened. */
  async #endStream(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream !== undefined) {
      this.#endings += 1;
      this.#ending = Promise.all([this.#ending, endStream(stream)]).then(() => {
        this.#endings -= 1;
        this.#open();
      });
    }
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
    const done = lease.lost ? Promise.resolve() : this.#acks.acknowledge(lease.ackId, bytes);
    this.#drop(lease);
    return done;
  }

  /** Gives a message back: it is delivered again, to whomever. */
  async giveBack(lease: Lease): Promise<void> {
    if (!lease.lost) await this.#modify([lease.ackId], 0).catch(() => undefined); // it expires by itself then
    this.#drop(lease);
  }

  /** Gives up a lease without a word: the message is delivered again when it has expired. */
  letGo(lease: Lease): void {
    this.#drop(lease);
  }

  #drop(lease: Lease): void {
    const bytes = this.#leases.get(lease);
    if (bytes === undefined) return;
    this.#leases.delete(lease);
    this.#inherited.delete(lease);
    this.#outstandingBytes -= bytes;
    this.#useRoom();
  }

  /** Asks whether the subscription is there before the first stream, which would only be silent. */
  async #probe(): Promise<void> {
    try {
      await this.options.client.getSubscription({ subscription: this.options.subscription }, triedOnce);
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
    if (!this.#pulling || this.#stream !== undefined || this.#endings > 0) return;
    const room = this.#room();
    if (isNone(room)) return; // opened when there is room again
    const stream = this.options.client.streamingPull();
    this.#stream = stream;
    this.#granted = room;
    this.#inherited = new Set(this.#leases.keys());
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
      maxOutstandingMessages: room.messages,
      maxOutstandingBytes: room.bytes,
    });
  }

  /** What may come besides what is in hand, or acknowledged and not confirmed yet. */
  #room(): Room {
    return {
      messages: this.options.maxMessages - this.#leases.size - this.#acks.unconfirmed,
      bytes: this.options.maxBytes - this.#outstandingBytes - this.#acks.unconfirmedBytes,
    };
  }

  #reopen(error: unknown): void {
    this.#stream = undefined;
    if (!this.#pulling) return;
    // At the bounds nothing is asked for. Whether it can be is seen when there is room, and a stream is opened.
    if (this.#everConnected && isNone(this.#room())) return;
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

  #useRoom(): void {
    if (this.#full()) return;
    if (this.#stream?.isPaused() === true) this.#stream.resume();
    if (this.#stream === undefined && this.#everConnected && this.#retry === undefined) this.#open();
    else if (this.#stream !== undefined && this.#isStinted()) void this.#endStream();
  }

  /**
   * Whether the stream was opened for so little, because of what was in hand then, that a new one is worth its while: for twice as
   * much, or, once all of that is done with, for a tenth more. The bounds of a stream are said once, in its first request:
   * https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#streamingpullrequest
   */
  #isStinted(): boolean {
    const { messages, bytes } = this.#granted;
    if (messages === this.options.maxMessages && bytes === this.options.maxBytes) return false;
    const room = this.#room();
    if (room.messages < messages || room.bytes < bytes) return false;
    const times = this.#inherited.size === 0 ? 1.1 : 2;
    return room.messages >= times * messages || room.bytes >= times * bytes;
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

function isNone({ messages, bytes }: Room): boolean {
  return messages <= 0 || bytes <= 0;
}

/** Resolves when all that the service has sent was delivered, or after {@link streamEndMs}. */
async function endStream(stream: Stream): Promise<void> {
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
