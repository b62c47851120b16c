import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { createGunzip } from "node:zlib";
import type { StorageFaultSchedule } from "../faults.js";
import type { Media, Reply } from "./call.js";

/** An object of so many bytes is read and sent at once. */
const smallBytes = 256 * 1024;

export interface Sending {
  /** Without a body. */
  readonly isHead: boolean;
  /** Aborted when the connection breaks, or the emulator ends. */
  readonly signal: AbortSignal;
}

/** Sends an answer, and closes the file that it may be of. Rejects when the connection breaks. */
export async function send(response: ServerResponse, reply: Reply, faults: StorageFaultSchedule, how: Sending) {
  const { isHead, signal } = how;
  const { status, headers = {}, media } = reply;
  try {
    if (faults.strikes("delayReply")) await sleep(faults.delayMs, undefined, { signal });
    response.statusCode = status;
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (media === undefined) sendText(response, reply, isHead);
    else if (isHead) response.end();
    else await sendMedia(response, media, faults, signal);
  } finally {
    media?.file.close();
  }
}

function sendText(response: ServerResponse, reply: Reply, isHead: boolean): void {
  const body = reply.json === undefined ? reply.text : JSON.stringify(reply.json);
  if (reply.json !== undefined) response.setHeader("content-type", "application/json; charset=UTF-8");
  if (body !== undefined) response.setHeader("content-length", Buffer.byteLength(body));
  response.end(isHead ? undefined : body);
}

async function sendMedia(response: ServerResponse, media: Media, faults: StorageFaultSchedule, signal: AbortSignal) {
  const { file, first, last, unpack } = media;
  const broken = brokenBody(response, faults, signal);
  const asStored = !unpack && broken.length === 0;
  if (asStored && last - first < smallBytes) {
    response.end(file.read(first, last));
  } else if (asStored) {
    await file.sendTo(response, first, last, signal);
    response.end();
  } else {
    const bytes = last < first ? Readable.from([]) : file.stream(first, last);
    const steps: readonly unknown[] = [bytes, ...(unpack ? [createGunzip()] : []), ...broken, response];
    // The declaration leaves out generators. One in a Duplex would never settle when its client goes away amid its bytes.
    await pipeline(steps as readonly NodeJS.ReadWriteStream[], { signal });
  }
}

type Step = (source: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>;

/** What a fault makes of an object's bytes. Nothing when none strikes. */
function brokenBody(response: ServerResponse, faults: StorageFaultSchedule, signal: AbortSignal): readonly Step[] {
  const { afterBytes, stallMs } = faults;
  if (faults.strikes("resetDownload")) {
    return [cut(afterBytes, () => response.socket?.resetAndDestroy())];
  }
  if (faults.strikes("truncateDownload")) {
    // With a length the client would see that bytes are missing.
    response.removeHeader("content-length");
    return [cut(afterBytes, () => undefined)];
  }
  if (faults.strikes("corruptDownload")) return [corrupted];
  if (faults.strikes("stallDownload"))
    return [(source) => stalled(source, afterBytes, () => sleep(stallMs, undefined, { signal }))];
  return [];
}

/**
 * The first bytes of a body, at the end of which something happens; the last one is missing in any case. What follows is read and
 * left out, as a stream that is not read to its end holds up the others.
 */
function cut(after: number, happens: () => void): Step {
  return async function* (source) {
    let room = after;
    let held = Buffer.alloc(0); // one byte, until another one has come
    let over = false;
    for await (const chunk of source) {
      if (over) continue;
      const bytes = Buffer.concat([held, chunk]);
      const given = Math.min(room, bytes.length - 1);
      if (given > 0) yield bytes.subarray(0, given);
      room -= given;
      held = bytes.subarray(given);
      over = room === 0;
      if (over) happens();
    }
    if (!over) happens();
  };
}

async function* corrupted(source: AsyncIterable<Buffer>) {
  let done = false;
  for await (const chunk of source) {
    if (!done && chunk.length > 0) {
      chunk[0] = (chunk[0] ?? 0) ^ 0xff;
      done = true;
    }
    yield chunk;
  }
}

async function* stalled(source: AsyncIterable<Buffer>, after: number, stall: () => Promise<unknown>) {
  let room = after;
  for await (const chunk of source) {
    if (room <= 0 || chunk.length <= room) {
      yield chunk;
      room -= chunk.length;
      continue;
    }
    yield chunk.subarray(0, room);
    await stall();
    yield chunk.subarray(room);
    room = -1;
  }
  if (room >= 0) await stall();
}
