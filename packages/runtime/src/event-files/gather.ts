import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { ElementRecord, Gathered, GatherRequest } from "../batch/records.js";
import { jsonLine } from "../json-line.js";
import { linesOf } from "./lines.js";
import type { TextFiles } from "./text-files.js";

/** Writes down every element of the event files, in their order, so that a run can go on where it was interrupted. */
export async function gather(request: GatherRequest, texts: TextFiles): Promise<Gathered> {
  const digest = createHash("sha256");
  const files: string[] = [];
  let total = 0;
  let blank = 0;
  async function* records() {
    for (const input of request.inputs) {
      for (const file of await texts.list(input.location)) {
        files.push(file);
        let line = 0;
        for await (const bytes of linesOf(file, await texts.open(file), input.compression_type)) {
          line += 1;
          if (line <= input.skip_header_lines) continue;
          if (bytes.length === 0) {
            blank += 1;
            continue;
          }
          const record: ElementRecord = { input: input.name, file: files.length - 1, line, ...elementOf(bytes) };
          const text = jsonLine(record);
          digest.update(file).update(text);
          total += 1;
          yield text;
        }
      }
    }
  }
  await pipeline(records, createWriteStream(request.elements));
  return { files, total, blank, digest: digest.digest("hex") };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function elementOf(bytes: Buffer): { element: string } | { bytes: string } {
  try {
    return { element: utf8.decode(bytes) };
  } catch {
    return { bytes: bytes.toString("base64") };
  }
}
