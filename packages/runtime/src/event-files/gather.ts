import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import type { ElementRecord, Gathered, GatherRequest } from "../batch/records.js";
import { linesOf } from "./lines.js";
import type { TextFiles } from "./text-files.js";

/** Writes down every element of the event files, in their order, so that a run can go on where it was interrupted. */
export async function gather(request: GatherRequest, texts: TextFiles): Promise<Gathered> {
  const out = createWriteStream(request.elements);
  const digest = createHash("sha256");
  const files: string[] = [];
  let total = 0;
  let blank = 0;
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
        const text = `${JSON.stringify(record)}\n`;
        digest.update(file).update(text);
        total += 1;
        if (!out.write(text)) await once(out, "drain");
      }
    }
  }
  out.end();
  await finished(out);
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
