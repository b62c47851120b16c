import { randomUUID } from "node:crypto";
import { type IncomingHttpHeaders, STATUS_CODES } from "node:http";
import { badRequest } from "../errors.js";
import { type Call, readBody, type Reply } from "./call.js";
import { boundaryOf } from "./multipart.js";

// https://cloud.google.com/storage/docs/batch. The documentation wishes for 100 calls at most; the Python client sends more.
const maxCalls = 1_000;
const maxBytes = 10 * 1024 * 1024;

interface Part {
  readonly id: string | undefined;
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Carries out the calls of a multipart/mixed body one after the other and answers with as many parts. */
export async function serveBatch(
  batch: Call,
  serve: (part: Omit<Part, "id">) => Promise<Reply>,
): Promise<{ readonly contentType: string; readonly body: string }> {
  const text = (await readBody(batch.body, maxBytes)).toString("latin1");
  const boundary = boundaryOf(batch.headers["content-type"]);
  const parts = split(text, boundary).map((part) => parsePart(part, batch.headers));
  if (parts.length === 0) throw badRequest("a batch has at least one part");
  if (parts.length > maxCalls) throw badRequest(`a batch has at most ${maxCalls} calls, not ${parts.length}`);
  const out = `batch_${randomUUID()}`;
  const answers: string[] = [];
  for (const part of parts) answers.push(`--${out}\r\n${written(part.id, await serve(part))}\r\n`);
  return { contentType: `multipart/mixed; boundary=${out}`, body: `${answers.join("")}--${out}--\r\n` };
}

/** What lies between the boundaries, with lines that end in LF. */
function split(text: string, boundary: string): string[] {
  const pieces = `\n${text.replaceAll("\r\n", "\n")}`.split(`\n--${boundary}`);
  const end = pieces.findIndex((piece, i) => i > 0 && piece.startsWith("--"));
  if (end < 0) throw badRequest("the batch ends before its closing boundary");
  return pieces.slice(1, end);
}

function parsePart(text: string, outer: IncomingHttpHeaders): Part {
  const [, head = "", inner = ""] = /^[^\n]*\n((?:[^\n]+\n)*)\n?([^]*)$/.exec(text) ?? [];
  const id = headersOf(head)["content-id"];
  const [, line = "", rest = ""] = /^\s*([^\n]*)\n?([^]*)$/.exec(inner) ?? [];
  const [, method, url] = /^([A-Z]+) (\S+)(?: HTTP\/\d(?:\.\d)?)?\s*$/.exec(line) ?? [];
  if (method === undefined || url === undefined) throw badRequest(`not a request: ${JSON.stringify(line)}`);
  const [, heads = "", body = ""] = /^((?:[^\n]+\n)*)\n?([^]*)$/.exec(rest) ?? [];
  // Headers of the whole count for each part, but for those about its content.
  const shared = Object.entries(outer).filter(([name]) => !name.startsWith("content-") && name !== "transfer-encoding");
  return {
    id: typeof id === "string" ? id : undefined,
    method,
    url,
    headers: { ...Object.fromEntries(shared), ...headersOf(heads) },
    body: Buffer.from(body, "latin1"),
  };
}

function headersOf(text: string): IncomingHttpHeaders {
  const entries = text.split("\n").flatMap((line) => {
    const [, name, value] = /^([^:\s]+):(.*)$/.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name.toLowerCase(), value.trim()] as const];
  });
  return Object.fromEntries(entries);
}

/** An answer within a batch: to `<x>` or `x`, `<response-x>` or `response-x`. */
function written(id: string | undefined, reply: Reply): string {
  const body = reply.json === undefined ? "" : JSON.stringify(reply.json);
  const lines = [
    "Content-Type: application/http",
    ...(id === undefined ? [] : [`Content-ID: ${id.startsWith("<") ? `<response-${id.slice(1)}` : `response-${id}`}`]),
    "",
    `HTTP/1.1 ${reply.status} ${STATUS_CODES[reply.status] ?? "Unknown"}`,
    ...Object.entries(reply.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    ...(body === "" ? [] : ["Content-Type: application/json; charset=UTF-8"]),
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ];
  return lines.join("\r\n");
}
