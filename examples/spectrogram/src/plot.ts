import { createRequire } from "node:module";
import { createCanvas, GlobalFonts, ImageData, type SKRSContext2D } from "@napi-rs/canvas";
import { ticks } from "d3-array";
import { interpolateMagma } from "d3-scale-chromatic";
import type { Spectrogram } from "./stft.js";

export interface PlotOptions {
  readonly title: string;
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples from one frame to the next. */
  readonly hop: number;
  /** Length of the recording in seconds. */
  readonly duration: number;
  /** How far below the loudest point the colours reach, in dB; a positive number. */
  readonly range: number;
}

/** Where the spectrogram itself lies in the picture, in pixels. */
export const area = { left: 84, top: 64, width: 1_000, height: 480 } as const;
const size = { width: 1_240, height: 640 } as const;
const bar = { left: 1_112, width: 18 } as const;
const ink = "#1f2430";
const faint = "#8a90a0";
const family = "Spectrogram";

const require = createRequire(import.meta.url);
for (const weight of [400, 600]) {
  GlobalFonts.registerFromPath(require.resolve(`@fontsource/inter/files/inter-latin-${weight}-normal.woff2`), family);
}

const palette = Array.from({ length: 256 }, (_, i) => rgb(interpolateMagma(i / 255)));

/** Draws a spectrogram as PNG: log magnitude in colours, with axes, ticks, units and a colour bar. */
export function plot(spectrogram: Spectrogram, options: PlotOptions): Uint8Array {
  const canvas = createCanvas(size.width, size.height);
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, size.width, size.height);
  const peak = spectrogram.magnitudes.reduce((a, b) => Math.max(a, b), 0);
  context.putImageData(raster(spectrogram, peak, options), area.left, area.top);
  drawFrame(context, options);
  drawTimeAxis(context, options.duration);
  drawFrequencyAxis(context, options.sampleRate / 2);
  drawBar(context, peak, options.range);
  return canvas.toBuffer("image/png");
}

/** The row of a frequency in the picture, in pixels from its top. */
export function rowOf(frequency: number, sampleRate: number): number {
  return area.top + area.height * (1 - frequency / (sampleRate / 2));
}

function raster(spectrogram: Spectrogram, peak: number, { hop, sampleRate, duration, range }: PlotOptions): ImageData {
  const { frames, bins } = spectrogram;
  const pixels = new Uint8ClampedArray(area.width * area.height * 4);
  // A frame stands for the middle of its window.
  const frameAt = (x: number) => ((x / area.width) * duration * sampleRate - (bins - 1)) / hop;
  for (let x = 0; x < area.width; x += 1) {
    const first = Math.max(0, Math.floor(frameAt(x)));
    const last = Math.max(first, Math.ceil(frameAt(x + 1)) - 1);
    for (let y = 0; y < area.height; y += 1) {
      const low = ((area.height - y - 1) / area.height) * (bins - 1);
      const high = ((area.height - y) / area.height) * (bins - 1);
      const magnitude = loudest(spectrogram, Math.min(first, frames - 1), Math.min(last, frames - 1), low, high);
      const decibels = peak === 0 ? -range : 20 * Math.log10(Math.max(magnitude / peak, 1e-12));
      const level = Math.max(0, Math.min(255, Math.round(255 * (1 + decibels / range))));
      const [red, green, blue] = palette[level] ?? [0, 0, 0];
      pixels.set([red, green, blue, 255], (y * area.width + x) * 4);
    }
  }
  return new ImageData(pixels, area.width, area.height);
}

/** The loudest value of a pixel's frames and frequencies; between two frequencies it is interpolated. */
function loudest({ bins, magnitudes }: Spectrogram, first: number, last: number, low: number, high: number): number {
  let most = 0;
  for (let frame = first; frame <= last; frame += 1) {
    const at = (bin: number) => magnitudes[frame * bins + bin] ?? 0;
    const middle = (low + high) / 2;
    const below = Math.floor(middle);
    most = Math.max(most, at(below) + (at(Math.min(below + 1, bins - 1)) - at(below)) * (middle - below));
    for (let bin = Math.ceil(low); bin < high; bin += 1) most = Math.max(most, at(bin));
  }
  return most;
}

function drawFrame(context: SKRSContext2D, { title }: PlotOptions): void {
  context.strokeStyle = ink;
  context.lineWidth = 1;
  context.strokeRect(area.left - 0.5, area.top - 0.5, area.width + 1, area.height + 1);
  context.fillStyle = ink;
  context.font = `600 20px ${family}`;
  context.textAlign = "left";
  context.textBaseline = "alphabetic";
  context.fillText(title, area.left, area.top - 22, area.width);
}

function drawTimeAxis(context: SKRSContext2D, duration: number): void {
  const bottom = area.top + area.height;
  for (const value of ticks(0, duration, 10)) {
    const x = Math.round(area.left + (value / duration) * area.width) + 0.5;
    line(context, x, bottom, x, bottom + 6);
    label(context, String(value), x, bottom + 11, "center", "top");
  }
  caption(context, "Time (s)", area.left + area.width / 2, bottom + 40);
}

function drawFrequencyAxis(context: SKRSContext2D, nyquist: number): void {
  for (const value of ticks(0, nyquist / 1_000, 8)) {
    const y = Math.round(area.top + area.height * (1 - (value * 1_000) / nyquist)) + 0.5;
    line(context, area.left - 6, y, area.left, y);
    label(context, String(value), area.left - 12, y, "right", "middle");
  }
  context.save();
  context.translate(28, area.top + area.height / 2);
  context.rotate(-Math.PI / 2);
  caption(context, "Frequency (kHz)", 0, 0);
  context.restore();
}

function drawBar(context: SKRSContext2D, peak: number, range: number): void {
  for (let y = 0; y < area.height; y += 1) {
    const [red, green, blue] = palette[Math.round(255 * (1 - y / (area.height - 1)))] ?? [0, 0, 0];
    context.fillStyle = `rgb(${red}, ${green}, ${blue})`;
    context.fillRect(bar.left, area.top + y, bar.width, 1);
  }
  context.strokeRect(bar.left - 0.5, area.top - 0.5, bar.width + 1, area.height + 1);
  // 0 dB is a full-scale sine.
  const top = peak === 0 ? 0 : 20 * Math.log10(2 * peak);
  for (const value of ticks(top - range, top, 8)) {
    const y = Math.round(area.top + (area.height * (top - value)) / range) + 0.5;
    line(context, bar.left + bar.width, y, bar.left + bar.width + 5, y);
    label(context, String(value).replace("-", "−"), bar.left + bar.width + 10, y, "left", "middle");
  }
  context.save();
  context.translate(size.width - 30, area.top + area.height / 2);
  context.rotate(-Math.PI / 2);
  caption(context, "Level (dB of full scale)", 0, 0);
  context.restore();
}

function line(context: SKRSContext2D, x1: number, y1: number, x2: number, y2: number): void {
  context.strokeStyle = faint;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

type Align = SKRSContext2D["textAlign"];
type Baseline = SKRSContext2D["textBaseline"];

function label(context: SKRSContext2D, text: string, x: number, y: number, align: Align, baseline: Baseline): void {
  context.fillStyle = ink;
  context.font = `400 14px ${family}`;
  context.textAlign = align;
  context.textBaseline = baseline;
  context.fillText(text, x, y);
}

function caption(context: SKRSContext2D, text: string, x: number, y: number): void {
  context.fillStyle = ink;
  context.font = `400 15px ${family}`;
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillText(text, x, y);
}

function rgb(text: string): readonly [number, number, number] {
  const hex = /^#(..)(..)(..)$/.exec(text);
  const parts = hex === null ? /(\d+), (\d+), (\d+)/.exec(text) : hex;
  const number = (i: number) => Number.parseInt(parts?.[i] ?? "0", hex === null ? 10 : 16);
  return [number(1), number(2), number(3)];
}
