import { fork } from "node:child_process";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { decodeMessage, encodeMessage } from "@klio/runtime/message";
import { count } from "../peer-metrics.js";

// The same loop with what klio has: the message's envelope is read and written, messages are counted and timed, and user code
// runs in a process of its own, behind Node's own channel.
interface Parcel {
  readonly id: number;
  readonly data: Uint8Array;
}

if (process.send !== undefined) work();
else loop();

function work(): void {
  process.once("disconnect", () => process.exit());
  process.on("message", ({ id, data }: Parcel) => {
    const message = decodeMessage(data, { allowNonKlio: false, raw: false });
    process.send?.({ id, data: encodeMessage(message) });
  });
}

function loop(): void {
  process.stdin.resume().once("close", () => process.exit());
  const [project = "", queue = ""] = process.argv.slice(2);
  const worker = fork(process.argv[1] ?? "", { serialization: "advanced" });
  const client = new PubSub({ projectId: project });
  const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
  const inHand = new Map<number, { readonly message: Message; readonly end: ReturnType<typeof count> }>();
  let received = 0;
  client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
    received += 1;
    inHand.set(received, { message, end: count() });
    worker.send({ id: received, data: message.data });
  });
  worker.on("message", ({ id, data }: Parcel) => {
    const work = inHand.get(id);
    if (work === undefined) return;
    inHand.delete(id);
    output.publishMessage({ data: Buffer.from(data), attributes: { "klio-id": work.message.id } }).then(
      () => {
        work.message.ack();
        work.end("done");
      },
      () => {
        work.message.nack();
        work.end("failed");
      },
    );
  });
  process.stdout.write("ready\n");
}
