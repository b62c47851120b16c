import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import { type Cases, refused, save } from "../context.js";

export const bucketCases = {
  "bucket-create": async (c) => {
    const name = `b-${randomUUID()}`;
    const [bucket] = await c.client.createBucket(name);
    await refused(c.client.createBucket(name), 409);
    const [metadata] = await bucket.getMetadata();
    expect(metadata).toMatchObject({ kind: "storage#bucket", name, metageneration: "1" });
    await bucket.delete();
    expect((await bucket.exists())[0]).toBe(false);
    await refused(bucket.getMetadata(), 404);
    await refused(bucket.delete(), 404);
    await refused(bucket.file("x").save("x", { resumable: false }), 404);
    await refused(bucket.getFiles(), 404);
  },

  "bucket-list": async (c) => {
    const prefix = `l-${randomUUID()}`;
    for (const end of ["c", "a", "b"]) await c.client.createBucket(`${prefix}-${end}`);
    const wanted = ["a", "b", "c"].map((end) => `${prefix}-${end}`);
    const [all] = await c.client.getBuckets({ prefix });
    expect(all.map((b) => b.name)).toEqual(wanted);
    const [first, next] = await c.client.getBuckets({ prefix, maxResults: 2, autoPaginate: false });
    expect(first.map((b) => b.name)).toEqual(wanted.slice(0, 2));
    const [second, end] = await c.client.getBuckets({ ...next, autoPaginate: false });
    expect(second.map((b) => b.name)).toEqual(wanted.slice(2));
    expect(end).toBeNull();
  },

  "bucket-patch": async (c) => {
    const bucket = await c.bucket({ labels: { team: "audio", stage: "raw" } });
    await bucket.setMetadata({ labels: { team: null, kind: "song" }, versioning: { enabled: true } });
    const [metadata] = await bucket.getMetadata();
    expect(metadata.labels).toEqual({ stage: "raw", kind: "song" });
    expect(metadata).toMatchObject({ versioning: { enabled: true }, metageneration: "2" });
  },

  "bucket-update": async (c) => {
    const bucket = await c.bucket({ labels: { team: "audio" }, storageClass: "NEARLINE", location: "EU" });
    const answer = await c.api("PUT", `b/${bucket.name}`, { labels: { kind: "song" } });
    expect(answer.status).toBe(200);
    const [metadata] = await bucket.getMetadata();
    expect(metadata.labels).toEqual({ kind: "song" });
    expect(metadata).toMatchObject({ storageClass: "STANDARD", location: "EU", metageneration: "2" });
  },

  "bucket-preconditions": async (c) => {
    const bucket = await c.bucket();
    await refused(bucket.setMetadata({ labels: { a: "1" } }, { ifMetagenerationMatch: 7 }), 412);
    await bucket.setMetadata({ labels: { a: "1" } }, { ifMetagenerationMatch: 1 });
    const get = (query: string) => c.api("GET", `b/${bucket.name}?${query}`);
    expect((await get("ifMetagenerationMatch=1")).status).toBe(412);
    expect((await get("ifMetagenerationNotMatch=2")).status).toBe(304);
    expect((await get("ifMetagenerationNotMatch=1")).status).toBe(200);
    expect((await c.api("DELETE", `b/${bucket.name}?ifMetagenerationMatch=1`)).status).toBe(412);
    expect((await c.api("DELETE", `b/${bucket.name}?ifMetagenerationMatch=2`)).status).toBe(204);
  },

  "bucket-not-empty": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "deep/below/object");
    await refused(bucket.delete(), 409);
    await bucket.file("deep/below/object").delete();
    await bucket.delete();
  },

  "bucket-names": async (c) => {
    for (const name of ["Upper", "ab", "goog-bucket", "a_b-", "-ab", "a..b", "x".repeat(64), "a b c", ""]) {
      expect((await c.api("POST", "b?project=conformance-project", { name })).status, name).toBe(400);
    }
    const dotted = `${"x".repeat(60)}.${randomUUID()}`;
    expect((await c.api("POST", "b?project=conformance-project", { name: dotted })).status).toBe(200);
  },
} satisfies Cases;
