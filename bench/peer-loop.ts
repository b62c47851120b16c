import { PubSub } from "@google-cloud/pubsub";

// The peer of the no-op job: what one writes by hand with the official client. Consume, publish, acknowledge.
const [project = "", subscription = "", topic = ""] = process.argv.slice(2);
const client = new PubSub({ projectId: project });
const output = client.topic(topic, { batching: { maxMessages: 100, maxMilliseconds: 10 } });
client.subscription(subscription, { flowControl: { maxMessages: 1_000 } }).on("message", (message) => {
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
