import { invalidArgument } from "./errors.js";

export interface Page<T> {
  readonly items: T[];
  readonly nextPageToken: string;
}

/** One page of named resources in the order of their names; a page token is the last name sent. */
export function pageOf<T>(all: Iterable<readonly [string, T]>, pageSize: number, pageToken: string): Page<T> {
  if (pageSize < 0) throw invalidArgument(`page_size is not negative: ${pageSize}`);
  const size = pageSize === 0 ? 1_000 : Math.min(pageSize, 1_000);
  const after = Buffer.from(pageToken, "base64url").toString();
  const rest = [...all].filter(([name]) => name > after).sort(([a], [b]) => (a < b ? -1 : 1));
  const page = rest.slice(0, size);
  const last = page.at(-1);
  const more = rest.length > page.length && last !== undefined;
  return {
    items: page.map(([, item]) => item),
    nextPageToken: more ? Buffer.from(last[0]).toString("base64url") : "",
  };
}
