// One training as the page asks for it: settings in, steps and messages out. It runs in a worker, and in node for the tests
// and for the run that the build records.
"use strict";

// bytes: of the WebAssembly module. parts: the functions of the other files, by name.
function makeSession(bytes, settings, { makeRandom, makeTasks, makeStart, makeTrainer }) {
  const task = makeTasks()[settings.task];
  const { starts, draw } = makeStart();
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const sizes = { P: settings.P, seeds: settings.seeds, M: settings.M, T: settings.T, batch: 64 };
  const training = { steps: settings.steps, rate: settings.rate, clip: settings.clip ?? 0.1, warmup: 0.05 };
  const T = task.length(settings.T);
  const streams = Array.from({ length: sizes.seeds }, (_, seed) => makeRandom(seed, 2));
  const start = starts[settings.task][settings.start];
  const weights = (P, seed) => draw(start, { ...task, M: sizes.M, P }, makeRandom(seed, 1));
  const trainer = makeTrainer(exports, task, sizes, training, weights, (seed, arrays) =>
    task.sample(T, sizes.batch, streams[seed], arrays));

  // Test scores: 4,096 trials that no net was trained on, the same for all.
  function test() {
    const random = makeRandom(0, 3);
    return trainer.score(64, (arrays) => task.sample(T, sizes.batch, random, arrays));
  }

  return { trainer, test };
}

if (typeof module !== "undefined") module.exports = makeSession;
