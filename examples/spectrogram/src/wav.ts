import { PermanentError } from "@klio/runtime";

/** A decoded recording. */
export interface Recording {
  /** Samples a second. */
  readonly sampleRate: number;
  readonly channels: number;
  /** The mean of all channels, each sample between -1 and 1. */
  readonly samples: Float64Array;
}

/** The bytes are no WAV file that can be read; trying again will not help. */
export class WavError extends PermanentError {
  constructor(message: string) {
    super(message, { code: "BAD_WAV" });
  }
}

// http://soundfile.sapp.org/doc/WaveFormat/ and Microsoft's WAVEFORMATEXTENSIBLE
const pcm = 1;
const float = 3;
const extensible = 0xfffe;

interface Format {
  readonly kind: number;
  readonly channels: number;
  readonly sampleRate: number;
  readonly bits: number;
}

/** Decodes 16-, 24- and 32-bit PCM and 32- and 64-bit float, any rate, any number of channels. Throws {@link WavError}. */
export function decodeWav(bytes: Uint8Array): Recording {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 0) throw new WavError("the file is empty");
  if (bytes.length < 12 || text(view, 0) !== "RIFF" || text(view, 8) !== "WAVE") throw new WavError("not a WAV file");
  let format: Format | undefined;
  for (let at = 12; at + 8 <= view.byteLength;) {
    const id = text(view, at);
    const size = view.getUint32(at + 4, true);
    const start = at + 8;
    if (id === "fmt ") format = readFormat(view, start, size);
    if (id === "data") {
      if (format === undefined) throw new WavError("the data come before their format");
      return readSamples(view, start, size, format);
    }
    at = start + size + (size % 2);
  }
  throw new WavError("the file is truncated: it has no data");
}

function text(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

function readFormat(view: DataView, at: number, size: number): Format {
  if (size < 16 || at + size > view.byteLength) throw new WavError("the file is truncated: its format is cut off");
  const tag = view.getUint16(at, true);
  const kind = tag === extensible && size >= 26 ? view.getUint16(at + 24, true) : tag;
  const format = {
    kind,
    channels: view.getUint16(at + 2, true),
    sampleRate: view.getUint32(at + 4, true),
    bits: view.getUint16(at + 14, true),
  };
  const known =
    (kind === pcm && [16, 24, 32].includes(format.bits)) || (kind === float && [32, 64].includes(format.bits));
  if (!known) throw new WavError(`${format.bits}-bit samples of WAV format ${kind} are not supported`);
  if (format.channels === 0 || format.sampleRate === 0) throw new WavError("no channels, or a sample rate of 0");
  return format;
}

// Programs that write to a pipe do not know the length and leave this instead.
const unknownLength = 0xffffffff;

function readSamples(view: DataView, start: number, size: number, format: Format): Recording {
  const there = view.byteLength - start;
  if (size !== unknownLength && size > there) {
    throw new WavError(`the file is truncated: ${there} of ${size} bytes of data are there`);
  }
  const { channels, sampleRate } = format;
  const width = format.bits / 8;
  const frames = Math.floor(Math.min(size, there) / (width * channels));
  if (frames === 0) throw new WavError("the recording is empty");
  const read = reader(view, format);
  const samples = new Float64Array(frames);
  for (let frame = 0; frame < frames; frame += 1) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel += 1) {
      sum += read(start + (frame * channels + channel) * width);
    }
    samples[frame] = sum / channels;
  }
  return { sampleRate, channels, samples };
}

function reader(view: DataView, { kind, bits }: Format): (at: number) => number {
  if (kind === float) return bits === 32 ? (at) => view.getFloat32(at, true) : (at) => view.getFloat64(at, true);
  if (bits === 16) return (at) => view.getInt16(at, true) / 2 ** 15;
  if (bits === 24) return (at) => (view.getInt16(at + 1, true) * 256 + view.getUint8(at)) / 2 ** 23;
  return (at) => view.getInt32(at, true) / 2 ** 31;
}
