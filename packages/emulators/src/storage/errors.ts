/** An answer other than success, in the JSON API's shape. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    message: string,
    /** Of the answer, beside those of JSON. */
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  toJSON() {
    const { status: code, message, reason } = this;
    return { error: { code, message, errors: [{ message, domain: "global", reason }] } };
  }
}

export const notModified = () => new ApiError(304, "notModified", "Not Modified");
export const badRequest = (message: string) => new ApiError(400, "invalid", message);
export const forbidden = (message: string) => new ApiError(403, "forbidden", message);
export const notFound = (message: string) => new ApiError(404, "notFound", message);
export const noObject = (bucket: string, name: string) => notFound(`No such object: ${bucket}/${name}`);
export const conflict = (message: string) => new ApiError(409, "conflict", message);
export const preconditionFailed = (message: string) => new ApiError(412, "conditionNotMet", message);
export const tooLarge = (message: string) => new ApiError(413, "uploadTooLarge", message);
/** Of an object of `size` bytes. */
export const rangeNotSatisfiable = (message: string, size: number) =>
  new ApiError(416, "requestedRangeNotSatisfiable", message, { "content-range": `bytes */${size}` });
export const beingChanged = (message: string) => new ApiError(503, "backendError", message);
/** `call` is what the API's reference calls it. */
export const notImplemented = (call: string) =>
  new ApiError(501, "notImplemented", `this emulator does not support ${call}`);
