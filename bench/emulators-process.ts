import { startPubSub, startStorage } from "@klio/emulators";

// The emulators of a benchmark, in a process of their own: what they use is nobody else's. Told `root` (of objects) and perhaps
// `directory` (of messages); says where they are, then answers every message with how often each event happened to each resource. A number
// is for how many milliseconds Cloud Storage holds every answer back from then on.
process.stdin.resume().once("close", () => process.exit());
const [root = "", directory = ""] = process.argv.slice(2);
const counts: Record<string, number> = {};
const pubsub = await startPubSub({
  ...(directory === "" ? {} : { directory }),
  observe: ({ kind, resource }) => {
    const key = `${kind} ${resource}`;
    counts[key] = (counts[key] ?? 0) + 1;
  },
});
const storage = await startStorage({ root });
process.on("message", (question) => {
  if (typeof question === "number") storage.setFaults({ delayReply: question > 0 ? 1 : 0, delayMs: question });
  process.send?.(counts);
});
process.send?.({ pubsub: pubsub.address, storage: storage.url });
