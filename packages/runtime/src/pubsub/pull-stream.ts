import type { SubscriberClient } from "@google-cloud/pubsub/build/src/v1/index.js";

/** Messages, and their bytes. */
export interface Amount {
  readonly messages: number;
  readonly bytes: number;
}

export interface Received {
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

export interface PullStreamOptions {
  readonly client: SubscriberClient;
  readonly subscription: string;
  readonly ackDeadlineMs: number;
  /** What may be outstanding on it, which is said once, when it is opened. */
  readonly granted: Amount;
  /** It is open. */
  readonly onConnected: () => void;
  readonly onReceived: (response: Received) => void;
  /** It ended, and nobody has asked it to, after `livedMs` milliseconds. */
  readonly onBroken: (error: unknown, livedMs: number) => void;
}

/** How long the service may take to end a stream; what it sends later comes again when its lease has expired. */
const endMs = 1_000;
/** The client's own limit of half an hour would cut off what is on its way; the service, which has one too, ends streams in order. */
const longestMs = 86_400_000;
/** How long a stream must have been open to count as connected, when nothing has come through it. */
const connectedAfterMs = 300;

/** One streaming pull, and how much of what came through it is outstanding still. */
export class PullStream {
  /** Received, and neither given back nor confirmed as acknowledged: the service counts it. */
  readonly #outstanding = { messages: 0, bytes: 0 };
  readonly #stream: ReturnType<SubscriberClient["streamingPull"]>;
  /** Nothing comes through it any more. */
  #over = false;
  #ending: Promise<void> | undefined;

  constructor(readonly options: PullStreamOptions) {
    const { client, subscription, ackDeadlineMs, granted } = options;
    const openedAt = performance.now();
    // The client itself names no subscription before the first request: https://google.aip.dev/client-libraries/4222
    const headers = { "x-goog-request-params": `subscription=${encodeURIComponent(subscription)}` };
    const stream = client.streamingPull({ timeout: longestMs, otherArgs: { headers } });
    this.#stream = stream;
    const connected = () => {
      clearTimeout(quiet);
      if (!this.#over && this.#ending === undefined) options.onConnected();
    };
    const quiet = setTimeout(connected, connectedAfterMs);
    stream.once("data", connected);
    stream.on("data", (response: Received) => {
      options.onReceived(response);
    });
    const broken = (error?: unknown) => {
      clearTimeout(quiet);
      if (this.#over || this.#ending !== undefined) return;
      this.#over = true;
      options.onBroken(error, performance.now() - openedAt);
    };
    stream.once("error", broken);
    stream.once("end", broken);
    stream.on("error", () => undefined);
    stream.write({
      subscription,
      streamAckDeadlineSeconds: Math.round(ackDeadlineMs / 1_000),
      maxOutstandingMessages: granted.messages,
      maxOutstandingBytes: granted.bytes,
    });
  }

  get isOver(): boolean {
    return this.#over;
  }

  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  get outstanding(): Amount {
    return this.#outstanding;
  }

  /** What it may have outstanding from now on. */
  get most(): Amount {
    return this.#over ? this.#outstanding : this.options.granted;
  }

  take(bytes: number): void {
    this.#outstanding.messages += 1;
    this.#outstanding.bytes += bytes;
  }

  giveUp(bytes: number): void {
    this.#outstanding.messages -= 1;
    this.#outstanding.bytes -= bytes;
  }

  /** Takes in nothing more until {@link resume}. */
  pause(): void {
    if (!this.isEnding) this.#stream.pause();
  }

  resume(): void {
    if (this.#stream.isPaused()) this.#stream.resume();
  }

  /** Resolves when all that the service has sent was delivered, or after {@link endMs}. */
  end(): Promise<void> {
    this.#ending ??= this.#over ? Promise.resolve() : this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const stream = this.#stream;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(tooLong);
        resolve();
      };
      const tooLong = setTimeout(end, endMs);
      stream.once("end", end);
      stream.once("close", end);
      // The service ends its side when it hears that this one has ended; a call that is cancelled drops what it was sent.
      stream.end();
      stream.resume();
    });
    this.#over = true;
    // A stream that is left open is sent what is published from now on.
    stream.cancel();
    stream.destroy();
  }
}
