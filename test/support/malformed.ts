import { encodeMessage, requestMessage } from "@klio/runtime/message";

/** Bytes that are a KlioMessage, to be spoilt. */
function valid(random: () => number): Buffer {
  const message = requestMessage({ element: `ok-${"x".repeat(100)}-${Math.floor(random() * 1e6)}` });
  return encodeMessage(message);
}

function randomBytes(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

/** A field of protocol buffers: tag, length, bytes. */
function field(tag: number, content: Buffer): Buffer {
  return Buffer.concat([Buffer.from([(tag << 3) | 2, content.length]), content]);
}

// klio.proto: data is field 2 of a KlioMessage, element field 1 of it. 0x0f is a tag of wire type 7, which there is not.
const spoilers: readonly ((random: () => number) => Buffer)[] = [
  () => Buffer.alloc(0),
  (random) => Buffer.concat([Buffer.from([0x0f]), randomBytes(Math.floor(random() * 500), random)]),
  // The element takes more than half of the bytes: a cut there goes through it.
  (random) => {
    const bytes = valid(random);
    return bytes.subarray(0, Math.floor(bytes.length * (0.5 + random() / 4)));
  },
  (random) => Buffer.concat([valid(random), Buffer.from([0x0f]), randomBytes(20, random)]),
  () => encodeMessage(requestMessage({ element: "" })),
  (random) => field(2, field(1, Buffer.concat([Buffer.from([0xff, 0xfe]), randomBytes(10, random)]))),
  // A length of 4 GiB, of more bytes than a number has, and a group that never ends.
  () => Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]),
  () => Buffer.from([0x12, ...Array.from({ length: 20 }, () => 0xff)]),
  () => Buffer.from(Array.from({ length: 5_000 }, () => 0x0b)),
  (random) => Buffer.from(JSON.stringify({ element: `ok-${Math.floor(random() * 1e6)}` })),
];

/** Bytes that are no KlioMessage that names an element, one kind after the other. */
export function malformed(n: number, random: () => number): Buffer[] {
  return Array.from({ length: n }, (_, i) => spoilers[i % spoilers.length]?.(random) ?? Buffer.alloc(0));
}

/** A KlioMessage with a few bytes changed, put in or taken out: it may be good for something still. */
export function mutated(random: () => number): Buffer {
  let bytes = valid(random);
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes -= 1) {
    const at = Math.floor(random() * bytes.length);
    const put = randomBytes(Math.floor(random() * 3), random);
    bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + Math.floor(random() * 3))]);
  }
  return bytes;
}
