// Where an object lies below its bucket's folder: under its own name wherever a plain file can carry it. "%" begins an escape:
//   %XX a byte
//   %_  a segment without a character
//   %+  at the end of a folder's name: the segment goes on in the folder
//   %@  at the end of a file's name: the object lies beside a folder of its name
// A name that klio would have written otherwise was given by hand, and stands for itself.

/** Bytes of a file's name; the rest of a segment goes below. Linux and macOS allow 255. */
const maxPieceBytes = 240;
const unsafe = /[\u0000-\u001f\u007f\\:*?"<>|]|%(?=[0-9A-Fa-f]{2}|[_~+@])|[. ]$/g;
// https://learn.microsoft.com/windows/win32/fileio/naming-a-file
const reserved = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?=\.|$)/i;
const goesOn = "%+";
export const besideFolder = "%@";

/** klio's own folder at the root of a store; a bucket cannot have this name. */
export const hiddenFolder = ".klio";

/** The path elements of an object name as klio writes it. None of them leaves the bucket's folder. */
export function pathOf(name: string): string[] {
  return name.split("/").flatMap(piecesOf);
}

/** The ways in which a segment of a name may lie on disk, klio's own first: each a list of path elements. */
export function spellings(segment: string): string[][] {
  const own = piecesOf(segment);
  if (own.length === 1 && own[0] === segment) return [own];
  const byHand = isFileName(segment) && nameOf([segment]) === segment;
  return byHand ? [own, [segment]] : [own];
}

function piecesOf(segment: string): string[] {
  if (segment === "") return ["%_"];
  if (segment === "." || segment === "..") return [percent(segment)];
  const safe = segment.replace(unsafe, percent);
  const pieces = Buffer.byteLength(safe) <= maxPieceBytes ? [safe] : split(safe);
  return pieces.map((piece, i) => {
    const legal = piece.replace(reserved, (word) => percent(word.charAt(0)) + word.slice(1));
    return i < pieces.length - 1 ? legal + goesOn : legal;
  });
}

/** Cuts between characters, and not within an escape. */
function split(safe: string): string[] {
  const pieces: string[] = [];
  let piece = "";
  let bytes = 0;
  for (const [token] of safe.matchAll(/%[0-9A-F]{2}|./gsu)) {
    const size = Buffer.byteLength(token);
    // Three bytes are left for the escape of a reserved name.
    if (bytes + size > maxPieceBytes - 3) {
      pieces.push(piece);
      piece = "";
      bytes = 0;
    }
    piece += token;
    bytes += size;
  }
  return [...pieces, piece];
}

function percent(text: string): string {
  return [...Buffer.from(text)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, "0")}`).join("");
}

/** The name of the object at a path below its bucket's folder. */
export function nameOf(path: readonly string[]): string {
  const last = path.at(-1) ?? "";
  const plain = last.endsWith(besideFolder) ? last.slice(0, -besideFolder.length) : last;
  return segmentsOf([...path.slice(0, -1), plain]).join("/");
}

/** What the names of all objects below a folder begin with. */
export function prefixOf(folder: readonly string[]): string {
  const open = openPieces(folder);
  const segments = segmentsOf(folder.slice(0, folder.length - open.length));
  // Whether they are klio's pieces or a folder that was named so by hand: up to here both are read alike.
  const begun = /^[^%]*/.exec(open[0] ?? "")?.[0] ?? "";
  return segments.map((s) => `${s}/`).join("") + begun;
}

/** The elements at the end of a folder's path that a segment may go on below. */
function openPieces(folder: readonly string[]): readonly string[] {
  const lastWhole = folder.findLastIndex((element) => !element.endsWith(goesOn));
  return folder.slice(lastWhole + 1);
}

function segmentsOf(path: readonly string[]): string[] {
  const segments: string[] = [];
  for (let i = 0; i < path.length;) {
    const end = path.findIndex((element, k) => k >= i && !element.endsWith(goesOn));
    const pieces = end < 0 ? [] : path.slice(i, end + 1);
    const text = decode(pieces);
    if (text === undefined) {
      segments.push(path[i] ?? ""); // given by hand
      i += 1;
    } else {
      segments.push(text);
      i += pieces.length;
    }
  }
  return segments;
}

/** The segment that klio writes as these pieces. Undefined when there is none. */
function decode(pieces: readonly string[]): string | undefined {
  if (pieces.length === 0) return undefined;
  if (pieces.length === 1 && pieces[0] === "%_") return "";
  const text = pieces.map((p, i) => unescape(i < pieces.length - 1 ? p.slice(0, -goesOn.length) : p)).join("");
  const again = piecesOf(text);
  return again.length === pieces.length && again.every((piece, i) => piece === pieces[i]) ? text : undefined;
}

function unescape(piece: string): string {
  if (!piece.includes("%")) return piece;
  const bytes = piece.split(/(%[0-9A-F]{2})/).map((part) => {
    const escape = /^%([0-9A-F]{2})$/.exec(part)?.[1];
    return escape === undefined ? Buffer.from(part) : Buffer.from([Number.parseInt(escape, 16)]);
  });
  return Buffer.concat(bytes).toString();
}

/** Whether a segment can be a file's name as it stands, without leaving its folder. */
function isFileName(segment: string): boolean {
  return (
    segment !== "" &&
    segment !== "." &&
    segment !== ".." &&
    !segment.includes("\0") &&
    Buffer.byteLength(segment) <= 255
  );
}
