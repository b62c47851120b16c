import { PubSub } from "@google-cloud/pubsub";
import { decodeMessage, encodeMessage } from "@klio/runtime/message";
import { count } from "../peer-metrics.js";

// The loop by hand with what klio has inline: the message's envelope is read and written, messages are counted and timed.
process.stdin.resume().once("close", () => process.exit());
const [project = "", queue = ""] = process.argv.slice(2);
const client = new PubSub({ projectId: project });
const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
  const end = count();
  const data = Buffer.from(encodeMessage(decodeMessage(message.data, { allowNonKlio: false, raw: false })));
  output.publishMessage({ data, attributes: { "klio-id": message.id } }).then(
    () => {
      message.ack();
      end("done");
    },
    () => {
      message.nack();
      end("failed");
    },
  );
});
process.stdout.write("ready\n");
