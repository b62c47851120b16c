import { Crc32c, crc32cText } from "../crc32c.js";
import { combineCrc32c } from "../crc32c-combine.js";
import type { ObjectPath, ReadOptions } from "../store.js";
import type { GcsClient } from "./client.js";
import { GcsReader, type ObjectHead } from "./reader.js";

/** Takes the bytes at an offset, in any order. */
export type Target = (chunk: Buffer, at: number) => void | Promise<void>;

interface Part {
  readonly from: number;
  readonly to: number;
}

/**
 * An object's bytes as they are stored, whole and verified, a large one in parts side by side. `prepare` is called with what is
 * known before the first byte comes, and again when the bytes were wrong and come anew.
 */
export async function download(
  client: GcsClient,
  path: ObjectPath,
  signal: AbortSignal,
  options: ReadOptions,
  prepare: (head: ObjectHead) => Target | Promise<Target>,
): Promise<ObjectHead> {
  for (let left = client.limits.downloads; ;) {
    const reader = await GcsReader.begin(client, path, signal, options);
    try {
      const crc = await readParts(reader, await prepare(reader.head), signal);
      const { crc32c } = reader.head;
      if (crc32c === undefined || crc32cText(crc) === crc32c) return reader.head;
    } finally {
      reader.close();
    }
    left -= 1;
    if (left === 0) throw reader.checksumError();
  }
}

/** The CRC-32C of all bytes, which have reached the target. */
async function readParts(reader: GcsReader, target: Target, signal: AbortSignal): Promise<number> {
  const { partBytes, parallel } = reader.client.limits;
  const { size } = reader.head;
  const resumable = reader.head.generation !== undefined;
  const parts = resumable && size > 2 * partBytes ? partsOf(size, partBytes) : [{ from: 0, to: size }];
  const crcs: number[] = [];
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const waiting = parts.entries();
  const work = async () => {
    for (const [n, part] of waiting) crcs[n] = await readPart(reader, part, target, both);
  };
  const working = Array.from({ length: Math.min(parallel, parts.length) }, work);
  try {
    await Promise.all(working);
  } catch (error) {
    ended.abort(error);
    throw error;
  } finally {
    // Until then something may still be written to the target.
    await Promise.allSettled(working);
  }
  return parts.reduce((crc, { from, to }, n) => combineCrc32c(crc, crcs[n] ?? 0, to - from), 0);
}

async function readPart(reader: GcsReader, { from, to }: Part, target: Target, signal: AbortSignal): Promise<number> {
  const crc = new Crc32c();
  let at = from;
  for await (const chunk of reader.bytes(from, to, signal)) {
    crc.update(chunk);
    await target(chunk, at);
    at += chunk.length;
  }
  return crc.value;
}

function partsOf(size: number, partBytes: number): readonly Part[] {
  const count = Math.ceil(size / partBytes);
  return Array.from({ length: count }, (_, n) => ({ from: n * partBytes, to: Math.min(size, (n + 1) * partBytes) }));
}
