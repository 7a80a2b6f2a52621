// Trains as the page `train-here` does and prints the run: node record.js FOLDER_OF_SCRIPTS KERNEL.wasm SETTINGS
"use strict";

const fs = require("fs");
const path = require("path");
const [folder, kernel, text] = process.argv.slice(2);
const load = (name) => require(path.resolve(folder, `${name}.js`));
const makers = { makeRandom: load("random"), makeTasks: load("tasks"), makeStart: load("start"), makeTrainer: load("trainer") };
const settings = JSON.parse(text);
const { trainer, test } = load("session")(fs.readFileSync(kernel), settings, makers);
const start = performance.now();
while (trainer.done < trainer.steps) trainer.step();
const seconds = (performance.now() - start) / 1000;
const width = Math.max(1, Math.ceil(settings.steps / 150));
const mean = (losses) => losses.reduce((sum, x) => sum + x, 0) / losses.length;
const short = (key, x) => (typeof x === "number" && !Number.isInteger(x) ? Number(x.toPrecision(6)) : x);
const bins = trainer.nets.map(({ losses }) =>
  Array.from({ length: Math.ceil(losses.length / width) }, (_, i) => mean(losses.slice(i * width, (i + 1) * width))));
const run = { settings, width, bins, seconds, test: test(), lost: trainer.nets.map(({ lost }) => lost),
  nets: trainer.nets.map((_, k) => trainer.net(k)) };
console.log(JSON.stringify(run, short));
