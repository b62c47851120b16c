/**
 * Cloud Storage did not do in the end what was asked of it, after all tries. `code` is short: `HTTP_503`, `ECONNRESET`, `STORAGE_STALLED`,
 * `STORAGE_TRUNCATED`.
 */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly code: string;
  /** Of the answer, when there was one. */
  readonly status: number | undefined;

  constructor(
    message: string,
    options: { readonly code: string; readonly status?: number | undefined; readonly cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.code = options.code;
    this.status = options.status;
  }

  /** Whether the same request may be answered differently: https://cloud.google.com/storage/docs/retry-strategy#retryable */
  get retryable(): boolean {
    if (this.status !== undefined) return retryableStatuses.has(this.status) || this.code === "STORAGE_CHECKSUM";
    return !finalCodes.has(this.code);
  }

  /** The request itself is wrong, and will be so the next time: the fault of what was asked, not of the service. */
  get refused(): boolean {
    return this.status !== undefined && refusals.has(this.status) && this.code !== "STORAGE_CHECKSUM";
  }
}

const retryableStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const refusals: ReadonlySet<number> = new Set([400, 411, 413, 414, 416, 422, 431]);
const finalCodes: ReadonlySet<string> = new Set(["STORAGE_CREDENTIALS", "STORAGE_PROTOCOL"]);

/** How far `cause` is followed: a chain can be a ring. */
const depth = 16;

/** Whether an error comes from a storage that did not answer as it should, also where user code has wrapped it. */
export function isStorageTrouble(error: unknown): boolean {
  let link = error;
  for (let i = 0; i < depth && link instanceof Error; i += 1) {
    if (link instanceof StorageError) return !link.refused;
    link = link.cause;
  }
  return false;
}
