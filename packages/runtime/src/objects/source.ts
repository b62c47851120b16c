import type { UploadSource } from "../api/context.js";

/** All bytes of a source, in memory. */
export async function bytesOf(source: UploadSource): Promise<Uint8Array> {
  if (typeof source === "string") return Buffer.from(source);
  if (source instanceof Uint8Array) return source;
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}
