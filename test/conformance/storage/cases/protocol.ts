import { expect } from "vitest";
import { type Answer, type Cases, type Context, namesIn, o, refused, save, textOf } from "../context.js";

/** The parts of an answer to a batch: headers of the part, status and body of the answer in it. */
function partsOf(answer: Answer) {
  const boundary = /boundary=(\S+)/.exec(String(answer.headers["content-type"]))?.[1] ?? "";
  return answer.body
    .toString()
    .split(`--${boundary}`)
    .slice(1, -1)
    .map((part) => {
      const id = /^content-id: (.*)\r$/im.exec(part)?.[1];
      const status = Number(/HTTP\/1\.1 (\d+)/.exec(part)?.[1]);
      const json = /(\{.*\})/s.exec(part)?.[1];
      return { id, status, json: json === undefined ? undefined : (JSON.parse(json) as Record<string, unknown>) };
    });
}

async function batch(c: Context, body: string, eol = "\r\n") {
  const answer = await c.request("/batch/storage/v1", {
    method: "POST",
    headers: { "content-type": 'multipart/mixed; boundary="==batch=="' },
    body: body.replaceAll("\n", eol),
  });
  expect(answer.status).toBe(200);
  return partsOf(answer);
}

const part = (lines: string, id?: string) =>
  `--==batch==\nContent-Type: application/http\n${id === undefined ? "" : `Content-ID: ${id}\n`}\n${lines}\n`;
const end = "--==batch==--";

export const protocolCases = {
  batch: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "a", "x");
    await save(bucket, "b", "x");
    const path = `/storage/v1/b/${bucket.name}/o`;
    const patch = JSON.stringify({ metadata: { k: "ünï" } });
    const parts = await batch(
      c,
      [
        part(`DELETE ${path}/a HTTP/1.1\n`),
        part(`PATCH ${c.url}${path}/b HTTP/1.1\nContent-Type: application/json\n\n${patch}`),
        part(`GET ${path}/none HTTP/1.1\n`),
        part(`GET ${path}/b?fields=name HTTP/1.1\n`),
        end,
      ].join(""),
    );
    expect(parts.map((p) => p.status)).toEqual([204, 200, 404, 200]);
    expect(parts[2]?.json).toMatchObject({ error: { code: 404 } });
    expect(parts[3]?.json).toEqual({ name: "b" });
    expect(await namesIn(bucket)).toEqual(["b"]);
    expect((await bucket.file("b").getMetadata())[0].metadata).toEqual({ k: "ünï" });
  },

  "batch-parts": async (c) => {
    const bucket = await c.bucket();
    for (const name of ["a", "b", "c"]) await save(bucket, name, "x");
    const get = (name: string) => `GET /storage/v1/b/${bucket.name}/o/${name}?fields=name HTTP/1.1\n`;
    const body = [part(get("a")), part(get("b"), "<x+1>"), part(get("c")), end].join("");
    for (const eol of ["\r\n", "\n"]) {
      const parts = await batch(c, body, eol);
      expect(parts.map((p) => p.json?.["name"])).toEqual(["a", "b", "c"]);
      expect(parts.map((p) => p.id)).toEqual([undefined, "<response-x+1>", undefined]);
    }
  },

  "object-names": async (c) => {
    const bucket = await c.bucket();
    const names = [
      "a",
      "a/b",
      "../x",
      "x/../y",
      "/absolute",
      "a//b",
      "trailing/",
      "emoji 🎵/💿",
      "a\\b",
      "con",
      "%2e%2e/x",
      "a%_b",
      "ends.",
      "ends ",
      "tab\tname",
      ".klio/records",
      "x".repeat(1_024),
      "é".repeat(512),
      "*?<>|:\"'",
      "#fragment?query=1&x+y",
      "nul\u0000byte",
    ];
    for (const name of names) await save(bucket, name, `content of ${name}`);
    for (const name of names) expect(await textOf(bucket, name)).toBe(`content of ${name}`);
    expect((await namesIn(bucket)).sort()).toEqual([...names].sort());
    for (const name of names) await bucket.file(name).delete();
    expect(await namesIn(bucket)).toEqual([]);
  },

  "object-names-refused": async (c) => {
    const bucket = await c.bucket();
    for (const name of [
      ".",
      "..",
      "a\nb",
      "a\rb",
      ".well-known/acme-challenge/x",
      "x".repeat(1_025),
      "é".repeat(513),
    ]) {
      await refused(bucket.file(name).save("x", { resumable: false }), 400);
      await refused(bucket.file(name).save("x", { resumable: true }), 400);
    }
    expect(await namesIn(bucket)).toEqual([]);
  },

  "path-prefixes": async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "a/b", "x");
    for (const prefix of ["", "/storage/v1"]) {
      const answer = await c.request(`${prefix}/b/${bucket.name}/o/${o("a/b")}`);
      expect(answer.json()).toMatchObject({ name: "a/b" });
    }
    const uploaded = await c.request(`/resumable/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&name=c`, {
      method: "POST",
      headers: { "content-length": "0" },
    });
    expect(String(uploaded.headers["location"])).toContain("/resumable/upload/storage/v1/");
  },

  errors: async (c) => {
    const bucket = await c.bucket();
    const missing = await c.api("GET", `b/${bucket.name}/o/none`);
    expect(missing.status).toBe(404);
    const { error } = missing.json() as { error: { message: string } };
    expect(error.message).not.toBe("");
    const reason = { domain: "global", reason: "notFound", message: error.message };
    expect(error).toMatchObject({ code: 404, errors: [reason] });
    await save(bucket, "x", "x");
    const malformed = await c.request(`/storage/v1/b/${bucket.name}/o/x`, { method: "PATCH", body: "{" });
    expect(malformed.json()).toMatchObject({ error: { code: 400 } });
  },

  unsupported: async (c) => {
    const bucket = await c.bucket();
    await save(bucket, "x", "x");
    const path = `b/${bucket.name}`;
    const calls: readonly (readonly [string, string, unknown, string])[] = [
      ["GET", `${path}/acl`, undefined, "storage.bucketAccessControls"],
      ["POST", `${path}/o/x/acl`, { entity: "allUsers" }, "storage.objectAccessControls"],
      ["GET", `${path}/iam`, undefined, "storage.buckets.getIamPolicy"],
      ["POST", `${path}/o/watch`, {}, "storage.objects.watchAll"],
      ["POST", `${path}/notificationConfigs`, {}, "storage.notifications"],
      ["POST", "projects/p/hmacKeys", undefined, "storage.projects.hmacKeys"],
      [
        "PATCH",
        path,
        { lifecycle: { rule: [{ action: { type: "Delete" } }] } },
        "storage.buckets.patch with lifecycle",
      ],
      ["PATCH", `${path}/o/x`, { temporaryHold: true }, "storage.objects.patch with temporaryHold"],
      ["PATCH", `${path}/o/x?predefinedAcl=publicRead`, {}, "predefinedAcl"],
    ];
    for (const [method, url, resource, name] of calls) {
      const answer = await c.api(method, url, resource);
      expect(answer.status, url).toBe(501);
      expect(JSON.stringify(answer.json())).toContain(name);
    }
  },
} satisfies Cases;
