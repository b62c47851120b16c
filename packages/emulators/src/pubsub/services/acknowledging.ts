import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.js";
import type { Subscription } from "../broker/subscription.js";
import { invalidArgument } from "../errors.js";

/**
 * How many ack ids one answer names. It goes in a trailer, of which clients take 8 KiB; for those that are not named the status
 * speaks.
 */
const mostNamed = 64;
/** See Leases.ackId. */
const ackIdForm = /^[\w-]{12}:\d{1,16}$/;
/** The size of an acknowledge or modify request: https://cloud.google.com/pubsub/quotas#resource_limits */
const maxBytes = 524_288;

/** Throws INVALID_ARGUMENT for a request that is larger than the service takes, and for what never was an ack id. */
export function checkAckIds(ackIds: readonly string[]): void {
  const malformed = ackIds.find((id) => !ackIdForm.test(id));
  if (malformed !== undefined) throw invalidArgument(`"${malformed.slice(0, 80)}" is no ack id`);
  const bytes = ackIds.reduce((sum, id) => sum + id.length + 2, 0);
  if (bytes > maxBytes) throw invalidArgument(`a request with ack ids has at most ${maxBytes} bytes, not ${bytes}`);
}

/** The same for a request that is about ack ids alone. */
export function requireAckIds(ackIds: readonly string[]): void {
  if (ackIds.length === 0) throw invalidArgument("the request names no ack ids");
  checkAckIds(ackIds);
}

/**
 * With exactly-once delivery, a request tells of each ack id that it did nothing for; without, those are passed over.
 * Source: https://cloud.google.com/pubsub/docs/exactly-once-delivery
 */
export function failureOf(
  subscription: Subscription,
  { invalid, lost }: { readonly invalid: readonly string[]; readonly lost: readonly string[] },
): ConnectError | undefined {
  if (!subscription.exactlyOnce || invalid.length + lost.length === 0) return undefined;
  const failures = [
    ...invalid.map((id) => [id, "PERMANENT_FAILURE_INVALID_ACK_ID"] as const),
    ...lost.map((id) => [id, "TRANSIENT_FAILURE_OTHER"] as const),
  ];
  const metadata = Object.fromEntries(failures.slice(0, mostNamed));
  const [code, message] =
    invalid.length > 0
      ? ([Code.InvalidArgument, "some ack ids in the request are not valid: they have expired, or never were"] as const)
      : ([Code.Unavailable, "some ack ids in the request could not be dealt with now"] as const);
  const value = create(ErrorInfoSchema, {
    reason: "EXACTLY_ONCE_ACKID_FAILURE",
    domain: "pubsub.googleapis.com",
    metadata,
  });
  return new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value }]);
}
