declare module "fourier-transform" {
  /** Complex DFT of a real signal whose length is a power of two: real and imaginary parts of the first N / 2 + 1 bins. */
  export function fft(
    input: Float64Array,
    output?: [Float64Array, Float64Array],
  ): readonly [re: Float64Array, im: Float64Array];
}
