import { fork } from "node:child_process";
import { type Message, PubSub } from "@google-cloud/pubsub";
import { passedOn } from "../peer-envelope.js";
import { type Count, count } from "../peer-metrics.js";

// The same loop with what klio has: the message's envelope, its metrics, and user code in a process of its own, behind Node's own
// channel.
interface Task {
  /** Counts deliveries: the same message may come twice. */
  readonly n: number;
  readonly id: string;
  readonly data: Uint8Array;
}

interface Answer extends ReturnType<typeof passedOn> {
  readonly n: number;
}

if (process.send !== undefined) work();
else loop();

function work(): void {
  process.once("disconnect", () => process.exit());
  process.on("message", ({ n, id, data }: Task) => {
    process.send?.({ n, ...passedOn(id, data) });
  });
}

function loop(): void {
  process.stdin.resume().once("close", () => process.exit());
  const [project = "", queue = ""] = process.argv.slice(2);
  const worker = fork(process.argv[1] ?? "", { serialization: "advanced" });
  const client = new PubSub({ projectId: project });
  const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
  const inHand = new Map<number, { readonly message: Message; readonly counted: Count }>();
  let received = 0;
  client.subscription(queue, { flowControl: { maxMessages: 2_000 } }).on("message", (message) => {
    received += 1;
    inHand.set(received, { message, counted: count(message) });
    worker.send({ n: received, id: message.id, data: message.data });
  });
  worker.on("message", ({ n, data, attributes }: Answer) => {
    const work = inHand.get(n);
    if (work === undefined) return;
    inHand.delete(n);
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
