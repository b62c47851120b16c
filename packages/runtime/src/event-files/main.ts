import type { Delivered, DeliverRequest, EventFilesAnswer, Gathered, GatherRequest } from "../batch/records.js";
import { emulatorUrl } from "../emulator-url.js";
import { jsonLine } from "../json-line.js";
import { deliver } from "./deliver.js";
import { gather } from "./gather.js";
import { EventFileError, TextFiles } from "./text-files.js";

// Reads and writes the text files of a batch job, local or in Cloud Storage: a process of its own, so that the supervisor
// holds no Storage client. Its request is a JSON argument, its answer a line of JSON on stdout; it ends with its parent.

async function main(): Promise<EventFilesAnswer<Gathered | Delivered>> {
  const request = JSON.parse(process.argv[2] ?? "") as GatherRequest | DeliverRequest;
  const texts = new TextFiles(request.project, emulatorUrl(process.env["STORAGE_EMULATOR_HOST"]));
  try {
    return { ok: request.command === "gather" ? await gather(request, texts) : await deliver(request, texts) };
  } catch (error) {
    if (!(error instanceof EventFileError)) throw error;
    return { error: { code: error.code, message: error.message } };
  }
}

process.stdin.resume();
process.stdin.once("close", () => process.exit(1));
main().then(
  (answer) => process.stdout.write(jsonLine(answer), () => process.exit(0)),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`, () =>
      process.exit(1),
    );
  },
);
