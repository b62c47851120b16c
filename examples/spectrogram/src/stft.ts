import { fft } from "fourier-transform";

export interface StftOptions {
  /** Samples in a window; a power of two. */
  readonly window: number;
  /** Samples from one window to the next. */
  readonly hop: number;
}

/** Magnitudes of a short-time Fourier transform. */
export interface Spectrogram {
  readonly frames: number;
  /** Frequencies in each frame, from 0 to half the sample rate: window / 2 + 1. */
  readonly bins: number;
  /** frames × bins, frame by frame. A full-scale sine is 0.5. */
  readonly magnitudes: Float64Array;
}

/**
 * Short-time Fourier transform with a periodic Hann window and no padding: the numbers of
 * `scipy.signal.stft(x, window="hann", nperseg=window, noverlap=window - hop, boundary=None, padded=False)`.
 * A signal shorter than one window is filled up with silence.
 */
export function stft(samples: Float64Array, { window, hop }: StftOptions): Spectrogram {
  const hann = Float64Array.from({ length: window }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / window));
  const sum = hann.reduce((a, b) => a + b, 0);
  const frames = Math.max(1, Math.floor((samples.length - window) / hop) + 1);
  const bins = window / 2 + 1;
  const magnitudes = new Float64Array(frames * bins);
  const piece = new Float64Array(window);
  const spectrum: [Float64Array, Float64Array] = [new Float64Array(bins), new Float64Array(bins)];
  for (let frame = 0; frame < frames; frame += 1) {
    for (let n = 0; n < window; n += 1) piece[n] = (samples[frame * hop + n] ?? 0) * (hann[n] ?? 0);
    const [re, im] = fft(piece, spectrum);
    for (let bin = 0; bin < bins; bin += 1) {
      magnitudes[frame * bins + bin] = Math.hypot(re[bin] ?? 0, im[bin] ?? 0) / sum;
    }
  }
  return { frames, bins, magnitudes };
}
