export interface WavOptions {
  readonly sampleRate: number;
  readonly channels?: number;
  readonly bits?: 16 | 24 | 32 | 64;
  readonly float?: boolean;
}

/** Makes a WAV file of a signal, the same in every channel. */
export function wavFile(samples: Float64Array, options: WavOptions): Buffer {
  const { sampleRate, channels = 1, bits = 16, float = false } = options;
  const width = bits / 8;
  const data = Buffer.alloc(samples.length * channels * width);
  samples.forEach((sample, frame) => {
    for (let channel = 0; channel < channels; channel += 1) {
      const at = (frame * channels + channel) * width;
      if (float) {
        if (bits === 64) data.writeDoubleLE(sample, at);
        else data.writeFloatLE(sample, at);
      } else {
        data.writeIntLE(Math.round(Math.max(-1, Math.min(1, sample)) * (2 ** (bits - 1) - 1)), at, width);
      }
    }
  });
  const head = Buffer.alloc(44);
  head.write("RIFF", 0, "latin1");
  head.writeUInt32LE(36 + data.length, 4);
  head.write("WAVEfmt ", 8, "latin1");
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(float ? 3 : 1, 20);
  head.writeUInt16LE(channels, 22);
  head.writeUInt32LE(sampleRate, 24);
  head.writeUInt32LE(sampleRate * channels * width, 28);
  head.writeUInt16LE(channels * width, 32);
  head.writeUInt16LE(bits, 34);
  head.write("data", 36, "latin1");
  head.writeUInt32LE(data.length, 40);
  return Buffer.concat([head, data]);
}

/** A sum of sines of equal loudness, in the range -1 to 1. */
export function tone(frequencies: readonly number[], seconds: number, sampleRate: number): Float64Array {
  return Float64Array.from({ length: Math.round(seconds * sampleRate) }, (_, n) =>
    frequencies.reduce((sum, f) => sum + Math.sin((2 * Math.PI * f * n) / sampleRate) / frequencies.length, 0),
  );
}
