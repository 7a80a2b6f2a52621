// The tasks of alrnn.tasks that nets are trained on here, and the least loss that a net with P = 0 can reach on each.
//
// A batch of B sequences lies as the kernel wants it: s[(t * N + channel) * B + sequence]; target and weight are
// [(step read) * B + sequence], for the last `last` of the T steps.
"use strict";

function makeTasks() {
  // Sum the two marked numbers of a stream; both marks are in its first half.
  const adding = {
    name: "adding", N: 2, O: 1, objective: "mse", least: 4, most: 100,
    channels: ["value", "mark"],
    length: (T) => T + (T % 2),
    last: () => 1,
    floor: (T) => (1 - 4 / T) / 6,
    silent: () => 1 / 6,
    sample(T, B, random, { s, target, weight }) {
      s.fill(0);
      weight.fill(1);
      for (let b = 0; b < B; b++) {
        for (let t = 0; t < T; t++) s[2 * t * B + b] = random.uniform();
        const first = random.integer(T / 2);
        const second = (first + 1 + random.integer(T / 2 - 1)) % (T / 2);
        target[b] = 0;
        for (const t of [first, second]) {
          s[(2 * t + 1) * B + b] = 1;
          target[b] += s[2 * t * B + b];
        }
      }
    },
  };

  // The sign of the summed evidence, or its opposite, as a rule shown at the first and the last step says.
  const inversion = {
    name: "rule inversion", N: 4, O: 2, objective: "cross_entropy", least: 5, most: 101, noise: 0.01,
    channels: ["keep", "invert", "evidence", "recall"],
    length: (T) => T + 1 - (T % 2),
    last: () => 1,
    floor: () => Math.log(2),
    silent: () => Math.log(2),
    sample(T, B, random, { s, target, weight }) {
      s.fill(0);
      weight.fill(1);
      for (let b = 0; b < B; b++) {
        const rule = random.integer(2);
        let total = 0;
        for (let t = 1; t < T - 1; t++) {
          const here = (4 * t + 2) * B + b;
          s[here] = 2 * random.integer(2) - 1 + inversion.noise * random.normal();
          total += s[here];
        }
        for (const t of [0, T - 1]) s[(4 * t + rule) * B + b] = 1;
        s[(4 * (T - 1) + 3) * B + b] = 1;
        target[b] = (1 - 2 * rule) * total > 0 ? 1 : 0;
      }
    },
  };

  // Two symbols out of four, five or more empty steps, a cue at one of w steps, then the symbols again. Given the steps
  // read so far, the first symbol may be due, or the second; but for the first and the last of these steps, both may be.
  // There the best net with P = 0 says both alike, as the chapter on copying proves: right if they are the same, and at
  // odds one half if not, in the limit of large weights. That is the floor.
  const copy = {
    name: "variable copy", N: 5, O: 4, objective: "cross_entropy", least: 12, most: 60, symbols: 2, delay: 5,
    channels: ["symbol 0", "symbol 1", "symbol 2", "symbol 3", "cue"],
    length: (T) => T,
    window: (T) => T - 2 * copy.symbols - copy.delay,
    last: (T) => copy.window(T) + copy.symbols - 1,
    floor: (T) => (1 - 1 / copy.window(T)) * (1 - 1 / copy.O) * Math.log(2),
    silent: () => Math.log(copy.O),
    sample(T, B, random, { s, target, weight }) {
      const S = copy.symbols;
      for (const array of [s, target, weight]) array.fill(0);
      for (let b = 0; b < B; b++) {
        const shift = random.integer(copy.window(T));
        s[(copy.N * (S + copy.delay + shift) + copy.O) * B + b] = 1;
        for (let i = 0; i < S; i++) {
          const symbol = random.integer(copy.O);
          s[(copy.N * i + symbol) * B + b] = 1;
          target[(shift + i) * B + b] = symbol;
          weight[(shift + i) * B + b] = 1;
        }
      }
    },
  };

  return { adding, inversion, copy };
}

if (typeof module !== "undefined") module.exports = makeTasks;
