/** What a Pub/Sub emulator has to do, each with a case by this name for the Node and for the Python client. */
export interface Capability {
  readonly text: string;
  /** Google's emulator does otherwise than the documentation says: its case must fail there, and is left out if it may not. */
  readonly google?: { readonly does: string; readonly documentation: string; readonly sometimes?: true };
  /** A call that only this emulator refuses: there is nothing to compare. */
  readonly ownOnly?: string;
}

const rpc = "https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1";
const quotas = "https://cloud.google.com/pubsub/quotas#resource_limits";

export const capabilities = {
  "topic-create": { text: "creates, gets and deletes a topic, and says when it exists or is missing" },
  "topic-list": { text: "lists topics page by page" },
  "topic-names": { text: "refuses ids that are no legal resource names" },
  "topic-labels": {
    text: "changes labels by field mask and leaves the rest",
    google: { does: "takes labels for an unknown field", documentation: `${rpc}#updatetopicrequest` },
  },
  "topic-update-refused": { text: "refuses an update without a mask, and of an unknown field" },
  "topic-subscriptions": { text: "lists the subscriptions of a topic" },
  "topic-deleted": { text: "keeps the backlog of a subscription whose topic is gone" },
  "labels-refused": {
    text: "refuses labels that are none",
    google: {
      does: "accepts any",
      documentation: "https://cloud.google.com/pubsub/docs/create-topic-label#requirements",
    },
  },
  "subscription-create": { text: "creates a subscription with the documented defaults, once, on a topic that exists" },
  "subscription-list": { text: "lists subscriptions page by page" },
  "subscription-update": { text: "changes a subscription by field mask" },
  "subscription-immutable": { text: "refuses to change topic, ordering or filter" },
  "subscription-ranges": {
    text: "refuses deadlines and retention out of range",
    google: { does: "accepts an ack deadline of 5 seconds", documentation: `${rpc}#subscription` },
  },
  "expiration-policy": {
    text: "expires subscriptions after 31 days unless told otherwise, and not before a day",
    google: { does: "accepts a ttl of an hour", documentation: `${rpc}#expirationpolicy` },
  },
  publish: { text: "delivers bytes, attributes, id and publish time as they were published" },
  "publish-count": { text: "refuses requests of no or of more than 1,000 messages, and empty messages" },
  "publish-attributes": {
    text: "refuses more than 100 attributes, longer keys and values, longer ordering keys",
    google: { does: "accepts them", documentation: quotas },
  },
  "publish-size": {
    text: "refuses a request of more than 10 MB",
    google: { does: "accepts one of 10 MB and some bytes", documentation: quotas },
  },
  "publish-compressed": { text: "takes requests that are compressed with gzip" },
  "fan-out": { text: "delivers each message to each subscription" },
  pull: { text: "pulls at most as many messages as asked for, and none at once when told not to wait" },
  "pull-refused": { text: "refuses a pull of no messages, and of an unknown subscription" },
  acknowledge: { text: "does not deliver again what was acknowledged" },
  "acknowledge-refused": { text: "refuses ack ids that are none" },
  deadline: { text: "delivers again what was not acknowledged before its deadline" },
  "modify-deadline": {
    text: "leaves a message alone while its deadline is extended, and delivers it again when given back",
  },
  "modify-deadline-refused": {
    text: "refuses deadlines of more than 600 seconds",
    google: { does: "accepts 601", documentation: `${rpc}#modifyackdeadlinerequest` },
  },
  "streaming-pull": { text: "delivers on a stream, and takes acknowledgements on it" },
  "streaming-requests": {
    text: "refuses a first request without subscription or deadline, and a later one with a subscription",
  },
  "streaming-deleted": { text: "ends a stream whose subscription is deleted with NOT_FOUND" },
  "keep-alive": {
    text: "answers an empty request on a stream of protocol version 1",
    google: { does: "does not know the field yet", documentation: `${rpc}#streamingpullrequest` },
  },
  "flow-control": {
    text: "never has more outstanding on a stream than the client asked for, in count and in bytes",
    google: { does: "ignores max_outstanding_messages", documentation: `${rpc}#streamingpullrequest` },
  },
  "consumer-gone": {
    text: "sends nothing more to a consumer that has left",
    google: {
      does: "goes on, for up to a minute, sending to streams that were cancelled",
      documentation: "https://cloud.google.com/pubsub/docs/pull#streamingpull_api",
      sometimes: true,
    },
  },
  ordering: { text: "keeps the order of each ordering key, with several outstanding" },
  "ordering-one-key": {
    text: "refuses a publish request with messages of different ordering keys",
    google: { does: "takes it", documentation: `${rpc}#pubsubmessage` },
  },
  "ordering-redelivery": {
    text: "delivers again all that follows a message of its key that was given back",
    google: {
      does: "delivers that one alone again, after the others",
      documentation: "https://cloud.google.com/pubsub/docs/ordering",
    },
  },
  "dead-letter": { text: "forwards to the dead-letter topic after the last attempt, with the documented attributes" },
  "dead-letter-refused": { text: "refuses attempts out of range and a dead-letter topic that does not exist" },
  "retry-policy": {
    text: "waits for the back-off before it delivers again",
    google: {
      does: "delivers again at once after the first refusal",
      documentation: "https://cloud.google.com/pubsub/docs/subscription-retry-policy",
    },
  },
  filter: {
    text: "delivers only what passes the filter",
    google: {
      does: "delivers everything",
      documentation: "https://cloud.google.com/pubsub/docs/subscription-message-filter",
    },
  },
  "filter-refused": {
    text: "refuses a malformed filter",
    google: { does: "accepts any", documentation: "https://cloud.google.com/pubsub/docs/subscription-message-filter" },
  },
  "exactly-once": { text: "confirms acknowledgements, and refuses an ack id that is over, naming it" },
  "exactly-once-stream": {
    text: "names on a stream which acknowledgements it took",
    google: { does: "sends confirmations without ids", documentation: `${rpc}#streamingpullresponse` },
  },
  "seek-forward": { text: "purges what was published before the time sought" },
  "seek-back": { text: "delivers again what was acknowledged, where the subscription retains it" },
  "seek-back-unretained": { text: "delivers only unacknowledged messages again where none are retained" },
  "topic-retention": { text: "delivers again what was acknowledged, where the topic retains it" },
  snapshot: { text: "makes, gets, lists and deletes snapshots, and seeks to one" },
  "snapshot-labels": {
    text: "names a snapshot that has no name, and keeps and changes its labels",
    google: { does: "drops labels, and cannot update", documentation: `${rpc}#updatesnapshotrequest` },
  },
  "snapshot-refused": { text: "refuses to seek to a snapshot of another topic, to none, and to nothing" },
  detach: {
    text: "detaches a subscription, which then refuses to be pulled",
    google: { does: "answers UNIMPLEMENTED", documentation: `${rpc}#detachsubscriptionrequest` },
  },
  push: { text: "pushes to a loopback endpoint, wrapped in JSON" },
  "push-unwrapped": { text: "pushes the bytes alone, with metadata as headers" },
  "push-again": { text: "pushes again what was not accepted" },
  "push-accepted": {
    text: "takes 202 for an acknowledgement",
    google: { does: "pushes again", documentation: "https://cloud.google.com/pubsub/docs/push#receive_push" },
  },
  "push-config": {
    text: "refuses to be pulled while it pushes, and changes to pulling",
    google: { does: "answers the pull with nothing", documentation: `${rpc}#modifypushconfigrequest` },
  },
  unsupported: {
    text: "answers UNIMPLEMENTED for what it does not support",
    ownOnly: "another emulator supports other things",
  },
} as const satisfies Record<string, Capability>;

export type CapabilityId = keyof typeof capabilities;
