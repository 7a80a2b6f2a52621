// From a drawing to a digit as MNIST has it: its box scaled to 20 x 20, without bending it, and laid into 28 x 28 so that the
// centre of mass is nearest to the middle of pixel 14, counted from 0 (LeCun, Bottou, Bengio & Haffner 1998; the last detail
// is read off the images themselves: so treated, they come out as they are).
"use strict";

const mnist = (() => {
  // ink: width x height numbers from 0 to 1, row by row. Gives 28 x 28 of them, or null if there is no ink.
  function centred(ink, width, height) {
    let [left, right, top, bottom] = [width, -1, height, -1];
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++)
        if (ink[y * width + x] > 0.05) {
          [left, right] = [Math.min(left, x), Math.max(right, x)];
          [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
        }
    if (right < 0) return null;
    const [w, h] = [right - left + 1, bottom - top + 1];
    const scale = 20 / Math.max(w, h);
    const [columns, rows] = [w, h].map((n) => Math.max(1, Math.round(n * scale)));
    const small = Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) =>
      average(ink, width, left + (j * w) / columns, left + ((j + 1) * w) / columns, top + (i * h) / rows, top + ((i + 1) * h) / rows)));
    let [sum, sx, sy] = [0, 0, 0];
    small.forEach((row, i) => row.forEach((v, j) => {
      sum += v;
      sx += v * (j + 0.5);
      sy += v * (i + 0.5);
    }));
    const place = (middle, n) => Math.max(0, Math.min(28 - n, Math.round(14.5 - middle)));
    const [x0, y0] = [place(sx / sum, columns), place(sy / sum, rows)];
    const image = new Array(784).fill(0);
    small.forEach((row, i) => row.forEach((v, j) => (image[(y0 + i) * 28 + x0 + j] = v)));
    return image;
  }

  // Mean ink of a rectangle whose sides may cut pixels.
  function average(ink, width, x0, x1, y0, y1) {
    let sum = 0;
    for (let y = Math.floor(y0); y < Math.ceil(y1 - 1e-9); y++)
      for (let x = Math.floor(x0); x < Math.ceil(x1 - 1e-9); x++)
        sum += ink[y * width + x] * (Math.min(x + 1, x1) - Math.max(x, x0)) * (Math.min(y + 1, y1) - Math.max(y, y0));
    return sum / ((x1 - x0) * (y1 - y0));
  }

  // The 28 rows, and the blank step after them.
  const rows = (image) => [...Array.from({ length: 28 }, (_, i) => image.slice(28 * i, 28 * (i + 1))), Array(28).fill(0)];

  function shares(logits) {
    const most = Math.max(...logits);
    const e = logits.map((y) => Math.exp(y - most));
    const sum = e.reduce((a, b) => a + b);
    return e.map((x) => x / sum);
  }

  // A net in which some PWL units pass nothing on: their columns of W are zero.
  function lesioned(net, units) {
    const off = new Set(units.map((i) => net.M - net.P + i));
    return { ...net, W: net.W.map((w, k) => (off.has(k % net.M) ? 0 : w)) };
  }

  return { centred, rows, shares, lesioned };
})();

if (typeof module !== "undefined") module.exports = mnist;
