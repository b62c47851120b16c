import { defineTransform } from "@klio/runtime";

interface Envelope {
  readonly windowMs: number;
  /** 0 to 1. */
  readonly levels: readonly number[];
}

const height = 120;

/** Draws an envelope as a mirrored area, a pixel a window. */
export const chart = defineTransform("chart", {
  async process(item, ctx) {
    const { levels, windowMs } = JSON.parse(Buffer.from(await ctx.read(item)).toString()) as Envelope;
    const y = (level: number) => (height / 2 - (level * height) / 2).toFixed(1);
    const above = levels.map((level, x) => `${x},${y(level)}`);
    const below = levels.map((level, x) => `${x},${y(-level)}`).reverse();
    const seconds = ((levels.length * windowMs) / 1_000).toFixed(1);
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${levels.length} ${height}" role="img">
<title>${seconds} s</title>
<polygon points="${[...above, ...below].join(" ")}" fill="#1f6feb"/>
</svg>
`;
    const { uri } = await ctx.upload(item, svg, { contentType: "image/svg+xml" });
    return item.with(uri);
  },
});
