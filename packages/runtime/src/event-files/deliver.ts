import type { FileOutput } from "@klio/config/effective";
import type { Delivered, DeliverRequest } from "../batch/records.js";
import { JournalReader } from "./journal-reader.js";
import type { TextFiles } from "./text-files.js";

/**
 * Puts the text files of a finished run together from its journal, in the order of the input. Each file is whole or absent;
 * doing it once more gives the same files. A file of dead letters of an earlier run is replaced, or removed.
 */
export async function deliver(request: DeliverRequest, texts: TextFiles): Promise<Delivered> {
  const journal = await JournalReader.open(request.journal, request.elements);
  try {
    const files: string[] = [];
    for (const output of request.outputs) files.push(...(await deliverOutput(output, journal, texts)));
    const { deadLetters } = request;
    if (deadLetters === undefined) return { files };
    if (journal.dead === 0) {
      await texts.remove(deadLetters);
      return { files };
    }
    await texts.write(deadLetters, deadLines(journal), false);
    return { files, deadLetters };
  } finally {
    await journal.close();
  }
}

async function deliverOutput(output: FileOutput, journal: JournalReader, texts: TextFiles): Promise<string[]> {
  const { location, file_name_suffix: suffix, num_shards: shards } = output;
  const count = journal.lines.get(output.name) ?? 0;
  const gzip = output.compression_type === "gzip" || (output.compression_type === "auto" && suffix.endsWith(".gz"));
  const lines = linesOf(output.name, journal);
  const files: string[] = [];
  for (let shard = 0; shard < shards; shard += 1) {
    // https://beam.apache.org/releases/pydoc/current/apache_beam.io.textio.html: -SSSSS-of-NNNNN
    const file = `${location}-${number(shard)}-of-${number(shards)}${suffix}`;
    const share = Math.floor(((shard + 1) * count) / shards) - Math.floor((shard * count) / shards);
    await texts.write(file, framed(output, take(lines, share)), gzip);
    files.push(file);
  }
  return files;
}

const number = (n: number) => String(n).padStart(5, "0");

async function* framed(output: FileOutput, lines: AsyncIterable<string>): AsyncGenerator<string> {
  if (output.header !== undefined) yield output.header;
  yield* lines;
  if (output.footer !== undefined) yield output.footer;
}

/** The next `count` of an iterator, which goes on after them. */
async function* take(lines: AsyncIterator<string>, count: number): AsyncGenerator<string> {
  for (let i = 0; i < count; i += 1) {
    const next = await lines.next();
    if (next.done === true) return;
    yield next.value;
  }
}

async function* linesOf(output: string, journal: JournalReader): AsyncGenerator<string> {
  for await (const { lines = [] } of journal.records()) {
    for (const [name, line] of lines) if (name === output) yield line;
  }
}

async function* deadLines(journal: JournalReader): AsyncGenerator<string> {
  for await (const { dead } of journal.records()) if (dead !== undefined) yield JSON.stringify(dead);
}
