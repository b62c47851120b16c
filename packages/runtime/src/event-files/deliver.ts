import { type FileHandle, open } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { FileOutput } from "@klio/config/effective";
import type { Delivered, DeliverRequest, DoneRecord } from "../batch/records.js";
import type { TextFiles } from "./text-files.js";

/** Where in the journal the records of elements lie, in the order of the elements. */
interface Index {
  /** Element, offset, length; three numbers a record. */
  readonly places: readonly (readonly [n: number, offset: number, length: number])[];
  /** How many lines each output has. */
  readonly lines: ReadonlyMap<string, number>;
  readonly dead: number;
}

/**
 * Puts the text files of a finished run together from its journal, in the order of the input. Each file is whole or absent;
 * doing it once more gives the same files.
 */
export async function deliver(request: DeliverRequest, texts: TextFiles): Promise<Delivered> {
  const journal = await open(request.journal, "r");
  try {
    const index = await indexOf(journal);
    const files: string[] = [];
    for (const output of request.outputs) files.push(...(await deliverOutput(output, journal, index, texts)));
    if (request.deadLetters === undefined || index.dead === 0) return { files };
    await texts.write(request.deadLetters, deadLines(journal, index), false);
    return { files, deadLetters: request.deadLetters };
  } finally {
    await journal.close();
  }
}

async function deliverOutput(
  output: FileOutput,
  journal: FileHandle,
  index: Index,
  texts: TextFiles,
): Promise<string[]> {
  const { location, file_name_suffix: suffix, num_shards: shards } = output;
  const count = index.lines.get(output.name) ?? 0;
  const gzip = output.compression_type === "gzip" || (output.compression_type === "auto" && suffix.endsWith(".gz"));
  const lines = linesOf(output.name, journal, index);
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

async function* linesOf(output: string, journal: FileHandle, index: Index): AsyncGenerator<string> {
  for await (const { lines = [] } of records(journal, index)) {
    for (const [name, line] of lines) if (name === output) yield line;
  }
}

async function* deadLines(journal: FileHandle, index: Index): AsyncGenerator<string> {
  for await (const { dead } of records(journal, index)) if (dead !== undefined) yield JSON.stringify(dead);
}

async function* records(journal: FileHandle, index: Index): AsyncGenerator<DoneRecord> {
  for (const [, offset, length] of index.places) {
    const { buffer } = await journal.read(Buffer.alloc(length), 0, length, offset);
    yield JSON.parse(buffer.toString()) as DoneRecord;
  }
}

async function indexOf(journal: FileHandle): Promise<Index> {
  const places: [number, number, number][] = [];
  const lines = new Map<string, number>();
  let dead = 0;
  let offset = 0;
  const source = journal.createReadStream({ start: 0, autoClose: false });
  for await (const text of createInterface({ input: source, crlfDelay: Infinity })) {
    const length = Buffer.byteLength(text);
    const record = JSON.parse(text) as DoneRecord;
    places.push([record.n, offset, length]);
    for (const [name] of record.lines ?? []) lines.set(name, (lines.get(name) ?? 0) + 1);
    if (record.dead !== undefined) dead += 1;
    offset += length + 1;
  }
  return { places: places.sort(([a], [b]) => a - b), lines, dead };
}
