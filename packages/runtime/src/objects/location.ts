import { PermanentError } from "../api/errors.js";
import type { ObjectPath } from "./store.js";

/**
 * The object of an element: location, slash, element, suffix.
 * Throws a PermanentError (`ILLEGAL_OBJECT_NAME`) when Cloud Storage has no such name:
 * https://cloud.google.com/storage/docs/objects#naming
 */
export function objectPath(location: string, element: string, suffix: string): ObjectPath {
  const [bucket = "", ...folder] = location
    .replace(/^gs:\/\//, "")
    .replace(/\/+$/, "")
    .split("/");
  const name = [...folder, element + suffix].join("/");
  const bytes = Buffer.byteLength(name);
  const illegal =
    name === "." || name === ".." || /[\r\n]/.test(name) || name.startsWith(".well-known/acme-challenge/");
  if (illegal || bytes > 1_024) {
    const why = bytes > 1_024 ? `it has ${bytes} bytes, at most 1024 are legal` : "Cloud Storage does not allow it";
    throw new PermanentError(`illegal object name ${JSON.stringify(shorten(name))}: ${why}`, {
      code: "ILLEGAL_OBJECT_NAME",
    });
  }
  return { bucket, name };
}

function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
