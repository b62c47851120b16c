import { defineJob, defineTransform, type Item, json, merge, skip, tag } from "@klio/runtime";

// Checked by the compiler alone (npm run check): what is wrong here must be an error, what is right must not.

interface Spectrum {
  readonly peak: number;
}

const analyse = defineTransform("analyse", {
  setup: () => ({ fft: (bytes: Uint8Array): Spectrum => ({ peak: bytes.length }) }),
  async process(item, ctx) {
    const s = ctx.state.fft(await ctx.read(item));
    if (s.peak < 1) return skip("silence");
    return s.peak > 5 ? tag("loud", s) : tag("quiet", s);
  },
});
const plot = defineTransform("plot", { process: (item: Item<Spectrum>) => item.with(`${item.payload.peak}`) });
const several = defineTransform("several", {
  async *process(item) {
    yield item.with("one");
    yield await Promise.resolve(item.with("two"));
  },
});
const spectrumOut = defineTransform("spectrum", {
  process: (item) => item.with<Spectrum>({ peak: item.payload.length }),
});

export const right = defineJob({
  build(input) {
    const [loud, quiet] = input.apply(analyse).branch("loud", "quiet");
    return merge(loud.apply(plot, "plot-loud"), quiet.apply(plot, "plot-quiet"));
  },
});
export const generator = defineJob({ build: (input) => input.apply(several) });
export const declared = defineJob({
  build: (input) => input.apply(defineTransform("json", { process: (item) => item.with(json({ a: [1, "b", null] })) })),
});
export const nothing = defineJob({
  build: (input) => input.apply(defineTransform("none", { process: (item) => item.with(undefined) })),
});

export const wrongTag = defineJob({
  build(input) {
    // @ts-expect-error -- there is no tag "laud"
    const [laud] = input.apply(analyse).branch("laud");
    // @ts-expect-error -- and so no pipeline of it
    return laud.apply(plot);
  },
});
// @ts-expect-error -- plot takes a Spectrum, the input is bytes
export const wrongPayload = defineJob({ build: (input) => input.apply(plot) });
// @ts-expect-error -- a Spectrum cannot leave the job
export const cannotLeave = defineJob({ build: (input) => input.apply(spectrumOut) });
export const forgotten = defineTransform("forgotten", {
  // @ts-expect-error -- the return is missing
  process(item) {
    item.with("x");
  },
});
export const emptyBuild = defineJob({
  // @ts-expect-error -- build returns nothing
  build(input) {
    input.apply(several);
  },
});
// @ts-expect-error -- a function is no JSON
export const noJson = json({ f: () => 1 });
// @ts-expect-error -- analyse has no untagged output
export const untagged = defineJob({ build: (input) => input.apply(analyse).apply(plot) });
