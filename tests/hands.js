// What test_hands.py asks of the page's scripts, in node and in a browser. parts: what they define, by name; bytes: the kernel.
"use strict";

function makeAsk(parts, bytes) {
  const { makeRandom, makeTasks, makeStart, makeTrainer } = parts;
  const makers = { makeRandom, makeTasks, makeStart, makeTrainer };
  const tasks = makers.makeTasks();
  const list = (batch) => Object.fromEntries(Object.entries(batch).map(([name, x]) => [name, Array.from(x)]));
  const empty = (task, T, B) => ({ s: new Float32Array(T * task.N * B), target: new Float32Array(task.last(T) * B),
    weight: new Float32Array(task.last(T) * B) });
  const ask = {
    nets: (name, ...given) => parts.nets[name](...given),
    mnist: (name, ...given) => parts.mnist[name](...given),
    words: (name, ...given) => parts.words[name](...given),
    facts: (name, T) => ({ ...tasks[name], T: tasks[name].length(T), last: tasks[name].last(T),
      floor: tasks[name].floor(T), silent: tasks[name].silent(T) }),
    sample(name, T, B, seed) {
      const batch = empty(tasks[name], T, B);
      tasks[name].sample(T, B, makers.makeRandom(seed, 9), batch);
      return list(batch);
    },
    random(kind, seed, n, most) {
      const random = makers.makeRandom(seed, 0);
      return Array.from({ length: n }, () => random[kind](most));
    },
    draw(task, start, sizes, seed) {
      const { starts, draw } = makers.makeStart();
      return list(draw(starts[task][start], sizes, makers.makeRandom(seed, 1)));
    },
    train(settings, steps) { // with the batches that the nets of each seed saw
      const batches = [];
      const seen = { ...makers, makeTrainer: (exports, task, sizes, training, weights, sample) => makers.makeTrainer(
        exports, task, sizes, training, weights, (seed, arrays) => {
          sample(seed, arrays);
          (batches[seed] ??= []).push(list(arrays));
        }) };
      const { trainer, test } = parts.makeSession(bytes, settings, seen);
      const all = () => trainer.nets.map((_, k) => trainer.net(k));
      const start = all();
      for (let i = 0; i < steps; i++) trainer.step();
      return { start, end: all(), losses: trainer.nets.map(({ losses }) => losses), batches, test: test(),
        lost: trainer.nets.map(({ lost }) => lost) };
    },
    adam(start, gradients, training) { // of h alone: a kernel that has these gradients, whatever the states
      const memory = new WebAssembly.Memory({ initial: 1 });
      let [top, step] = [0, 0];
      const exports = { memory, plan: () => 1, take: (n) => (top += n + 4) - n, forward() {},
        backward: (grad, gA, gWC, gh) => new Float32Array(memory.buffer, gh, start.length).set(gradients[step++]) };
      const task = { N: 1, O: 1, objective: "mse", length: (T) => T, last: () => 1 };
      const zero = (n) => new Float32Array(n);
      const M = start.length;
      const weights = () => ({ A: zero(M), W: zero(M * M), C: zero(M), h: start, D: zero(M), b: zero(1) });
      const trainer = makeTrainer(exports, task, { P: [0], seeds: 1, M, T: 1, batch: 1 },
        { ...training, steps: gradients.length, warmup: 0.05 }, weights, (seed, { weight }) => weight.fill(1));
      for (let i = 0; i < gradients.length; i++) trainer.step();
      return trainer.net(0).h;
    },
    kernel({ K, B, T, M, N, last }, given) {
      const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
      if (!exports.plan(K, B, T, M, N, last)) throw new Error("no memory");
      const out = { z: K * last * M * B, gA: K * M, gWC: K * M * (M + N), gh: K * M };
      const at = {};
      const sizes = { ...Object.fromEntries(Object.entries(given).map(([name, x]) => [name, x.length])), ...out };
      for (const [name, n] of Object.entries(sizes)) at[name] = exports.take(4 * n);
      const view = (name) => new Float32Array(exports.memory.buffer, at[name], sizes[name]);
      for (const [name, x] of Object.entries(given)) view(name).set(x.map((y) => y ?? -Infinity));
      exports.forward(...["s", "z0", "A", "W", "C", "h", "lower", "z"].map((name) => at[name]));
      exports.backward(...["grad", "gA", "gWC", "gh"].map((name) => at[name]));
      return Object.fromEntries(Object.keys(out).map((name) => [name, Array.from(view(name))]));
    },
  };
  return (name, ...given) => ask[name](...given);
}

if (typeof module !== "undefined") module.exports = makeAsk;
