import type { Readable } from "node:stream";

/** Characters of a line that are held; what is longer comes in several. */
const maxCharacters = 65_536;

/**
 * Tells each line of a text (UTF-8), ended by LF, CRLF, or by CR as progress bars do, and the last one without an end. Node's own
 * readline gathers a line for as long as it is: whoever prints bytes without line ends would fill the memory.
 */
export function eachLine(stream: Readable, tell: (line: string) => void): void {
  let rest = "";
  let afterCarriageReturn = false;
  const take = (text: string) => {
    const from = afterCarriageReturn && text.startsWith("\n") ? 1 : 0;
    afterCarriageReturn = text.endsWith("\r");
    const lines = (rest + text.slice(from)).split(/\r\n|\n|\r/);
    rest = lines.pop() ?? "";
    for (const line of lines) for (const piece of piecesOf(line)) tell(piece);
    if (rest.length < maxCharacters) return;
    const pieces = piecesOf(rest);
    rest = pieces.pop() ?? "";
    for (const piece of pieces) tell(piece);
  };
  stream.setEncoding("utf8");
  stream.on("data", take);
  const end = () => {
    if (rest !== "") tell(rest);
    rest = "";
  };
  // A stream that is destroyed closes without an end.
  stream.once("end", end);
  stream.once("close", end);
}

function piecesOf(line: string): string[] {
  const pieces = [line.slice(0, maxCharacters)];
  for (let at = maxCharacters; at < line.length; at += maxCharacters) pieces.push(line.slice(at, at + maxCharacters));
  return pieces;
}
