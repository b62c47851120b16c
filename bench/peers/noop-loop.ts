import { PubSub } from "@google-cloud/pubsub";

// The peer of the no-op job: what one writes by hand with the official client. Consume, publish, acknowledge.
// Flow control is klio's bound (twice the worker's concurrency); a publish request takes up to 1,000 messages:
// https://cloud.google.com/pubsub/docs/batch-messaging, https://cloud.google.com/pubsub/docs/flow-control-messages
process.stdin.resume().once("close", () => process.exit());
const [project = "", queue = ""] = process.argv.slice(2);
const client = new PubSub({ projectId: project });
const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
  output.publishMessage({ data: message.data, attributes: { "klio-id": message.id } }).then(
    () => {
      message.ack();
    },
    () => {
      message.nack();
    },
  );
});
process.stdout.write("ready\n");
