import { createHash, randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { expect } from "vitest";
import type { CapabilityId } from "../capabilities.js";
import type { Gcloud } from "../gcloud.js";

const mebi = 1024 * 1024;
const md5 = (data: string | Buffer) => createHash("md5").update(data).digest("base64");

export const gcloudCases: Partial<Record<CapabilityId, (g: Gcloud) => Promise<void>>> = {
  "bucket-create": async (g) => {
    const name = `b-${randomUUID()}`;
    await g.ok("buckets", "create", `gs://${name}`);
    expect(await g.json("buckets", "describe", `gs://${name}`)).toMatchObject({ name, metageneration: 1 });
    const again = await g.run("buckets", "create", `gs://${name}`);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("HTTPError 409");
    await g.ok("buckets", "delete", `gs://${name}`);
    const missing = await g.run("buckets", "describe", `gs://${name}`);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("not found: 404");
  },

  "bucket-patch": async (g) => {
    const bucket = await g.bucket({ labels: { team: "audio", stage: "raw" } });
    await g.ok(
      "buckets",
      "update",
      `gs://${bucket}`,
      "--update-labels=kind=song",
      "--remove-labels=team",
      "--versioning",
    );
    const described = (await g.json("buckets", "describe", `gs://${bucket}`)) as Record<string, unknown>;
    expect(described["labels"]).toEqual({ stage: "raw", kind: "song" });
    expect(described).toMatchObject({ versioning_enabled: true, metageneration: 2 });
  },

  "bucket-not-empty": async (g) => {
    const bucket = await g.bucket();
    await g.save(bucket, "deep/below/object");
    const refused = await g.run("buckets", "delete", `gs://${bucket}`);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("Bucket is not empty");
    expect(await g.names(bucket)).toEqual(["deep/below/object"]);
    await g.ok("rm", "-r", `gs://${bucket}`);
    await expect(g.names(bucket)).rejects.toThrow("404");
  },

  "upload-multipart": async (g) => {
    const bucket = await g.bucket();
    const data = Buffer.concat([Buffer.from("\n--==\r\n\r\n--\n"), randomBytes(100_000), Buffer.from("\r\n")]);
    const file = await g.file("a b.wav", data);
    await g.ok("cp", file, `gs://${bucket}/a folder/`, "--content-type=audio/wav", "--custom-metadata=take=1");
    expect((await g.bytes(bucket, "a folder/a b.wav")).equals(data)).toBe(true);
    const described = { contentType: "audio/wav", metadata: { take: "1" }, size: String(data.length) };
    expect(await g.resource(bucket, "a folder/a b.wav")).toMatchObject(described);
  },

  "upload-resumable": async (g) => {
    const bucket = await g.bucket();
    const data = randomBytes(9 * mebi); // from 8 MiB on the upload is resumable
    await g.ok("cp", await g.file("large", data), `gs://${bucket}/large`, "--content-type=audio/wav");
    expect((await g.bytes(bucket, "large")).equals(data)).toBe(true);
    expect(await g.resource(bucket, "large")).toMatchObject({ contentType: "audio/wav", size: String(data.length) });
  },

  "checksums-returned": async (g) => {
    const bucket = await g.bucket();
    await g.ok("cp", await g.file("sums", "123456789"), `gs://${bucket}/sums`);
    const [hashes] = (await g.json("hash", `gs://${bucket}/sums`)) as Record<string, string>[];
    expect(hashes?.["md5_hash"]).toBe(md5("123456789"));
    expect(Buffer.from(hashes?.["crc32c_hash"] ?? "", "base64").toString("hex")).toBe("e3069283"); // its check value
  },

  "download-whole": async (g) => {
    const bucket = await g.bucket();
    const data = randomBytes(1_500_000);
    await g.save(bucket, "a folder/ü", data);
    await g.save(bucket, "b/c", "two");
    const file = await g.file("back", "");
    await g.ok("cp", `gs://${bucket}/a folder/ü`, file);
    expect((await readFile(file)).equals(data)).toBe(true);
    expect(await g.ok("cat", `gs://${bucket}/b/c`)).toBe("two");
    const missing = await g.run("cat", `gs://${bucket}/none`);
    expect([missing.code, missing.stdout]).toEqual([1, ""]);
  },

  "download-range": async (g) => {
    const bucket = await g.bucket();
    await g.save(bucket, "digits", "0123456789");
    expect(await g.ok("cat", "-r", "2-4", `gs://${bucket}/digits`)).toBe("234");
    expect(await g.ok("cat", "-r", "7-", `gs://${bucket}/digits`)).toBe("789");
    expect(await g.ok("cat", "-r", "-3", `gs://${bucket}/digits`)).toBe("789");
  },

  metadata: async (g) => {
    const bucket = await g.bucket();
    await g.ok(
      "cp",
      await g.file("full", "x"),
      `gs://${bucket}/full`,
      "--content-type=audio/wav",
      "--content-language=da",
      '--content-disposition=attachment; filename="tone.wav"',
      "--cache-control=no-cache",
      "--custom-time=2026-01-02T03:04:05.678Z",
      "--custom-metadata=take=1,Case=kept",
    );
    expect(await g.json("objects", "describe", `gs://${bucket}/full`)).toMatchObject({
      name: "full",
      bucket,
      content_type: "audio/wav",
      content_language: "da",
      content_disposition: 'attachment; filename="tone.wav"',
      cache_control: "no-cache",
      custom_fields: { take: "1", Case: "kept" },
      metageneration: 1,
      size: 1,
    });
    expect(Date.parse(String((await g.resource(bucket, "full"))["customTime"]))).toBe(
      Date.parse("2026-01-02T03:04:05.678Z"),
    );
    await g.save(bucket, "bare", "x");
    const bare = await g.json("objects", "describe", `gs://${bucket}/bare`);
    for (const key of ["content_language", "content_disposition", "cache_control", "custom_time", "custom_fields"]) {
      expect(bare).not.toHaveProperty(key);
    }
  },

  "metadata-patch": async (g) => {
    const bucket = await g.bucket();
    const set = { cacheControl: "no-cache", contentLanguage: "da", metadata: { take: "1", by: "me" } };
    const generation = await g.save(bucket, "patched", "x", set);
    const object = `gs://${bucket}/patched`;
    await g.ok("objects", "update", object, "--clear-cache-control", "--update-custom-metadata=take=2,new=3");
    const patched = await g.resource(bucket, "patched");
    expect(patched).toMatchObject({ contentLanguage: "da", metadata: { take: "2", by: "me", new: "3" }, generation });
    expect([patched["cacheControl"], patched["metageneration"]]).toEqual([undefined, "3"]);
    await g.ok("objects", "update", object, "--custom-metadata=by=you", "--content-type=audio/ogg");
    expect(await g.json("objects", "describe", object)).toMatchObject({
      content_type: "audio/ogg",
      custom_fields: { by: "you" },
      metageneration: 4,
    });
  },

  "list-prefix": async (g) => {
    const bucket = await g.bucket();
    for (const name of ["😀", "～", "b", "a/b/c", "a/b", "a b", "B"]) await g.save(bucket, name, "x");
    const urls = (...names: readonly string[]) => names.map((name) => `gs://${bucket}/${name}`);
    expect(await g.lines("ls", `gs://${bucket}/**`)).toEqual(urls("B", "a b", "a/b", "a/b/c", "b", "～", "😀"));
    expect(await g.lines("ls", `gs://${bucket}/a/**`)).toEqual(urls("a/b", "a/b/c"));
    expect(await g.run("ls", `gs://${bucket}/z*`)).toMatchObject({ code: 1, stdout: "" });
  },

  "list-delimiter": async (g) => {
    const bucket = await g.bucket();
    for (const name of ["a", "a/1", "a/2/3", "b/4"]) await g.save(bucket, name, "x");
    const urls = (...names: readonly string[]) => names.map((name) => `gs://${bucket}/${name}`);
    expect((await g.lines("ls", `gs://${bucket}`)).sort()).toEqual(urls("a", "a/", "b/"));
    expect((await g.lines("ls", `gs://${bucket}/a/`)).sort()).toEqual(urls("a/1", "a/2/"));
    const all = urls(":", "a", "a/1", "a/2/3", "a/2/:", "a/:", "b/4", "b/:");
    expect((await g.lines("ls", "-r", `gs://${bucket}`)).sort()).toEqual(all);
  },

  copy: async (g) => {
    const [from, to] = [await g.bucket(), await g.bucket()];
    const set = { contentType: "text/x-klio", cacheControl: "no-cache", metadata: { k: "v" } };
    await g.save(from, "a/source", "copied", set);
    await g.ok("cp", `gs://${from}/a/source`, `gs://${to}/same`);
    expect(await g.resource(to, "same")).toMatchObject({ ...set, metageneration: "1", md5Hash: md5("copied") });
    await g.ok("cp", `gs://${from}/a/source`, `gs://${to}/other`, "--content-type=text/other");
    expect(await g.resource(to, "other")).toMatchObject({ ...set, contentType: "text/other" });
    await g.ok("mv", `gs://${from}/a/source`, `gs://${from}/b/moved`);
    expect(await g.names(from)).toEqual(["b/moved"]);
    expect(await g.resource(from, "b/moved")).toMatchObject(set);
    const texts = [await g.bytes(to, "same"), await g.bytes(to, "other"), await g.bytes(from, "b/moved")];
    expect(texts.map(String)).toEqual(["copied", "copied", "copied"]);
  },

  compose: async (g) => {
    const bucket = await g.bucket();
    const data = randomBytes(3 * mebi + 1);
    const uploaded = await g.runWith(
      {
        STORAGE_PARALLEL_COMPOSITE_UPLOAD_ENABLED: "true",
        STORAGE_PARALLEL_COMPOSITE_UPLOAD_THRESHOLD: "1M",
        STORAGE_PARALLEL_COMPOSITE_UPLOAD_COMPONENT_SIZE: "1M",
        STORAGE_RESUMABLE_THRESHOLD: "512K", // gcloud removes parts of resumable uploads alone
      },
      "cp",
      await g.file("parts", data),
      `gs://${bucket}/whole`,
    );
    expect([uploaded.code, uploaded.code === 0 ? "" : uploaded.stderr]).toEqual([0, ""]);
    const whole = await g.resource(bucket, "whole");
    expect(whole).toMatchObject({ componentCount: 4, size: String(data.length) });
    expect(whole).not.toHaveProperty("md5Hash");
    expect((await g.bytes(bucket, "whole")).equals(data)).toBe(true);
    expect(await g.names(bucket)).toEqual(["whole"]);
    await g.save(bucket, "end", "end");
    await g.ok("objects", "compose", `gs://${bucket}/whole`, `gs://${bucket}/end`, `gs://${bucket}/more`);
    expect(await g.resource(bucket, "more")).toMatchObject({ componentCount: 5, size: String(data.length + 3) });
  },

  delete: async (g) => {
    const bucket = await g.bucket();
    for (const name of ["a", "a/b", "c/d", "c/e/f"]) await g.save(bucket, name);
    await g.ok("rm", `gs://${bucket}/a`);
    expect(await g.names(bucket)).toEqual(["a/b", "c/d", "c/e/f"]);
    const again = await g.run("rm", `gs://${bucket}/a`);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain("matched no objects");
    await g.ok("rm", "-r", `gs://${bucket}/c`);
    expect(await g.names(bucket)).toEqual(["a/b"]);
  },

  versions: async (g) => {
    const bucket = await g.bucket({ versioning: { enabled: true } });
    const first = await g.save(bucket, "a/song", "one");
    const second = await g.save(bucket, "a/song", "two");
    const urls = (...generations: readonly string[]) => generations.map((n) => `gs://${bucket}/a/song#${n}`);
    expect((await g.lines("ls", "-a", `gs://${bucket}/a/`)).sort()).toEqual(urls(first, second));
    expect(await g.ok("cat", `gs://${bucket}/a/song#${first}`)).toBe("one");
    await g.ok("rm", `gs://${bucket}/a/song`);
    expect(await g.names(bucket)).toEqual([]);
    expect((await g.lines("ls", "-a", `gs://${bucket}/a/`)).sort()).toEqual(urls(first, second));
    const kept = await g.run("buckets", "delete", `gs://${bucket}`);
    expect(kept.stderr).toContain("Bucket is not empty");
    await g.ok("rm", "-r", `gs://${bucket}`);
    await expect(g.names(bucket)).rejects.toThrow("404");
  },
};
