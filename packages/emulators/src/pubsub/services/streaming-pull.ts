import { create } from "@bufbuild/protobuf";
import type { ConnectError, HandlerContext } from "@connectrpc/connect";
import {
  type StreamingPullRequest,
  type StreamingPullResponse,
  StreamingPullResponse_AcknowledgeConfirmationSchema,
  StreamingPullResponse_ModifyAckDeadlineConfirmationSchema,
  StreamingPullResponseSchema,
} from "../../../gen/google/pubsub/v1/pubsub_pb.js";
import type { Broker } from "../broker/broker.js";
import type { Subscription } from "../broker/subscription.js";
import { invalidArgument, unavailable } from "../errors.js";
import { checkAckIds } from "./acknowledging.js";
import { findPullable } from "./find.js";
import { toReceived } from "./received.js";
import { resetStream } from "./reset.js";
import { Stream } from "./stream.js";
import { checkAckDeadline } from "./subscription-resource.js";

/** From this version of the protocol on, an empty request is answered. Source: StreamingPullRequest.protocol_version. */
const keepAliveVersion = 1n;

/**
 * When the first messages are sent on a new stream. What is sent to a client that leaves at once is lost to all others until
 * its deadline.
 */
const settleMs = 20;

/** Serves one streaming pull until the client leaves or the subscription is deleted or detached. */
export async function* serveStream(
  broker: Broker,
  requests: AsyncIterable<StreamingPullRequest>,
  context: HandlerContext,
): AsyncGenerator<StreamingPullResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done === true) throw invalidArgument("a streaming pull begins with a request that names its subscription");
  const subscription = findPullable(broker, first.value.subscription);
  const stream = openStream(first.value);
  const leave = () => {
    stream.leave();
  };
  context.signal.addEventListener("abort", leave);
  apply(first.value, subscription, stream);
  void readRequests(incoming, first.value, subscription, stream);
  subscription.attach(stream);
  const settled = setTimeout(() => {
    stream.settle();
    subscription.dispatch();
  }, settleMs);
  try {
    for (;;) {
      const response = await nextResponse(stream, subscription);
      if (response === undefined) break;
      yield response;
      if (response.receivedMessages.length > 0 && broker.faults.strikes("resetStream")) {
        stream.leave(); // what it was given now would be lost until its deadline
        resetStream(context);
      }
      subscription.dispatch();
    }
  } finally {
    clearTimeout(settled);
    context.signal.removeEventListener("abort", leave);
    stream.leave();
    subscription.detach(
      stream,
      stream.takeUnsent().map(({ lease }) => lease),
    );
  }
  // What a client has asked to end ends well: some gRPC clients drop what they have not read yet when there is an error.
  if (stream.finished) return;
  // Any other end without an error official clients take for the end of the subscription.
  throw stream.failure ?? unavailable("the stream ended");
}

async function nextResponse(stream: Stream, { resource }: Subscription): Promise<StreamingPullResponse | undefined> {
  if (!(await stream.waitForWork())) return undefined;
  return create(StreamingPullResponseSchema, {
    receivedMessages: stream.takeUnsent().map(toReceived),
    ...stream.takeConfirmations(),
    // Clients take a response without it for a change of the subscription.
    subscriptionProperties: {
      exactlyOnceDeliveryEnabled: resource.enableExactlyOnceDelivery,
      messageOrderingEnabled: resource.enableMessageOrdering,
    },
  });
}

function openStream(request: StreamingPullRequest): Stream {
  checkAckDeadline("stream_ack_deadline_seconds", request.streamAckDeadlineSeconds);
  return new Stream(
    request.streamAckDeadlineSeconds,
    Number(request.maxOutstandingMessages),
    Number(request.maxOutstandingBytes),
  );
}

async function readRequests(
  incoming: AsyncIterator<StreamingPullRequest>,
  first: StreamingPullRequest,
  subscription: Subscription,
  stream: Stream,
): Promise<void> {
  try {
    for (let next = await incoming.next(); next.done !== true; next = await incoming.next()) {
      checkLaterRequest(next.value);
      const { streamAckDeadlineSeconds } = next.value;
      if (streamAckDeadlineSeconds !== 0) {
        checkAckDeadline("stream_ack_deadline_seconds", streamAckDeadlineSeconds);
        stream.ackDeadlineSeconds = streamAckDeadlineSeconds;
      }
      apply(next.value, subscription, stream);
      if (first.protocolVersion >= keepAliveVersion && isEmpty(next.value)) stream.answer();
    }
    stream.finish();
  } catch (error) {
    // Either the client's side broke off, and nobody hears this, or a request was wrong.
    stream.end(error as ConnectError);
  }
}

function checkLaterRequest(request: StreamingPullRequest): void {
  if (request.subscription !== "") {
    throw invalidArgument("only the first request of a streaming pull names a subscription");
  }
  if (request.maxOutstandingMessages !== 0n || request.maxOutstandingBytes !== 0n) {
    throw invalidArgument("only the first request of a streaming pull sets max_outstanding_messages and _bytes");
  }
}

function isEmpty(request: StreamingPullRequest): boolean {
  return request.ackIds.length + request.modifyDeadlineAckIds.length + request.streamAckDeadlineSeconds === 0;
}

function apply(request: StreamingPullRequest, subscription: Subscription, stream: Stream): void {
  const { ackIds, modifyDeadlineAckIds, modifyDeadlineSeconds } = request;
  if (modifyDeadlineAckIds.length !== modifyDeadlineSeconds.length) {
    throw invalidArgument("modify_deadline_seconds and modify_deadline_ack_ids differ in length");
  }
  checkAckIds([...ackIds, ...modifyDeadlineAckIds]);
  for (const seconds of modifyDeadlineSeconds) checkAckDeadline("modify_deadline_seconds", seconds, 0);
  if (ackIds.length > 0) {
    const { invalid, lost } = subscription.acknowledge(ackIds);
    const failed = new Set([...invalid, ...lost]);
    if (subscription.exactlyOnce) {
      stream.confirm({
        acknowledgeConfirmation: create(StreamingPullResponse_AcknowledgeConfirmationSchema, {
          ackIds: ackIds.filter((id) => !failed.has(id)),
          invalidAckIds: invalid,
          temporaryFailedAckIds: lost,
        }),
      });
    }
  }
  if (modifyDeadlineAckIds.length === 0) return;
  const invalid = modifyDeadlineAckIds.filter(
    (id, i) => subscription.modifyDeadline([id], modifyDeadlineSeconds[i] ?? 0).length > 0,
  );
  if (!subscription.exactlyOnce) return;
  const bad = new Set(invalid);
  const good = modifyDeadlineAckIds.filter((id) => !bad.has(id));
  stream.confirm({
    modifyAckDeadlineConfirmation: create(StreamingPullResponse_ModifyAckDeadlineConfirmationSchema, {
      ackIds: good,
      invalidAckIds: invalid,
    }),
  });
}
