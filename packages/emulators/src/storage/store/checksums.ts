import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import type * as Crc32 from "@node-rs/crc32";

const require = createRequire(import.meta.url);

/** Loaded with the first object: native code takes 3 MiB, and whoever runs Pub/Sub alone needs none of it. */
function crc32c(bytes: Buffer, crc: number): number {
  return (require("@node-rs/crc32") as typeof Crc32).crc32c(bytes, crc);
}

export interface Digests {
  /** Base64. */
  readonly md5Hash: string;
  /** Base64, big-endian. */
  readonly crc32c: string;
}

/** MD5 and CRC32C of a stream of bytes, as the JSON API gives them. */
export class Checksums {
  readonly #md5 = createHash("md5");
  #crc = 0;

  update(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#md5.update(bytes);
    this.#crc = crc32c(bytes, this.#crc);
  }

  /** At the end: no more bytes can be added. */
  digest(): Digests {
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(this.#crc >>> 0);
    return { md5Hash: this.#md5.digest("base64"), crc32c: crc.toString("base64") };
  }
}
