import { randomBytes } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "vitest";
import { type Cases, o, refused, save } from "../context.js";

const media = (bucket: string, name: string) => `/storage/v1/b/${bucket}/o/${o(name)}?alt=media`;

export const downloadCases = {
  "download-whole": async (c) => {
    const bucket = await c.bucket();
    const data = randomBytes(1_500_000);
    await bucket.file("a folder/tone.wav").save(data, { resumable: false });
    expect((await bucket.file("a folder/tone.wav").download())[0].equals(data)).toBe(true);
    const below = await c.request(`/download/storage/v1/b/${bucket.name}/o/${o("a folder/tone.wav")}?alt=media`);
    expect(below.body.equals(data)).toBe(true);
    await refused(bucket.file("none").download(), 404);
  },

  "download-range": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "digits", "0123456789");
    const file = bucket.file("digits");
    expect((await file.download({ start: 2, end: 4 }))[0].toString()).toBe("234");
    const range = (value: string) => c.request(media(bucket.name, "digits"), { headers: { range: value } });
    const middle = await range("bytes=2-4");
    expect([middle.status, middle.headers["content-range"]]).toEqual([206, "bytes 2-4/10"]);
    expect((await range("bytes=7-")).body.toString()).toBe("789");
    expect((await range("bytes=-3")).body.toString()).toBe("789");
    expect((await range("bytes=8-99")).headers["content-range"]).toBe("bytes 8-9/10");
    expect((await range("bytes=10-")).status).toBe(416);
  },

  "download-headers": async (c) => {
    const bucket = await c.bucket();
    const generation = await save(bucket, "headers", "123456789", {
      contentType: "audio/wav",
      cacheControl: "no-cache",
      contentDisposition: "attachment",
      contentLanguage: "da",
    });
    const { headers } = await c.request(media(bucket.name, "headers"));
    expect(headers).toMatchObject({
      "content-type": "audio/wav",
      "content-length": "9",
      "cache-control": "no-cache",
      "content-disposition": "attachment",
      "content-language": "da",
      "x-goog-generation": generation,
      "x-goog-metageneration": "1",
      "x-goog-stored-content-encoding": "identity",
      "x-goog-stored-content-length": "9",
    });
    expect(String(headers["x-goog-hash"])).toMatch(/crc32c=4waSgw==/);
    expect(String(headers["x-goog-hash"])).toMatch(/md5=JfnnlDI7RTiF9RgfG2JNCw==/);
    const head = await c.request(media(bucket.name, "headers"), { method: "HEAD" });
    expect([head.status, head.headers["content-length"], head.body.length]).toEqual([200, "9", 0]);
  },

  "gzip-unpacked": async (c) => {
    const bucket = await c.bucket();
    const text = "unpacked ".repeat(500);
    await save(bucket, "packed", gzipSync(text), { contentEncoding: "gzip", contentType: "text/plain" });
    expect((await bucket.file("packed").download())[0].toString()).toBe(text);
    // A range of what is unpacked on the way is the whole.
    const plain = await c.request(media(bucket.name, "packed"), { headers: { range: "bytes=0-3" } });
    expect(plain.status).toBe(200);
    expect(plain.body.toString()).toBe(text);
    expect(plain.headers["content-encoding"]).toBeUndefined();
    expect(plain.headers["x-goog-stored-content-encoding"]).toBe("gzip");
  },

  "gzip-stored": async (c) => {
    const bucket = await c.bucket();
    const stored = gzipSync("as stored");
    await save(bucket, "packed", stored, { contentEncoding: "gzip" });
    const taken = await c.request(media(bucket.name, "packed"), { headers: { "accept-encoding": "gzip" } });
    expect(taken.headers["content-encoding"]).toBe("gzip");
    expect(taken.body.equals(stored)).toBe(true);
    expect((await bucket.file("packed").download({ decompress: false }))[0].equals(stored)).toBe(true);
    await save(bucket, "fixed", stored, { contentEncoding: "gzip", cacheControl: "no-transform" });
    const fixed = await c.request(media(bucket.name, "fixed"));
    expect(gunzipSync(fixed.body).toString()).toBe("as stored");
  },
} satisfies Cases;
