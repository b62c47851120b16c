"use strict";
// Keeps V8's compiled code of klio's bundles beside them: it halves the time to start a command. Node 20 has no
// module.enableCompileCache; on later versions that is used.
const { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } = require("node:fs");
const Module = require("node:module");
const { basename, dirname, join, relative, sep } = require("node:path");
const vm = require("node:vm");

module.exports = function useCompileCache(folder) {
  const cache = join(folder, "cache", `${process.version}-${process.arch}`);
  if (typeof Module.enableCompileCache === "function") {
    Module.enableCompileCache(cache);
    return;
  }
  const compile = Module.prototype._compile;
  Module.prototype._compile = function (content, filename) {
    if (!filename.startsWith(folder + sep)) return compile.call(this, content, filename);
    // V8 checks the length of the source alone: the rest of its identity is in the name.
    const { mtimeMs, size } = statSync(filename);
    const file = join(cache, `${relative(folder, filename).replaceAll(sep, "-")}-${size}-${mtimeMs}.bin`);
    const cachedData = read(file);
    const script = new vm.Script(Module.wrap(content), { filename, cachedData });
    const require = Module.createRequire(filename);
    script.runInThisContext().call(this.exports, this.exports, require, this, filename, dirname(filename));
    if (cachedData === undefined || script.cachedDataRejected) process.once("exit", () => write(file, script));
  };
};

function read(file) {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/** After the run, so that what was compiled lazily is in it too. Not being allowed to write costs only the time. */
function write(file, script) {
  const staging = `${file}.${process.pid}`;
  try {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(staging, script.createCachedData());
    renameSync(staging, join(dirname(file), basename(file)));
  } catch {
    rmSync(staging, { force: true });
  }
}
