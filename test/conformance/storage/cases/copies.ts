import { randomBytes } from "node:crypto";
import { expect } from "vitest";
import { type Cases, namesIn, o, refused, save, textOf } from "../context.js";

const mebi = 1024 * 1024;

export const copyCases = {
  copy: async (c) => {
    const bucket = await c.bucket();
    const generation = await save(bucket, "source", "copied", { contentType: "text/x-klio", metadata: { k: "v" } });
    const path = `b/${bucket.name}/o/source/copyTo/b/${bucket.name}/o`;
    const same = await c.api("POST", `${path}/${o("a/same")}`);
    expect(same.json()).toMatchObject({ name: "a/same", contentType: "text/x-klio", metadata: { k: "v" } });
    expect(BigInt(String(same.json()["generation"]))).toBeGreaterThan(BigInt(generation));
    const other = await c.api("POST", `${path}/other`, { contentType: "text/other" });
    expect(other.json()).toMatchObject({ contentType: "text/other" });
    expect(other.json()).not.toHaveProperty("metadata");
    expect([await textOf(bucket, "a/same"), await textOf(bucket, "other")]).toEqual(["copied", "copied"]);
    expect((await c.api("POST", `b/${bucket.name}/o/none/copyTo/b/${bucket.name}/o/x`)).status).toBe(404);
  },

  rewrite: async (c) => {
    const [from, to] = [await c.bucket(), await c.bucket()];
    await save(from, "source", "rewritten", { contentType: "text/x-klio", metadata: { k: "v" } });
    await from.file("source").copy(to.file("target"));
    expect(await textOf(to, "target")).toBe("rewritten");
    expect((await to.file("target").getMetadata())[0]).toMatchObject({
      contentType: "text/x-klio",
      metadata: { k: "v" },
    });
    await from.file("source").copy(to.file("target"), { metadata: { k: "w" } });
    expect((await to.file("target").getMetadata())[0].metadata).toEqual({ k: "w" });
    await refused(from.file("source").copy(c.client.bucket(`${to.name}-none`).file("x")), 404);
  },

  "rewrite-tokens": async (c) => {
    const bucket = await c.bucket();
    const data = randomBytes(2 * mebi + mebi / 2);
    await save(bucket, "large", data);
    const path = `b/${bucket.name}/o/large/rewriteTo/b/${bucket.name}/o/again?maxBytesRewrittenPerCall=${mebi}`;
    let token = "";
    const bytes: number[] = [];
    for (let done = false; !done;) {
      // Within a class it would be done at once.
      const resource = { storageClass: "NEARLINE" };
      const answer = await c.api("POST", `${path}${token === "" ? "" : `&rewriteToken=${o(token)}`}`, resource);
      expect(answer.status).toBe(200);
      const rewritten = answer.json();
      expect(rewritten).toMatchObject({ kind: "storage#rewriteResponse", objectSize: String(data.length) });
      bytes.push(Number(rewritten["totalBytesRewritten"]));
      done = rewritten["done"] === true;
      expect(rewritten["resource"] === undefined).toBe(!done);
      token = (rewritten["rewriteToken"] ?? "") as string;
      expect(token === "").toBe(done);
    }
    expect(bytes).toEqual([mebi, 2 * mebi, data.length]);
    expect((await bucket.file("again").download())[0].equals(data)).toBe(true);
    expect((await c.api("POST", `${path}&rewriteToken=nonsense`)).status).toBe(400);
    expect((await c.api("POST", path.replace(String(mebi), "1000"))).status).toBe(400);
  },

  compose: async (c) => {
    const bucket = await c.bucket();
    for (const part of ["1", "2", "3"]) await save(bucket, `part ${part}`, part.repeat(3));
    const [whole] = await bucket.combine(["part 1", "part 2", "part 3"], "a/whole");
    expect(await textOf(bucket, "a/whole")).toBe("111222333");
    const [metadata] = await whole.getMetadata();
    expect(metadata).toMatchObject({ componentCount: 3, size: "9" });
    expect(metadata.md5Hash).toBeUndefined();
    expect(metadata.crc32c).toHaveLength(8);
    await bucket.combine(["a/whole", "part 1"], "a/whole");
    expect((await whole.getMetadata())[0].componentCount).toBe(4);
    expect(await textOf(bucket, "a/whole")).toBe("111222333111");
  },

  "compose-refused": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "part");
    const compose = (sourceObjects: unknown) =>
      c.api("POST", `b/${bucket.name}/o/whole/compose`, { sourceObjects, destination: {} });
    expect((await compose([])).status).toBe(400);
    expect((await compose(Array.from({ length: 33 }, () => ({ name: "part" })))).status).toBe(400);
    expect((await compose([{ name: "part" }, { name: "none" }])).status).toBe(404);
    expect((await bucket.file("whole").exists())[0]).toBe(false);
  },

  move: async (c) => {
    const bucket = await c.bucket();
    const generation = await save(bucket, "from", "moved", { metadata: { k: "v" } });
    await bucket.file("from").moveFileAtomic(bucket.file("a/to"));
    expect(await namesIn(bucket)).toEqual(["a/to"]);
    expect(await textOf(bucket, "a/to")).toBe("moved");
    const [metadata] = await bucket.file("a/to").getMetadata();
    expect(metadata).toMatchObject({ metadata: { k: "v" }, metageneration: "1" });
    expect(BigInt(metadata.generation ?? 0)).toBeGreaterThan(BigInt(generation));
    // Below its own name, and back.
    await bucket.file("a/to").moveFileAtomic("a/to/below");
    await bucket.file("a/to/below").moveFileAtomic("a/to");
    await save(bucket, "there", "replaced");
    await bucket.file("a/to").moveFileAtomic("there");
    expect(await namesIn(bucket)).toEqual(["there"]);
    expect(await textOf(bucket, "there")).toBe("moved");
    expect((await c.api("POST", `b/${bucket.name}/o/there/moveTo/o/there`)).status).toBe(400);
    expect((await c.api("POST", `b/${bucket.name}/o/none/moveTo/o/there`)).status).toBe(404);
    expect(await textOf(bucket, "there")).toBe("moved");
  },

  delete: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "once");
    await bucket.file("once").delete();
    expect((await bucket.file("once").exists())[0]).toBe(false);
    await refused(bucket.file("once").delete(), 404);
    await save(bucket, "once", "again");
    expect(await textOf(bucket, "once")).toBe("again");
  },
} satisfies Cases;
