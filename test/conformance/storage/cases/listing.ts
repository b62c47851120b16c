import type { Bucket } from "@google-cloud/storage";
import { expect } from "vitest";
import { type Cases, type Context, namesIn, o, refused, save } from "../context.js";

async function filled(c: Context, ...names: readonly string[]): Promise<Bucket> {
  const bucket = await c.bucket();
  await Promise.all(names.map((name) => save(bucket, name, "x")));
  return bucket;
}

/** One page of the API's own answer. */
async function page(c: Context, bucket: Bucket, query: Record<string, string>) {
  const answer = await c.api("GET", `b/${bucket.name}/o?${new URLSearchParams(query).toString()}`);
  expect(answer.status).toBe(200);
  const { items = [], prefixes = [], nextPageToken } = answer.json();
  return {
    names: (items as { name: string }[]).map((i) => i.name),
    prefixes: prefixes as string[],
    next: nextPageToken as string | undefined,
  };
}

export const listingCases = {
  "list-prefix": async (c) => {
    // By bytes of UTF-8, U+FFFD comes before an emoji; by JavaScript's units of 16 bits it would not.
    const names = ["B", "a", "a b", "a/", "a/b", "a/b/c", "ab", "ä", "\ufffd", "🎵"];
    const bucket = await filled(c, ...[...names].reverse());
    expect(await namesIn(bucket)).toEqual(names);
    expect(await namesIn(bucket, { prefix: "a/" })).toEqual(["a/", "a/b", "a/b/c"]);
    expect(await namesIn(bucket, { prefix: "a/b" })).toEqual(["a/b", "a/b/c"]);
    expect(await namesIn(bucket, { prefix: "none" })).toEqual([]);
  },

  "list-delimiter": async (c) => {
    const bucket = await filled(c, "a", "a/1", "a/2/3", "b/4", "c--d", "c--e");
    const query = { delimiter: "/" };
    expect(await page(c, bucket, query)).toMatchObject({ names: ["a", "c--d", "c--e"], prefixes: ["a/", "b/"] });
    expect(await page(c, bucket, { ...query, prefix: "a/" })).toMatchObject({ names: ["a/1"], prefixes: ["a/2/"] });
    expect(await page(c, bucket, { delimiter: "--", prefix: "c" })).toMatchObject({ names: [], prefixes: ["c--"] });
  },

  "list-pages": async (c) => {
    const bucket = await filled(c, "a", "b/1", "b/2", "b/3", "c", "d/1", "e", "e/1", "f");
    for (const query of [{}, { delimiter: "/" }]) {
      const whole = await page(c, bucket, query);
      const seen = { names: [] as string[], prefixes: [] as string[] };
      let token: string | undefined;
      do {
        const part = await page(c, bucket, {
          ...query,
          maxResults: "2",
          ...(token === undefined ? {} : { pageToken: token }),
        });
        expect(part.names.length + part.prefixes.length).toBeLessThanOrEqual(2);
        seen.names.push(...part.names);
        seen.prefixes.push(...part.prefixes);
        token = part.next;
      } while (token !== undefined);
      expect(seen).toEqual({ names: whole.names, prefixes: whole.prefixes });
    }
    const [first, next] = await bucket.getFiles({ maxResults: 5, autoPaginate: false });
    const [second] = await bucket.getFiles({ ...next, autoPaginate: false });
    expect([...first, ...second].map((f) => f.name)).toHaveLength(9);
    expect((await c.api("GET", `b/${bucket.name}/o?pageToken=nonsense`)).status).toBe(400);
  },

  "list-offsets": async (c) => {
    const bucket = await filled(c, "a", "b", "b/1", "c", "d");
    expect(await namesIn(bucket, { startOffset: "b", endOffset: "d" })).toEqual(["b", "b/1", "c"]);
    expect(await namesIn(bucket, { startOffset: "b0" })).toEqual(["c", "d"]);
    expect(await namesIn(bucket, { endOffset: "b/1", prefix: "b" })).toEqual(["b"]);
  },

  "list-trailing-delimiter": async (c) => {
    const bucket = await filled(c, "a/", "a/1", "b/2", "c");
    const plain = await page(c, bucket, { delimiter: "/" });
    expect(plain).toMatchObject({ names: ["c"], prefixes: ["a/", "b/"] });
    const trailing = await page(c, bucket, { delimiter: "/", includeTrailingDelimiter: "True" });
    expect(trailing).toMatchObject({ names: ["a/", "c"], prefixes: ["a/", "b/"] });
  },

  "list-glob": async (c) => {
    const names = ["a.txt", "a.wav", "b.wav", "x/a.wav", "x/y/a.wav", "x/y/b[1].wav"];
    const bucket = await filled(c, ...names);
    const glob = (matchGlob: string) => namesIn(bucket, { matchGlob });
    expect(await glob("*.wav")).toEqual(["a.wav", "b.wav"]);
    expect(await glob("**.wav")).toEqual(names.slice(1));
    expect(await glob("**/a.wav")).toEqual(["a.wav", "x/a.wav", "x/y/a.wav"]);
    expect(await glob("x/**/a.wav")).toEqual(["x/a.wav", "x/y/a.wav"]);
    expect(await glob("?.{txt,wav}")).toEqual(["a.txt", "a.wav", "b.wav"]);
    expect(await glob("[a-a].wav")).toEqual(["a.wav"]);
    expect(await glob("[!a].wav")).toEqual(["b.wav"]);
    expect(await glob("x/y/b\\[1\\].wav")).toEqual(["x/y/b[1].wav"]);
    expect(await glob("*")).toEqual(["a.txt", "a.wav", "b.wav"]);
    for (const wrong of ["[a", "{a", "[]"]) await refused(glob(wrong), 400);
    const collapsed = await c.api("GET", `b/${bucket.name}/o?delimiter=/&matchGlob=${o("**")}`);
    expect(collapsed.json()["prefixes"]).toEqual(["x/"]);
  },
} satisfies Cases;
