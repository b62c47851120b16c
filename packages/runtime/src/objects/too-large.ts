import { PermanentError } from "../api/errors.js";

/** `size` in bytes. */
export function tooLarge(uri: string, size: number): PermanentError {
  return new PermanentError(`${uri} has ${size} bytes, which memory has no room for: use ctx.open or ctx.file`, {
    code: "OBJECT_TOO_LARGE",
  });
}
