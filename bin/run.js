#!/usr/bin/env node
"use strict";
require("../dist/oclif.js").execute({ dir: require("node:path").join(__dirname, "..") });
