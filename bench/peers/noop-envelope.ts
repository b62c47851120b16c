import { PubSub } from "@google-cloud/pubsub";
import { passedOn } from "../peer-envelope.js";
import { count } from "../peer-metrics.js";

// The loop by hand with what klio has inline: the message's envelope, and its metrics.
process.stdin.resume().once("close", () => process.exit());
const [project = "", queue = ""] = process.argv.slice(2);
const client = new PubSub({ projectId: project });
const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
  const counted = count(message);
  const next = counted.attempt(() => passedOn(message.id, message.data));
  output.publishMessage(next).then(
    () => {
      message.ack();
      counted.end("done");
    },
    () => {
      message.nack();
      counted.end("failed");
    },
  );
});
process.stdout.write("ready\n");
