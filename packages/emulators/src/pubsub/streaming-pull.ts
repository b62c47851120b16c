import { create } from "@bufbuild/protobuf";
import {
  type StreamingPullRequest,
  type StreamingPullResponse,
  StreamingPullResponseSchema,
} from "../../gen/google/pubsub/v1/pubsub_pb.js";
import { invalidArgument, notFound } from "./errors.js";
import { toReceived } from "./received.js";
import type { Consumer, Lease, Subscription } from "./subscription.js";

/** What may wait in a stream's send buffer, however much the client says it takes. */
const maxUnsentMessages = 1_000;
const maxUnsentBytes = 4 * 1024 * 1024;

/** One open streaming pull: its room, and what is to be sent next. */
class Stream implements Consumer {
  readonly #unsent: Lease[] = [];
  #unsentBytes = 0;
  #outstanding = 0;
  #outstandingBytes = 0;
  #wake: (() => void) | undefined;
  #ended = false;

  constructor(
    readonly ackDeadlineSeconds: number,
    readonly maxMessages: number,
    readonly maxBytes: number,
  ) {}

  get ended(): boolean {
    return this.#ended;
  }

  hasRoom(bytes: number): boolean {
    if (this.#ended) return false;
    if (this.#unsent.length >= maxUnsentMessages || this.#unsentBytes >= maxUnsentBytes) return false;
    if (this.#outstanding === 0) return true;
    if (this.maxMessages > 0 && this.#outstanding >= this.maxMessages) return false;
    return this.maxBytes <= 0 || this.#outstandingBytes + bytes <= this.maxBytes;
  }

  send(lease: Lease): void {
    this.#unsent.push(lease);
    this.#unsentBytes += lease.entry.stored.bytes;
    this.#outstanding += 1;
    this.#outstandingBytes += lease.entry.stored.bytes;
    this.#wake?.();
  }

  released(lease: Lease): void {
    this.#outstanding -= 1;
    this.#outstandingBytes -= lease.entry.stored.bytes;
    const at = this.#unsent.indexOf(lease);
    if (at < 0) return;
    this.#unsent.splice(at, 1);
    this.#unsentBytes -= lease.entry.stored.bytes;
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  takeUnsent(): Lease[] {
    this.#unsentBytes = 0;
    return this.#unsent.splice(0);
  }

  /** Resolves to false when the stream has ended. */
  async waitForWork(): Promise<boolean> {
    if (this.#unsent.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    return !this.#ended;
  }
}

/** Serves one streaming pull until the client leaves or the subscription is deleted. */
export async function* serveStream(
  requests: AsyncIterable<StreamingPullRequest>,
  find: (name: string) => Subscription,
  signal: AbortSignal,
): AsyncGenerator<StreamingPullResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done === true) throw invalidArgument("a streaming pull begins with a request that names its subscription");
  const subscription = find(first.value.subscription);
  const stream = openStream(first.value);
  const end = () => {
    stream.end();
  };
  signal.addEventListener("abort", end);
  apply(subscription, first.value);
  void readRequests(incoming, subscription).finally(end);
  subscription.attach(stream);
  try {
    yield* sendBatches(stream, subscription);
  } finally {
    signal.removeEventListener("abort", end);
    stream.end();
    subscription.detach(stream, stream.takeUnsent());
  }
  if (subscription.closed) throw notFound(`subscription ${subscription.resource.name} was deleted`);
}

function openStream(request: StreamingPullRequest): Stream {
  const seconds = request.streamAckDeadlineSeconds;
  if (seconds < 10 || seconds > 600) {
    throw invalidArgument(`stream_ack_deadline_seconds is 10 to 600, not ${seconds}`);
  }
  return new Stream(seconds, Number(request.maxOutstandingMessages), Number(request.maxOutstandingBytes));
}

async function* sendBatches(stream: Stream, subscription: Subscription): AsyncGenerator<StreamingPullResponse> {
  const properties = {
    exactlyOnceDeliveryEnabled: false,
    messageOrderingEnabled: subscription.resource.enableMessageOrdering,
  };
  while (await stream.waitForWork()) {
    const leases = stream.takeUnsent();
    if (leases.length === 0) continue;
    yield create(StreamingPullResponseSchema, {
      receivedMessages: leases.map(toReceived),
      subscriptionProperties: properties,
    });
    subscription.dispatch();
  }
}

async function readRequests(incoming: AsyncIterator<StreamingPullRequest>, subscription: Subscription): Promise<void> {
  try {
    for (let next = await incoming.next(); next.done !== true; next = await incoming.next()) {
      apply(subscription, next.value);
    }
  } catch {
    // The client's side broke off: the stream ends, as it does when the client closes it in order.
  }
}

function apply(subscription: Subscription, request: StreamingPullRequest): void {
  if (request.ackIds.length > 0) subscription.acknowledge(request.ackIds);
  request.modifyDeadlineAckIds.forEach((ackId, i) => {
    subscription.modifyDeadline(ackId, request.modifyDeadlineSeconds[i] ?? 0);
  });
}
