import type { Bucket } from "@google-cloud/storage";
import { expect } from "vitest";
import { type Cases, type Context, namesIn, refused, save, textOf } from "../context.js";

const versioned = (c: Context) => c.bucket({ versioning: { enabled: true } });

async function versionsOf(bucket: Bucket) {
  const [files] = await bucket.getFiles({ versions: true });
  const versions = files.map((f) => ({
    generation: String(f.metadata.generation),
    live: (f.metadata as { timeDeleted?: string }).timeDeleted === undefined,
  }));
  return versions.sort((a, b) => a.generation.localeCompare(b.generation));
}

export const versionCases = {
  versions: async (c) => {
    const bucket = await versioned(c);
    const first = await save(bucket, "a/song", "one");
    const second = await save(bucket, "a/song", "two");
    expect(await versionsOf(bucket)).toEqual([
      { generation: first, live: false },
      { generation: second, live: true },
    ]);
    expect(await namesIn(bucket)).toEqual(["a/song"]);
    expect([await textOf(bucket, "a/song"), await textOf(bucket, "a/song", first)]).toEqual(["two", "one"]);
    await bucket.file("a/song").delete();
    expect(await namesIn(bucket)).toEqual([]);
    await refused(bucket.file("a/song").getMetadata(), 404);
    expect((await versionsOf(bucket)).map((v) => v.live)).toEqual([false, false]);
    expect(await textOf(bucket, "a/song", second)).toBe("two");
    await refused(bucket.delete(), 409);
    // Page by page, versions of one object on two pages.
    const [page, next] = await bucket.getFiles({ versions: true, maxResults: 1, autoPaginate: false });
    const [rest] = await bucket.getFiles({ ...next, versions: true, autoPaginate: false });
    expect([...page, ...rest].map((f) => String(f.metadata.generation)).sort()).toEqual([first, second]);
    // A bucket that does not ask for it keeps none.
    const plain = await c.bucket();
    const lost = await save(plain, "x", "one");
    await save(plain, "x", "two");
    await refused(plain.file("x", { generation: lost }).getMetadata(), 404);
  },

  "versions-deleted": async (c) => {
    const bucket = await versioned(c);
    const first = await save(bucket, "song", "one");
    const second = await save(bucket, "song", "two");
    await bucket.file("song", { generation: first }).delete();
    expect(await versionsOf(bucket)).toEqual([{ generation: second, live: true }]);
    await refused(bucket.file("song", { generation: first }).delete(), 404);
    await bucket.file("song", { generation: second }).delete();
    expect(await versionsOf(bucket)).toEqual([]);
    await bucket.delete();
  },

  "versions-restored": async (c) => {
    const bucket = await versioned(c);
    const first = await save(bucket, "song", "one", { metadata: { take: "1" } });
    await save(bucket, "song", "two");
    await bucket.file("song", { generation: first }).copy(bucket.file("song"));
    expect(await textOf(bucket, "song")).toBe("one");
    expect((await bucket.file("song").getMetadata())[0].metadata).toEqual({ take: "1" });
    expect(await versionsOf(bucket)).toHaveLength(3);
    const patched = await c.api("PATCH", `b/${bucket.name}/o/song?generation=${first}`, { metadata: { take: "0" } });
    expect(patched.json()).toMatchObject({ generation: first, metageneration: "2", metadata: { take: "0" } });
  },

  "soft-delete": async (c) => {
    const week = 7 * 86_400;
    const bucket = await c.bucket({ softDeletePolicy: { retentionDurationSeconds: week } });
    const generation = await save(bucket, "song", "soft", { metadata: { k: "v" } });
    await bucket.file("song").delete();
    expect(await namesIn(bucket)).toEqual([]);
    await refused(bucket.file("song").getMetadata(), 404);
    const [deleted] = await bucket.getFiles({ softDeleted: true });
    expect(deleted.map((f) => [f.name, String(f.metadata.generation)])).toEqual([["song", generation]]);
    const [metadata] = await bucket
      .file("song", { generation })
      .getMetadata({ softDeleted: true, generation: Number(generation) });
    const { softDeleteTime = "", hardDeleteTime = "" } = metadata as {
      softDeleteTime?: string;
      hardDeleteTime?: string;
    };
    expect(Date.parse(hardDeleteTime) - Date.parse(softDeleteTime)).toBe(week * 1_000);
    await bucket.file("song").restore({ generation: Number(generation) });
    expect(await textOf(bucket, "song")).toBe("soft");
    const [restored] = await bucket.file("song").getMetadata();
    expect(restored.metadata).toEqual({ k: "v" });
    expect(BigInt(restored.generation ?? 0)).toBeGreaterThan(BigInt(generation));
    await refused(bucket.file("song").restore({ generation: 1 }), 404);
    await bucket.file("song").delete();
    await bucket.delete();
  },
} satisfies Cases;
