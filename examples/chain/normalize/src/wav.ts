import { PermanentError } from "@klio/runtime";

/** Where the samples of a 16-bit PCM file begin, and how many bytes they are. */
export interface Samples {
  readonly offset: number;
  readonly length: number;
}

/** Finds the samples of a WAV file. Throws a PermanentError for what is no 16-bit PCM. */
export function findSamples(file: Buffer): Samples {
  const text = (at: number) => file.toString("latin1", at, at + 4);
  if (file.length < 44 || text(0) !== "RIFF" || text(8) !== "WAVE") throw refused("it is no WAV file");
  for (let at = 12; at + 8 <= file.length;) {
    const size = file.readUInt32LE(at + 4);
    // http://soundfile.sapp.org/doc/WaveFormat/: format 1 is PCM, at 14 are the bits of a sample
    if (text(at) === "fmt " && (file.readUInt16LE(at + 8) !== 1 || file.readUInt16LE(at + 22) !== 16)) {
      throw refused("its samples are not 16-bit PCM");
    }
    if (text(at) === "data") return { offset: at + 8, length: Math.min(size, file.length - at - 8) };
    at += 8 + size + (size % 2);
  }
  throw refused("it has no samples");
}

function refused(why: string): PermanentError {
  return new PermanentError(`not a recording for this job: ${why}`, { code: "NOT_A_RECORDING" });
}
