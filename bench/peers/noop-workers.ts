import { fork } from "node:child_process";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { decodeMessage, encodeMessage } from "@klio/runtime/message";

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
  const inHand = new Map<number, { readonly message: Message; readonly since: number }>();
  const metrics = { received: 0, done: 0, failed: 0, seconds: 0 };
  client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
    metrics.received += 1;
    inHand.set(metrics.received, { message, since: performance.now() });
    worker.send({ id: metrics.received, data: message.data });
  });
  worker.on("message", ({ id, data }: Parcel) => {
    const work = inHand.get(id);
    if (work === undefined) return;
    inHand.delete(id);
    output.publishMessage({ data: Buffer.from(data), attributes: { "klio-id": work.message.id } }).then(
      () => {
        work.message.ack();
        metrics.done += 1;
        metrics.seconds += (performance.now() - work.since) / 1_000;
      },
      () => {
        work.message.nack();
        metrics.failed += 1;
      },
    );
  });
  process.stdout.write("ready\n");
}
