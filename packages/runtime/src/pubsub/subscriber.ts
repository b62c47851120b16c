import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";
import { messageOf } from "../error-message.js";
import { Acknowledger } from "./acknowledger.js";
import { failedIds, maxIdsPerRequest, Status, statusOf, triedOnce } from "./clients.js";
import { PullStream, type Received } from "./pull-stream.js";
import { isSome, Streams } from "./streams.js";
import type { Delivery, Lease, Source } from "../supervisor/source.js";

export interface SubscriberOptions {
  readonly client: SubscriberClient;
  /** Name of the event input. */
  readonly input: string;
  readonly subscription: string;
  readonly ackDeadlineMs: number;
  /** Bounds on what is outstanding; the service is told, and streams stand still at them. */
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

/** A message in hand: its size, and what it came through. */
interface Held {
  readonly bytes: number;
  readonly stream: PullStream;
}

const firstDelayMs = 100;
const longestDelayMs = 2_000;
/** A stream that was open for so long has not failed when it ends: the service ends each one now and then. */
const longLivedMs = 600_000;

/** Receives from one subscription through the low-level API and keeps the leases of what is in hand. */
export class Subscriber implements Source {
  readonly #leases = new Map<Lease, Held>();
  #bytes = 0;
  readonly #streams: Streams;
  readonly #acks: Acknowledger;
  #delayMs = firstDelayMs;
  #everConnected = false;
  #pulling = false;
  #probing = false;
  #paused = false;
  /** Resolves when nothing comes any more from streams that were ended. */
  #ending: Promise<unknown> = Promise.resolve();
  #extender: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(readonly options: SubscriberOptions) {
    this.#streams = new Streams({ messages: options.maxMessages, bytes: options.maxBytes });
    this.#acks = new Acknowledger(options.client, options.subscription);
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
    if (this.#everConnected) this.#useRoom();
    else void this.#probe();
  }

  /** Ends the streams, and resolves when what was on its way has been delivered. Leases go on until they are given up. */
  async stopPulling(): Promise<void> {
    this.#pulling = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#endStreams();
  }

  /** Resolves when nothing comes any more. If more is wanted by then, another stream is opened. */
  async #endStreams(): Promise<void> {
    const ended = this.#streams.open.map((stream) => stream.end());
    if (ended.length > 0) {
      this.#ending = Promise.all([this.#ending, ...ended]).then(() => {
        this.#useRoom();
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
  async acknowledge(lease: Lease): Promise<void> {
    const held = this.#release(lease);
    if (!lease.lost) await this.#acks.acknowledge(lease.ackId);
    this.#free(held);
  }

  /** Gives a message back: it is delivered again, to whomever. */
  async giveBack(lease: Lease): Promise<void> {
    const held = this.#release(lease);
    if (!lease.lost) await this.#modify([lease.ackId], 0).catch(() => undefined); // it expires by itself then
    this.#free(held);
  }

  /** Gives up a lease without a word: the message is delivered again when it has expired. */
  letGo(lease: Lease): void {
    this.#free(this.#release(lease));
  }

  /** Nobody works on it any more; until the service has heard of it, it counts as outstanding. */
  #release(lease: Lease): Held | undefined {
    const held = this.#leases.get(lease);
    if (held === undefined) return undefined;
    this.#leases.delete(lease);
    this.#bytes -= held.bytes;
    if (this.#paused && !this.#full()) {
      this.#paused = false;
      for (const stream of this.#streams.open) stream.resume();
    }
    return held;
  }

  #free(held: Held | undefined): void {
    held?.stream.giveUp(held.bytes);
    this.#useRoom();
  }

  /** Asks whether the subscription is there before the first stream, which would only be silent. */
  async #probe(): Promise<void> {
    if (this.#probing) return;
    this.#probing = true;
    const error = await this.#lookFor();
    this.#probing = false;
    if (error !== undefined) this.#reopen(error);
    else this.#useRoom(true);
  }

  /** What speaks against receiving from the subscription. */
  async #lookFor(): Promise<unknown> {
    try {
      await this.options.client.getSubscription({ subscription: this.options.subscription }, triedOnce());
      return undefined;
    } catch (error) {
      // Receiving needs less permission than looking.
      return statusOf(error) === Status.permissionDenied ? undefined : (error ?? new Error("it cannot be looked for"));
    }
  }

  /** Sees to it that there are streams for what may be outstanding. `found`: the subscription is known to be there. */
  #useRoom(found = this.#everConnected): void {
    if (!this.#pulling || !found || this.#retry !== undefined) return;
    const step = this.#streams.next();
    if (step === "open") this.#open();
    else if (step === "replace") void this.#endStreams();
  }

  #open(): void {
    const { client, subscription, ackDeadlineMs, onConnected } = this.options;
    const stream: PullStream = new PullStream({
      client,
      subscription,
      ackDeadlineMs,
      granted: this.#streams.grant,
      onConnected: () => {
        this.#delayMs = firstDelayMs;
        this.#everConnected = true;
        onConnected();
      },
      onReceived: (response) => {
        this.#receive(response, stream);
      },
      onBroken: (error, livedMs) => {
        // If another one cannot be opened, that is told of.
        if (livedMs >= longLivedMs) this.#useRoom();
        else this.#reopen(error);
      },
    });
    this.#streams.add(stream);
  }

  /** There is a stream less, or none could be opened: after a while it is tried again. */
  #reopen(error: unknown): void {
    if (!this.#pulling) return;
    // At the bounds nothing is asked for. Whether it can be is seen when there is room, and a stream is opened.
    if (this.#everConnected && !isSome(this.#streams.room)) return;
    const isOne = this.#streams.open.length > 0;
    if (!isOne) this.options.onDisconnected();
    const status = statusOf(error);
    const hopeless: readonly (number | undefined)[] = [
      Status.notFound,
      Status.permissionDenied,
      Status.unauthenticated,
      Status.invalidArgument,
    ];
    if (!this.#everConnected && !isOne && hopeless.includes(status)) {
      this.options.onRefused(error);
      return;
    }
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(this.#delayMs * 2, longestDelayMs);
    this.options.onTrouble(error ?? new Error("the stream ended"), delayMs);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (this.#everConnected) this.#useRoom();
      else void this.#probe();
    }, delayMs);
  }

  #receive(response: Received, stream: PullStream): void {
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
      this.#leases.set(lease, { bytes: data.length, stream });
      this.#bytes += data.length;
      stream.take(data.length);
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
    if (!this.#full()) return;
    this.#paused = true;
    for (const each of this.#streams.open) each.pause();
  }

  #full(): boolean {
    return this.#leases.size >= this.options.maxMessages || this.#bytes >= this.options.maxBytes;
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
      const failed = failedIds(error);
      if (failed !== undefined) {
        for (const lease of held) {
          const how = failed.get(lease.ackId);
          if (how === undefined) lease.confirmedUntil = asked + ackDeadlineMs;
          else if (how === "invalid") lease.confirmedUntil = 0;
        }
      }
      this.#withoutExpired(held);
      if (failed !== undefined) return;
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
      this.#free(this.#release(lease));
      this.options.onLost(lease);
      return false;
    });
  }

  async #modify(ackIds: string[], ackDeadlineSeconds: number): Promise<void> {
    const { client, subscription, ackDeadlineMs } = this.options;
    await client.modifyAckDeadline({ subscription, ackIds, ackDeadlineSeconds }, triedOnce(ackDeadlineMs / 3));
  }
}
