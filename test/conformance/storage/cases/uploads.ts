import { createHash } from "node:crypto";
import { expect } from "vitest";
import { type Cases, refused, textOf } from "../context.js";

const quarter = 256 * 1024;
const large = Buffer.alloc(3 * quarter + 1, "klio");

export const uploadCases = {
  "upload-media": async (c) => {
    const bucket = await c.bucket();
    const answer = await c.request(`/upload/storage/v1/b/${bucket.name}/o?uploadType=media&name=a%2Fb.txt`, {
      method: "POST",
      headers: { "content-type": "text/x-klio" },
      body: "bytes alone",
    });
    expect(answer.status).toBe(200);
    expect(answer.json()).toMatchObject({ name: "a/b.txt", size: "11", contentType: "text/x-klio" });
    expect(await textOf(bucket, "a/b.txt")).toBe("bytes alone");
  },

  "upload-multipart": async (c) => {
    const bucket = await c.bucket();
    const metadata = { contentType: "audio/wav", metadata: { take: "1" } };
    await bucket.file("client").save(large, { resumable: false, metadata });
    expect((await bucket.file("client").download())[0].equals(large)).toBe(true);
    expect((await bucket.file("client").getMetadata())[0]).toMatchObject(metadata);
    // The boundary may be quoted, the lines may end in LF, and the bytes may look like a boundary.
    for (const [name, eol, quote] of [
      ["crlf", "\r\n", '"'],
      ["lf", "\n", "'"], // as gcloud writes them
    ] as const) {
      const data = `--==x${eol}--==xyz--${eol}--`;
      const body = [
        "--==xyz==",
        "content-type: application/json",
        "",
        JSON.stringify({ name }),
        "--==xyz==",
        "content-type: text/plain",
        "",
        data,
        "--==xyz==--",
        "",
      ].join(eol);
      const headers = { "content-type": `multipart/related; boundary=${quote}==xyz==${quote}` };
      const answer = await c.request(`/upload/storage/v1/b/${bucket.name}/o?uploadType=multipart`, {
        method: "POST",
        headers,
        body,
      });
      expect(answer.json()).toMatchObject({ name, contentType: "text/plain" });
      expect(await textOf(bucket, name)).toBe(data);
    }
  },

  "upload-resumable": async (c) => {
    const bucket = await c.bucket();
    await bucket.file("whole").save(large, { resumable: true, contentType: "audio/wav" });
    expect((await bucket.file("whole").download())[0].equals(large)).toBe(true);
    expect((await bucket.file("whole").getMetadata())[0].contentType).toBe("audio/wav");
  },

  "upload-chunks": async (c) => {
    const bucket = await c.bucket();
    await bucket.file("chunks").save(large, { resumable: true, chunkSize: quarter });
    expect((await bucket.file("chunks").download())[0].equals(large)).toBe(true);
  },

  "upload-resumed": async (c) => {
    const bucket = await c.bucket();
    const location = await c.begin(bucket, "resumed");
    const first = await c.put(location, `bytes 0-${quarter - 1}/*`, large.subarray(0, quarter));
    expect(first.status).toBe(308);
    expect(first.headers["range"]).toBe(`bytes=0-${quarter - 1}`);
    // What was sent already may come again.
    const again = await c.put(location, `bytes 0-${2 * quarter - 1}/*`, large.subarray(0, 2 * quarter));
    expect(again.headers["range"]).toBe(`bytes=0-${2 * quarter - 1}`);
    const last = large.subarray(2 * quarter);
    const done = await c.put(location, `bytes ${2 * quarter}-${large.length - 1}/${large.length}`, last);
    expect(done.json()).toMatchObject({ name: "resumed", size: String(large.length) });
    expect((await bucket.file("resumed").download())[0].equals(large)).toBe(true);
  },

  "upload-status": async (c) => {
    const bucket = await c.bucket();
    const location = await c.begin(bucket, "asked");
    const nothing = await c.put(location, "bytes */*");
    expect([nothing.status, nothing.headers["range"]]).toEqual([308, undefined]);
    await c.put(location, `bytes 0-${quarter - 1}/*`, large.subarray(0, quarter));
    const some = await c.put(location, `bytes */${large.length}`);
    expect([some.status, some.headers["range"]]).toEqual([308, `bytes=0-${quarter - 1}`]);
    expect((await bucket.file("asked").exists())[0]).toBe(false);
    await c.put(location, `bytes ${quarter}-${large.length - 1}/${large.length}`, large.subarray(quarter));
    for (const range of ["bytes */*", `bytes */${large.length}`]) {
      const done = await c.put(location, range);
      expect(done.status).toBe(200);
      expect(done.json()).toMatchObject({ name: "asked", size: String(large.length) });
    }
  },

  "upload-cancelled": async (c) => {
    const bucket = await c.bucket();
    const location = await c.begin(bucket, "cancelled");
    await c.put(location, `bytes 0-${quarter - 1}/*`, large.subarray(0, quarter));
    const cancelled = await c.request(location, { method: "DELETE", headers: { "content-length": "0" } });
    expect(cancelled.status).toBe(499);
    const after = await c.put(
      location,
      `bytes ${quarter}-${large.length - 1}/${large.length}`,
      large.subarray(quarter),
    );
    expect([404, 410, 499]).toContain(after.status);
    expect((await bucket.file("cancelled").exists())[0]).toBe(false);
  },

  "upload-gap": async (c) => {
    const bucket = await c.bucket();
    const location = await c.begin(bucket, "gap");
    const answer = await c.put(location, `bytes ${quarter}-${2 * quarter - 1}/*`, large.subarray(quarter, 2 * quarter));
    expect(answer.status).toBe(503);
    const whole = await c.put(location, `bytes 0-${large.length - 1}/${large.length}`, large);
    expect(whole.status).toBe(200);
  },

  "upload-location": async (c) => {
    const bucket = await c.bucket();
    const port = new URL(c.url).port;
    const location = await c.begin(bucket, "host", { host: `localhost:${port}` });
    expect(new URL(location).host).toBe(`localhost:${port}`);
  },

  "upload-empty": async (c) => {
    const bucket = await c.bucket();
    for (const resumable of [true, false]) {
      const file = bucket.file(`empty ${resumable}`);
      await file.save("", { resumable });
      expect((await file.getMetadata())[0]).toMatchObject({ size: "0", crc32c: "AAAAAA==" });
      expect((await file.download())[0]).toHaveLength(0);
    }
  },

  "checksums-returned": async (c) => {
    const bucket = await c.bucket();
    for (const resumable of [true, false]) {
      const file = bucket.file(`sums ${resumable}`);
      await file.save("123456789", { resumable });
      const [{ md5Hash, crc32c }] = await file.getMetadata();
      expect(md5Hash).toBe(createHash("md5").update("123456789").digest("base64"));
      expect(Buffer.from(crc32c ?? "", "base64").toString("hex")).toBe("e3069283"); // the check value of CRC-32C
    }
  },

  "checksums-verified": async (c) => {
    const bucket = await c.bucket();
    const wrongMd5 = Buffer.alloc(16).toString("base64");
    const wrong = [{ md5Hash: wrongMd5 }, { crc32c: "AAAAAA==" }];
    for (const metadata of wrong) {
      await refused(bucket.file("wrong").save("x", { resumable: false, validation: false, metadata }), 400);
    }
    for (const hash of [`md5=${wrongMd5}`, "crc32c=AAAAAA=="]) {
      const answer = await c.request(`/upload/storage/v1/b/${bucket.name}/o?uploadType=media&name=wrong`, {
        method: "POST",
        headers: { "x-goog-hash": hash },
        body: "x",
      });
      expect(answer.status).toBe(400);
      const location = await c.begin(bucket, "wrong");
      const last = await c.request(location, { method: "PUT", headers: { "x-goog-hash": hash }, body: "x" });
      expect(last.status).toBe(400);
    }
    expect((await bucket.file("wrong").exists())[0]).toBe(false);
    await bucket.file("right").save("x", { resumable: false, validation: "md5" });
    await bucket.file("right").save("x", { resumable: true, validation: "crc32c" });
  },
} satisfies Cases;
