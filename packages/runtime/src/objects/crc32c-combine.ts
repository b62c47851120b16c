import { polynomial } from "./crc32c.js";

// A CRC is a remainder modulo the polynomial over GF(2). To append n bytes multiplies what came before by x to the power 8n, so
// that the CRCs of two pieces make that of both, without their bytes. In a word the coefficient of x⁰ is the highest bit.
const one = 0x80000000;

/** The CRC-32C of two pieces one after the other; `length` is that of the second, in bytes. */
export function combineCrc32c(first: number, second: number, length: number): number {
  return (multiply(powerOfX(length * 8), first) ^ second) >>> 0;
}

/** x^n modulo the polynomial, by repeated squaring. */
function powerOfX(n: number): number {
  let result = one;
  let square = one >>> 1;
  // Numbers of more than 32 bits: no bitwise operators.
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

function multiply(a: number, b: number): number {
  let sum = 0;
  let shifted = b;
  for (let bit = one; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) sum ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ polynomial;
  }
  return sum >>> 0;
}
