import { fork } from "node:child_process";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { passedOn } from "../peer-envelope.js";
import { type Count, count } from "../peer-metrics.js";

// The same loop with what klio has: the message's envelope, its metrics, and user code in a process of its own, behind Node's own
// channel.
interface Task {
  readonly id: string;
  readonly data: Uint8Array;
}

interface Answer extends ReturnType<typeof passedOn> {
  readonly id: string;
}

if (process.send !== undefined) work();
else loop();

function work(): void {
  process.once("disconnect", () => process.exit());
  process.on("message", ({ id, data }: Task) => {
    process.send?.({ id, ...passedOn(id, data) });
  });
}

function loop(): void {
  process.stdin.resume().once("close", () => process.exit());
  const [project = "", queue = ""] = process.argv.slice(2);
  const worker = fork(process.argv[1] ?? "", { serialization: "advanced" });
  const client = new PubSub({ projectId: project });
  const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
  const inHand = new Map<string, { readonly message: Message; readonly counted: Count }>();
  client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
    inHand.set(message.id, { message, counted: count(message) });
    worker.send({ id: message.id, data: message.data });
  });
  worker.on("message", ({ id, data, attributes }: Answer) => {
    const work = inHand.get(id);
    if (work === undefined) return;
    inHand.delete(id);
    work.counted.attempt(() => undefined);
    output.publishMessage({ data: Buffer.from(data), attributes }).then(
      () => {
        work.message.ack();
        work.counted.end("done");
      },
      () => {
        work.message.nack();
        work.counted.end("failed");
      },
    );
  });
  process.stdout.write("ready\n");
}
