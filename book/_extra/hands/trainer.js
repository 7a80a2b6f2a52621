// Trains nets by Adam, all in one pass, as alrnn.fit does: the recurrence, forward and backward, is alrnn's kernel.c in
// WebAssembly; readout, loss, clipping and Adam are here. Nets of one seed see the same data, whatever their P.
"use strict";

// exports: of the WebAssembly instance. task, sizes = {P: [...], seeds, M, T, batch}, training = {steps, rate, clip,
// warmup}. weights(P, seed) gives those of a net at the start; sample(seed, arrays) fills in its next batch.
function makeTrainer(exports, task, sizes, training, weights, sample) {
  const { M, seeds: K, batch: B } = sizes;
  const { N, O } = task;
  const T = task.length(sizes.T);
  const last = task.last(T);
  const nets = sizes.P.flatMap((P) => Array.from({ length: K }, (_, seed) => ({ P, seed, losses: [], lost: null })));

  if (!exports.plan(K, B, T, M, N, last)) throw new Error("there is not enough memory for nets of this size");
  const at = {};
  const names = { s: K * T * N * B, z0: K * B * M, z: K * last * M * B, grad: K * last * M * B, lower: K * M,
    gA: K * M, gWC: K * M * (M + N), gh: K * M };
  const shapes = { A: M, W: M * M, C: M * N, h: M, D: O * M, b: O };
  for (const [name, n] of Object.entries(shapes)) names[name] = nets.length * n;
  for (const [name, n] of Object.entries(names))
    if (!(at[name] = exports.take(4 * n))) throw new Error("there is not enough memory for so many nets");
  const view = {};
  for (const [name, n] of Object.entries(names)) view[name] = new Float32Array(exports.memory.buffer, at[name], n);
  const batches = Array.from({ length: K }, (_, k) => ({
    s: view.s.subarray(k * T * N * B, (k + 1) * T * N * B),
    target: new Float32Array(last * B), weight: new Float32Array(last * B),
  }));
  const parts = Object.entries(shapes).map(([name, n]) => {
    const [first, second] = [new Float32Array(names[name]), new Float32Array(names[name])];
    return { name, n, values: view[name], grad: new Float32Array(n), first, second };
  });
  const part = Object.fromEntries(parts.map((p) => [p.name, p]));
  nets.forEach((net, k) => {
    const start = weights(net.P, net.seed);
    for (const { name, n, values } of parts) values.set(start[name], k * n);
  });
  let done = 0;

  function run(group) { // states of the nets of one P
    const first = group * K;
    const P = sizes.P[group];
    for (let k = 0; k < K; k++)
      for (let i = 0; i < M; i++) view.lower[k * M + i] = i < M - P ? -Infinity : 0;
    const own = ["A", "W", "C", "h"].map((name) => at[name] + 4 * first * shapes[name]);
    exports.forward(at.s, at.z0, ...own, at.lower, at.z);
  }

  // Loss of net number `first + k` on its batch, and its gradients by D, b and the states; right: weight of right answers.
  function answer(first, k) {
    const { target, weight } = batches[k];
    const [D, b, gD, gb] = [part.D.values, part.b.values, part.D.grad, part.b.grad];
    const [d0, b0] = [(first + k) * O * M, (first + k) * O];
    const y = new Float64Array(O);
    let [total, loss, right] = [0, 0, 0];
    for (const w of weight) total += w;
    gD.fill(0);
    gb.fill(0);
    const base = k * last * M * B;
    view.grad.fill(0, base, base + last * M * B);
    for (let l = 0; l < last; l++)
      for (let q = 0; q < B; q++) {
        const w = weight[l * B + q];
        if (w === 0) continue;
        const z = base + l * M * B + q;
        let [best, most] = [0, -Infinity];
        for (let o = 0; o < O; o++) {
          let sum = b[b0 + o];
          for (let i = 0; i < M; i++) sum += D[d0 + o * M + i] * view.z[z + i * B];
          y[o] = sum;
          if (sum > most) [best, most] = [o, sum];
        }
        const asked = target[l * B + q];
        if (task.objective === "mse") {
          loss += w * (y[0] - asked) ** 2;
          y[0] = (2 * w * (y[0] - asked)) / total;
        } else {
          let sum = 0;
          for (let o = 0; o < O; o++) sum += Math.exp(y[o] - most);
          loss += w * (most + Math.log(sum) - y[asked]);
          right += best === asked && most > -Infinity ? w : 0;
          for (let o = 0; o < O; o++) y[o] = ((Math.exp(y[o] - most) / sum - (o === asked)) * w) / total;
        }
        for (let o = 0; o < O; o++) {
          gb[o] += y[o];
          for (let i = 0; i < M; i++) {
            gD[o * M + i] += y[o] * view.z[z + i * B];
            view.grad[z + i * B] += y[o] * D[d0 + o * M + i];
          }
        }
      }
    return { loss: loss / total, right: right / total };
  }

  // Share of the peak rate at this step: a linear rise, then half a cosine down to 0.
  function share(step) {
    const rise = Math.max(1, Math.round(training.warmup * training.steps));
    if (step < rise) return (step + 1) / rise;
    return (1 + Math.cos((Math.PI * (step - rise)) / Math.max(1, training.steps - rise))) / 2;
  }

  function update(k, local, rate) { // of net k, number `local` of its group
    const P = nets[k].P;
    for (let i = 0; i < M; i++) {
      part.A.grad[i] = i < M - P ? 0 : view.gA[local * M + i];
      part.h.grad[i] = view.gh[local * M + i];
      const row = (local * M + i) * (M + N);
      part.W.grad.set(view.gWC.subarray(row, row + M), i * M);
      part.C.grad.set(view.gWC.subarray(row + M, row + M + N), i * N);
    }
    let square = 0;
    for (const { grad } of parts) for (const g of grad) square += g * g;
    const norm = Math.sqrt(square);
    if (!Number.isFinite(norm)) return false;
    const scale = Math.min(1, training.clip / norm);
    const [c1, c2] = [1 - 0.9 ** (done + 1), Math.sqrt(1 - 0.999 ** (done + 1))];
    for (const { n, values, grad, first, second } of parts)
      for (let i = 0, j = k * n; i < n; i++, j++) {
        const g = norm > 0 ? grad[i] * scale : 0;
        first[j] = 0.9 * first[j] + 0.1 * g;
        second[j] = 0.999 * second[j] + 0.001 * g * g;
        values[j] -= ((rate / c1) * first[j]) / (Math.sqrt(second[j]) / c2 + 1e-8);
      }
    return true;
  }

  // One step of all nets. One that diverged (net.lost, the step) stays where it is.
  function step() {
    batches.forEach((arrays, seed) => sample(seed, arrays));
    const rate = training.rate * share(done);
    sizes.P.forEach((_, group) => {
      const first = group * K;
      run(group);
      const losses = batches.map((_, k) => {
        const own = answer(first, k);
        own.D = part.D.grad.slice();
        own.b = part.b.grad.slice();
        return own;
      });
      exports.backward(at.grad, at.gA, at.gWC, at.gh);
      losses.forEach(({ loss, D, b }, k) => {
        const net = nets[first + k];
        part.D.grad.set(D);
        part.b.grad.set(b);
        net.losses.push(loss);
        if (net.lost === null && !(Number.isFinite(loss) && update(first + k, k, rate))) net.lost = done;
      });
    });
    done++;
  }

  // Mean loss, and share of right answers, of each net on `many` batches of `fresh(arrays)`, the same for all.
  function score(many, fresh) {
    const scores = nets.map(() => ({ loss: 0, right: 0 }));
    for (let i = 0; i < many; i++) {
      fresh(batches[0]);
      for (const other of batches.slice(1)) for (const name of ["s", "target", "weight"]) other[name].set(batches[0][name]);
      sizes.P.forEach((_, group) => {
        run(group);
        for (let k = 0; k < K; k++) {
          const { loss, right } = answer(group * K, k);
          scores[group * K + k].loss += loss / many;
          scores[group * K + k].right += right / many;
        }
      });
    }
    return scores;
  }

  const net = (k) => ({ M, N, O, P: nets[k].P, seed: nets[k].seed,
    ...Object.fromEntries(parts.map(({ name, n, values }) => [name, Array.from(values.subarray(k * n, (k + 1) * n))])) });

  return { nets, step, score, net, get done() { return done; }, steps: training.steps, T };
}

if (typeof module !== "undefined") module.exports = makeTrainer;
