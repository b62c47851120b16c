import { expect } from "vitest";
import { type Cases, o, refused, save, textOf } from "../context.js";

export const preconditionCases = {
  "generation-grows": async (c) => {
    const bucket = await c.bucket();
    const generations: bigint[] = [];
    for (let i = 0; i < 10; i += 1) {
      generations.push(BigInt(await save(bucket, "again", String(i))));
      if (i % 3 === 0) await bucket.file("again").delete();
    }
    expect(generations).toEqual([...generations].sort((a, b) => (a < b ? -1 : 1)));
    expect(new Set(generations).size).toBe(10);
  },

  "precondition-create": async (c) => {
    const bucket = await c.bucket();
    for (const resumable of [false, true]) {
      const file = bucket.file(`new ${resumable}`);
      const create = (data: string) => file.save(data, { resumable, preconditionOpts: { ifGenerationMatch: 0 } });
      await create("first");
      await refused(create("second"), 412);
      expect(await textOf(bucket, file.name)).toBe("first");
    }
  },

  "precondition-write": async (c) => {
    const bucket = await c.bucket();
    const old = await save(bucket, "object", "one");
    const generation = await save(bucket, "object", "two");
    const path = `b/${bucket.name}/o/object`;
    const write = (query: string) =>
      c.request(`/upload/storage/v1/b/${bucket.name}/o?uploadType=media&name=object&${query}`, {
        method: "POST",
        body: "three",
      });
    expect((await write(`ifGenerationMatch=${old}`)).status).toBe(412);
    expect((await write(`ifGenerationNotMatch=${generation}`)).status).toBe(304);
    expect((await write("ifMetagenerationMatch=2")).status).toBe(412);
    expect((await c.api("PATCH", `${path}?ifGenerationMatch=${old}`, {})).status).toBe(412);
    expect((await c.api("PATCH", `${path}?ifMetagenerationMatch=2`, {})).status).toBe(412);
    expect((await c.api("DELETE", `${path}?ifGenerationMatch=${old}`)).status).toBe(412);
    expect((await c.api("DELETE", `${path}?ifMetagenerationMatch=2`)).status).toBe(412);
    expect(await textOf(bucket, "object")).toBe("two");
    expect((await c.api("PATCH", `${path}?ifMetagenerationMatch=1&ifGenerationMatch=${generation}`, {})).status).toBe(
      200,
    );
    expect((await write(`ifGenerationMatch=${generation}&ifMetagenerationMatch=2`)).status).toBe(200);
    expect((await c.api("DELETE", `${path}?ifGenerationNotMatch=${generation}`)).status).toBe(204);
    expect((await write("ifGenerationMatch=x")).status).toBe(400);
  },

  "precondition-read": async (c) => {
    const bucket = await c.bucket();
    const generation = await save(bucket, "object", "read");
    for (const kind of ["", "alt=media&"]) {
      const read = (query: string) => c.api("GET", `b/${bucket.name}/o/object?${kind}${query}`);
      expect((await read(`ifGenerationMatch=${generation}`)).status).toBe(200);
      expect((await read("ifGenerationMatch=1")).status).toBe(412);
      expect((await read("ifMetagenerationMatch=2")).status).toBe(412);
      const same = await read(`ifGenerationNotMatch=${generation}`);
      expect([same.status, same.body.length]).toEqual([304, 0]);
      expect((await read("ifMetagenerationNotMatch=1")).status).toBe(304);
      expect((await read("ifMetagenerationNotMatch=2")).status).toBe(200);
      expect((await read("generation=1")).status).toBe(404);
    }
  },

  "precondition-source": async (c) => {
    const bucket = await c.bucket();
    const generation = await save(bucket, "source", "x");
    const to = (verb: string, query: string) => c.api("POST", `b/${bucket.name}/o/source/${verb}?${query}`);
    for (const verb of [`copyTo/b/${bucket.name}/o/t`, `rewriteTo/b/${bucket.name}/o/t`, "moveTo/o/t"]) {
      expect((await to(verb, "ifSourceGenerationMatch=1")).status).toBe(412);
      expect((await to(verb, "ifSourceMetagenerationMatch=2")).status).toBe(412);
      expect((await to(verb, `ifSourceGenerationNotMatch=${generation}`)).status).toBe(304);
      expect((await to(verb, "sourceGeneration=1")).status).toBe(404);
      expect((await to(verb, "ifGenerationMatch=1")).status).toBe(412);
    }
    const compose = (source: object, query = "") =>
      c.api("POST", `b/${bucket.name}/o/t/compose?${query}`, { sourceObjects: [{ name: "source", ...source }] });
    expect((await compose({ objectPreconditions: { ifGenerationMatch: "1" } })).status).toBe(412);
    expect((await compose({ generation: "1" })).status).toBe(404);
    expect((await compose({}, "ifGenerationMatch=1")).status).toBe(412);
    expect((await bucket.file("t").exists())[0]).toBe(false);
    expect((await compose({ generation, objectPreconditions: { ifGenerationMatch: generation } })).status).toBe(200);
    const path = `rewriteTo/b/${bucket.name}/o/${o("a/b")}`;
    expect((await to(path, `ifSourceGenerationMatch=${generation}&ifGenerationMatch=0`)).status).toBe(200);
  },

  "precondition-race": async (c) => {
    const bucket = await c.bucket();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, i) =>
        bucket.file("race").save(`writer ${i}`, { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }),
      ),
    );
    const winners = outcomes.flatMap((outcome, i) => (outcome.status === "fulfilled" ? [i] : []));
    expect(winners).toHaveLength(1);
    expect(await textOf(bucket, "race")).toBe(`writer ${winners[0]}`);
  },

  etag: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "object", "x");
    const path = `/storage/v1/b/${bucket.name}/o/object`;
    const etag = String((await c.request(path)).json()["etag"]);
    const read = (headers: Record<string, string>) => c.request(path, { headers });
    expect((await read({ "if-match": etag })).status).toBe(200);
    expect((await read({ "if-match": "other" })).status).toBe(412);
    expect((await read({ "if-none-match": etag })).status).toBe(304);
    expect((await read({ "if-none-match": "other" })).status).toBe(200);
  },
} satisfies Cases;
