import { invalidArgument } from "../errors.js";
import { type Collection, parseProject } from "./names.js";

/** One page of a project's resources, which `all` has by name. Throws INVALID_ARGUMENT. */
export function pageOfProject<T>(
  all: ReadonlyMap<string, T>,
  collection: Collection,
  request: { readonly project: string; readonly pageSize: number; readonly pageToken: string },
): { readonly items: T[]; readonly nextPageToken: string } {
  const prefix = `${parseProject(request.project)}/${collection}/`;
  const names = [...all.keys()].filter((name) => name.startsWith(prefix));
  const { names: some, nextPageToken } = pageOf(names, request.pageSize, request.pageToken);
  return { items: some.flatMap((name) => all.get(name) ?? []), nextPageToken };
}

export interface Page {
  readonly names: string[];
  readonly nextPageToken: string;
}

const largestPage = 1_000;

/** One page of names in their order. A page token is the last name sent. Throws INVALID_ARGUMENT. */
export function pageOf(all: readonly string[], pageSize: number, pageToken: string): Page {
  if (pageSize < 0) throw invalidArgument(`page_size is not negative: ${pageSize}`);
  const size = pageSize === 0 ? largestPage : Math.min(pageSize, largestPage);
  const after = Buffer.from(pageToken, "base64url").toString();
  if (pageToken !== "" && !after.startsWith("projects/")) throw invalidArgument("page_token is not one of this list");
  const rest = all.filter((name) => name > after).sort();
  const names = rest.slice(0, size);
  const last = names.at(-1);
  const more = rest.length > names.length && last !== undefined;
  return { names, nextPageToken: more ? Buffer.from(last).toString("base64url") : "" };
}
