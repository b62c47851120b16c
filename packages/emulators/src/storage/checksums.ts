import { createHash } from "node:crypto";
import { crc32c } from "@node-rs/crc32";

/** MD5 and CRC32C of a stream of bytes, as the JSON API gives them: base64, the CRC big-endian. */
export class Checksums {
  readonly #md5 = createHash("md5");
  #crc = 0;
  #size = 0;

  /** Bytes seen. */
  get size(): number {
    return this.#size;
  }

  update(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.#md5.update(bytes);
    this.#crc = crc32c(bytes, this.#crc);
    this.#size += bytes.length;
  }

  digest(): { readonly md5Hash: string; readonly crc32c: string } {
    const crc = Buffer.alloc(4);
    crc.writeUInt32BE(this.#crc >>> 0);
    return { md5Hash: this.#md5.digest("base64"), crc32c: crc.toString("base64") };
  }
}
