#!/usr/bin/env node
"use strict";
const { join } = require("node:path");

const root = join(__dirname, "..");
const [first, ...rest] = process.argv.slice(2);
if (first === "--version" && rest.length === 0) {
  // The most common question, answered without loading anything.
  const { name, version } = require("../package.json");
  console.log(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}`);
} else {
  require("./compile-cache.js")(join(root, "dist"));
  require("../dist/oclif.js").execute({ dir: root });
}
