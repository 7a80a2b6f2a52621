// One Almost-Linear RNN in float64, step by step: its states, answers, regions, maps and their eigenvalues.
//
// A net is {M, N, O, P, A, W, C, h, D, b}, matrices row by row in one list, as alrnn exports them. The bits of a region say
// which of the last P units are above 0.
"use strict";

const nets = (() => {
  // What an input, a list of N or the number of a word, adds to unit i.
  function entering({ N, C }, input, i) {
    if (Number.isInteger(input)) return C[i * N + input];
    let sum = 0;
    for (let j = 0; j < N; j++) sum += C[i * N + j] * input[j];
    return sum;
  }

  // The state after z, given the input of the step.
  function step(net, z, input) {
    const { M, P, A, W, h } = net;
    const passed = z.map((x, i) => (i >= M - P && !(x > 0) ? 0 : x));
    return z.map((x, i) => {
      let sum = A[i] * x + h[i] + entering(net, input, i);
      for (let j = 0; j < M; j++) sum += W[i * M + j] * passed[j];
      return sum;
    });
  }

  // States after each of the inputs, from z0 on, zero by default.
  function states(net, inputs, z0 = Array(net.M).fill(0)) {
    let z = z0;
    return inputs.map((input) => (z = step(net, z, input)));
  }

  const answer = ({ M, D, b }, z) => b.map((x, o) => z.reduce((sum, value, i) => sum + D[o * M + i] * value, x));
  const bitsOf = (net, z) => z.slice(net.M - net.P).map((x) => (x > 0 ? 1 : 0));

  // The net without what PWL unit number `lost` passes on; itself where that is below 0.
  const without = (net, lost) => (lost < 0 ? net : { ...net, W: net.W.map((w, k) => (k % net.M === net.M - net.P + lost ? 0 : w)) });

  // J = A + W diag(1, ..., 1, bits), rows in one list.
  function jacobian({ M, P, A, W }, bits) {
    const on = [...Array(M - P).fill(1), ...bits];
    return W.map((w, k) => w * on[k % M] + (k % (M + 1) === 0 ? A[k / (M + 1)] : 0));
  }

  // Regions of many states, the most frequent first: bits as text, and how often.
  function visits(net, paths) {
    const counts = new Map();
    for (const path of paths)
      for (const z of path) {
        const name = bitsOf(net, z).join("");
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    return [...counts].map(([bits, count]) => ({ bits, count })).sort((p, q) => q.count - p.count);
  }

  // Of an n x n matrix, the largest modulus first. Gauss transforms to Hessenberg form, then QR steps in complex numbers
  // with Wilkinson's shift, from the last row up.
  function eigenvalues(matrix) {
    const n = Math.sqrt(matrix.length);
    const re = Array.from({ length: n }, (_, i) => matrix.slice(i * n, (i + 1) * n));
    for (let k = 1; k < n - 1; k++) {
      let pivot = k;
      for (let i = k + 1; i < n; i++) if (Math.abs(re[i][k - 1]) > Math.abs(re[pivot][k - 1])) pivot = i;
      if (re[pivot][k - 1] === 0) continue;
      [re[k], re[pivot]] = [re[pivot], re[k]];
      for (const row of re) [row[k], row[pivot]] = [row[pivot], row[k]];
      for (let i = k + 1; i < n; i++) {
        const factor = re[i][k - 1] / re[k][k - 1];
        for (let j = k - 1; j < n; j++) re[i][j] -= factor * re[k][j];
        for (const row of re) row[k] += factor * row[i];
        re[i][k - 1] = 0;
      }
    }
    const im = re.map((row) => row.map(() => 0));
    for (let high = n - 1, tries = 0; high > 0; ) {
      let low = high;
      const size = (i, j) => Math.abs(re[i][j]) + Math.abs(im[i][j]);
      while (low > 0 && size(low, low - 1) > 2e-16 * (size(low, low) + size(low - 1, low - 1))) low--;
      if (low === high || tries > 300) {
        high--;
        tries = 0;
      } else qrStep(re, im, low, high, ++tries % 10 === 0);
    }
    const found = re.map((row, i) => ({ re: row[i], im: im[i][i] }));
    return found.sort((p, q) => Math.hypot(q.re, q.im) - Math.hypot(p.re, p.im));
  }

  // H - shift = QR, then RQ + shift, rows and columns low to high; `odd`: another shift, where the usual one goes round.
  function qrStep(re, im, low, high, odd) {
    let [sr, si] = [re[high][high], im[high][high]];
    if (odd) sr += Math.abs(re[high][high - 1]) + Math.abs(im[high][high - 1]);
    else {
      const h = high - 1; // the eigenvalue of the last two rows that is nearer to the last entry
      const [dr, di] = [(re[h][h] - sr) / 2, (im[h][h] - si) / 2];
      const br = re[h][high] * re[high][h] - im[h][high] * im[high][h];
      const bi = re[h][high] * im[high][h] + im[h][high] * re[high][h];
      const [qr, qi] = [dr * dr - di * di + br, 2 * dr * di + bi];
      const length = Math.hypot(qr, qi);
      let rr = Math.sqrt((length + qr) / 2 || 0);
      let ri = Math.sign(qi || 1) * Math.sqrt(Math.max(length - qr, 0) / 2);
      if (rr * dr + ri * di > 0) [rr, ri] = [-rr, -ri];
      [sr, si] = [sr + dr + rr, si + di + ri];
    }
    for (let i = low; i <= high; i++) [re[i][i], im[i][i]] = [re[i][i] - sr, im[i][i] - si];
    const turns = [];
    for (let k = low; k < high; k++) {
      const length = Math.hypot(re[k][k], im[k][k], re[k + 1][k], im[k + 1][k]) || 1;
      const turn = [re[k][k] / length, im[k][k] / length, re[k + 1][k] / length, im[k + 1][k] / length];
      turns.push(turn);
      const [cr, ci, dr, di] = turn;
      for (let j = k; j <= high; j++) { // rows k, k + 1: (conj(c) x + conj(d) y, -d x + c y)
        const [xr, xi, yr, yi] = [re[k][j], im[k][j], re[k + 1][j], im[k + 1][j]];
        re[k][j] = cr * xr + ci * xi + dr * yr + di * yi;
        im[k][j] = cr * xi - ci * xr + dr * yi - di * yr;
        re[k + 1][j] = cr * yr - ci * yi - dr * xr + di * xi;
        im[k + 1][j] = cr * yi + ci * yr - dr * xi - di * xr;
      }
    }
    turns.forEach(([cr, ci, dr, di], number) => {
      const k = low + number;
      for (let i = low; i <= Math.min(k + 1, high); i++) { // columns: (x c + y d, -x conj(d) + y conj(c))
        const [xr, xi, yr, yi] = [re[i][k], im[i][k], re[i][k + 1], im[i][k + 1]];
        re[i][k] = xr * cr - xi * ci + yr * dr - yi * di;
        im[i][k] = xr * ci + xi * cr + yr * di + yi * dr;
        re[i][k + 1] = -xr * dr - xi * di + yr * cr + yi * ci;
        im[i][k + 1] = -xi * dr + xr * di + yi * cr - yr * ci;
      }
    });
    for (let i = low; i <= high; i++) [re[i][i], im[i][i]] = [re[i][i] + sr, im[i][i] + si];
  }

  return { step, states, answer, bitsOf, without, jacobian, visits, eigenvalues };
})();

if (typeof module !== "undefined") module.exports = nets;
