import { expect } from "vitest";
import { type Cases, o, save } from "../context.js";

const all = {
  contentType: "audio/wav",
  cacheControl: "no-cache",
  contentDisposition: 'attachment; filename="tön.wav"',
  contentLanguage: "da",
  customTime: "2026-01-02T03:04:05.678Z",
  metadata: { "klio-by": "1,2", ünï: "cødé ✓" },
};

export const metadataCases = {
  metadata: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "full", "x", all);
    const [full] = await bucket.file("full").getMetadata();
    expect(full).toMatchObject({ ...all, kind: "storage#object", bucket: bucket.name, name: "full", size: "1" });
    expect(full.id).toBe(`${bucket.name}/full/${full.generation}`);
    expect(full.mediaLink).toContain(`/download/storage/v1/b/${bucket.name}/o/full?`);
    expect(Date.parse(full.timeCreated ?? "")).toBeGreaterThan(Date.now() - 60_000);
    await save(bucket, "bare", "x");
    const [bare] = await bucket.file("bare").getMetadata();
    for (const key of Object.keys(all).filter((k) => k !== "contentType")) expect(bare).not.toHaveProperty(key);
  },

  "metadata-patch": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "patched", "x", {
      metadata: { a: "1", b: "2" },
      cacheControl: "no-cache",
      contentType: "text/a",
    });
    const [before] = await bucket.file("patched").getMetadata();
    await bucket.file("patched").setMetadata({ metadata: { a: null, c: "3" }, contentLanguage: "da" });
    const [after] = await bucket.file("patched").getMetadata();
    expect(after.metadata).toEqual({ b: "2", c: "3" });
    expect(after).toMatchObject({ cacheControl: "no-cache", contentType: "text/a", contentLanguage: "da" });
    expect(after).toMatchObject({ metageneration: "2", generation: before.generation });
    await bucket.file("patched").setMetadata({ metadata: null as never, cacheControl: null as never });
    const [bare] = await bucket.file("patched").getMetadata();
    expect(bare.metadata).toBeUndefined();
    expect(bare.cacheControl).toBeUndefined();
  },

  "metadata-update": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "updated", "x", { metadata: { a: "1" }, cacheControl: "no-cache" });
    const answer = await c.api("PUT", `b/${bucket.name}/o/updated`, { contentType: "text/b", metadata: { b: "2" } });
    expect(answer.status).toBe(200);
    const [after] = await bucket.file("updated").getMetadata();
    expect(after).toMatchObject({ contentType: "text/b", metageneration: "2" });
    expect(after.metadata).toEqual({ b: "2" });
    expect(after.cacheControl).toBeUndefined();
  },

  fields: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "a", "x", { metadata: { k: "v", l: "w" } });
    const get = async (fields: string) => (await c.api("GET", `b/${bucket.name}/o/a?fields=${o(fields)}`)).json();
    expect(await get("name,size")).toEqual({ name: "a", size: "1" });
    expect(await get("metadata/k")).toEqual({ metadata: { k: "v" } });
    expect(await get("name,metadata(l)")).toEqual({ name: "a", metadata: { l: "w" } });
    const listed = await c.api("GET", `b/${bucket.name}/o?fields=${o("kind,items(name,metadata/k)")}`);
    expect(listed.json()).toEqual({ kind: "storage#objects", items: [{ name: "a", metadata: { k: "v" } }] });
    expect(await get("metadata/k,metadata/l")).toEqual({ metadata: { k: "v", l: "w" } });
    expect((await get("*"))["bucket"]).toBe(bucket.name);
    for (const wrong of ["metadata(", "name)", ",", "metadata/", "metadata(b", "colour", "name/first"]) {
      expect((await c.api("GET", `b/${bucket.name}/o/a?fields=${o(wrong)}`)).status, wrong).toBe(400);
    }
  },
} satisfies Cases;
