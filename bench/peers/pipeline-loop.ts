import { createHash } from "node:crypto";
import { crc32c } from "@node-rs/crc32";
import { PubSub } from "@google-cloud/pubsub";
import { type CRC32CValidator, Storage } from "@google-cloud/storage";

// The peer of the pipeline job: a loop by hand on the official clients. Checksums by native code, as the Storage client's reference
// advises (crc32cGenerator; its own is table-driven JavaScript), and one request for a small object (resumable: false).
process.stdin.resume().once("close", () => process.exit());
const [project = "", queue = "", inputs = "", outputs = "", concurrency = ""] = process.argv.slice(2);

class Crc32c implements CRC32CValidator {
  #crc = 0;

  update(data: Buffer): void {
    this.#crc = crc32c(data, this.#crc);
  }

  validate(value: string): boolean {
    return value === this.toString();
  }

  toString(): string {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(this.#crc);
    return bytes.toString("base64");
  }
}

const storage = new Storage({
  projectId: project,
  apiEndpoint: process.env["STORAGE_EMULATOR_HOST"] ?? "",
  crc32cGenerator: () => new Crc32c(),
});
const client = new PubSub({ projectId: project });
const output = client.topic(`${queue}-out`, { batching: { maxMessages: 1_000, maxMilliseconds: 10 } });
const flowControl = { maxMessages: Number(concurrency), allowExcessMessages: false };
client.subscription(queue, { flowControl }).on("message", (message) => {
  const element = message.data.toString();
  const run = async () => {
    const [bytes] = await storage.bucket(inputs).file(element).download();
    const digest = createHash("sha256").update(bytes).digest("hex");
    await storage
      .bucket(outputs)
      .file(`${queue}/${element}`)
      .save(digest, { resumable: false, contentType: "text/plain" });
    await output.publishMessage({ data: Buffer.from(digest) });
  };
  run().then(
    () => {
      message.ack();
    },
    (error: unknown) => {
      process.stderr.write(`${String(error)}\n`);
      message.nack();
    },
  );
});
process.stdout.write("ready\n");
