import { burn } from "../jobs/burn/src/burn.js";

// A bare process that burns: told how many times on its standard input, it says when it is done.
for (let i = 0; i < 5; i += 1) burn(i); // compiled by then
process.stdin.once("end", () => process.exit());
process.stdin.on("data", (count: Buffer) => {
  let out = 0;
  for (let i = 0; i < Number(count.toString()); i += 1) out ^= burn(i);
  process.stdout.write(`done ${out}\n`);
});
process.stdout.write("ready\n");
