import type { UploadSource } from "../api/context.js";
import type { UploadedObject } from "../api/uploaded-object.js";
import { chunksOf } from "./source.js";
import { GenerationMismatchError, type ObjectPath, type ObjectState, type ObjectStore, uriOf } from "./store.js";

/** How many requests an object remembers. */
export const rememberedRequests = 32;

/** Somebody else wrote the object since this attempt looked: the attempt decides afresh. Not the message's fault. */
export class OvertakenError extends Error {
  override readonly name = "OvertakenError";

  constructor(path: ObjectPath) {
    super(`${uriOf(path)} was written by another request meanwhile`);
  }
}

/** What an attempt finds when it first looks at an output object. */
export type Finding =
  /** This request wrote it in an earlier attempt. */
  | { readonly kind: "own"; readonly state: ObjectState }
  /** It is there, and not to be recomputed. */
  | { readonly kind: "keep"; readonly state: ObjectState }
  /** It is to be written, if its generation is still this one. */
  | { readonly kind: "write"; readonly state: ObjectState | undefined };

/** The request's view of output objects: who it is, and whether it recomputes what exists. */
export interface Request {
  readonly id: string;
  readonly force: boolean;
}

export function judge(state: ObjectState | undefined, request: Request): Finding {
  if (state?.by.includes(request.id) === true) return { kind: "own", state };
  if (state !== undefined && !request.force) return { kind: "keep", state };
  return { kind: "write", state };
}

/**
 * Writes an output object effectively once for each request, by the finding made when the attempt first looked.
 * Throws {@link OvertakenError} when somebody else wrote it in between.
 */
export async function uploadOnce(
  store: ObjectStore,
  path: ObjectPath,
  data: UploadSource,
  options: { readonly finding: Finding; readonly request: Request; readonly contentType: string },
  signal: AbortSignal,
): Promise<UploadedObject> {
  const { finding, request } = options;
  const uri = uriOf(path);
  if (finding.kind !== "write") await discard(data, signal);
  if (finding.kind === "own") return { uri, write: "adopted", size: 0, generation: finding.state.generation };
  if (finding.kind === "keep") return { uri, write: "kept", size: 0, generation: finding.state.generation };
  const by = [request.id, ...(finding.state?.by ?? [])].slice(0, rememberedRequests);
  const ifGenerationMatch = finding.state?.generation ?? "0";
  try {
    const written = await store.write(path, data, { ifGenerationMatch, by, contentType: options.contentType }, signal);
    return { uri, write: "uploaded", ...written };
  } catch (error) {
    if (!(error instanceof GenerationMismatchError)) throw error;
    // Either the reply to our own write was lost and the client tried again, or somebody else was faster.
    const now = await store.stat(path, signal);
    if (now?.by.includes(request.id) === true) return { uri, write: "adopted", size: 0, generation: now.generation };
    throw new OvertakenError(path);
  }
}

/** Reads a stream that is not needed to its end: whoever fills it would wait for ever otherwise. */
async function discard(data: UploadSource, signal: AbortSignal): Promise<void> {
  for await (const _ of chunksOf(data, signal));
}
