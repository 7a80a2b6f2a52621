// Drawings as SVG text, at the size at which they are shown, so that letters stay readable on a phone.
"use strict";

const charts = (() => {
  const COLOURS = ["#767676", "#0173B2", "#DE8F05", "#029E73", "#D55E00", "#CC78BC", "#CA9161"]; // colour-blind safe
  const DASHES = ["", "", "7 3", "2 3", "9 3 2 3", "4 4", "1 2"];
  const text = (x, y, words, more = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${words}</text>`;
  const line = (x1, y1, x2, y2, more = 'class="axis"') =>
    `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${more}/>`;
  const path = (points, more) =>
    points.length ? `<polyline points="${points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ")}" fill="none" ${more}/>` : "";
  const minus = (words) => String(words).replaceAll("-", "\u2212");
  const right = 'text-anchor="end"';
  const middle = 'text-anchor="middle"';

  // A frame for numbers x from x0 to x1 and y from y0 to y1, `log`: y by its logarithm; `names` of x = 1, 2, ... in place of
  // numbers. Gives places and the axes.
  function frame(svg, { x0, x1, y0, y1, log = false, names, height, left = 46, bottom = 34, top = 10, xlabel = "", ylabel = "" }) {
    const width = Math.max(260, svg.clientWidth || 600);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.style.height = `${height}px`;
    const scale = log ? Math.log10 : (y) => y;
    const X = (x) => left + ((x - x0) / (x1 - x0 || 1)) * (width - left - 10);
    const Y = (y) => top + (1 - (scale(y) - scale(y0)) / (scale(y1) - scale(y0) || 1)) * (height - top - bottom);
    let axes = line(left, top, left, height - bottom) + line(left, height - bottom, width - 10, height - bottom);
    const ys = log
      ? Array.from({ length: Math.round(scale(y1) - scale(y0)) + 1 }, (_, i) => 10 ** (Math.round(scale(y0)) + i))
      : ticks(y0, y1, 4);
    for (const y of ys) {
      const name = log && y < 0.01 ? `10<tspan dy="-5" font-size="9">${minus(Math.round(Math.log10(y)))}</tspan>` : minus(+y.toPrecision(3));
      axes += line(left - 4, Y(y), left, Y(y)) + text(left - 6, Y(y) + 4, name, right);
    }
    names?.forEach((name, i) => (axes += text(0, 0, name, `${right} transform="translate(${(X(i + 1) + 4).toFixed(1)} ${height - bottom + 12}) rotate(-60)"`)));
    for (const x of names ? [] : ticks(x0, x1, width < 420 ? 4 : 6))
      axes += line(X(x), height - bottom, X(x), height - bottom + 4) + text(X(x), height - bottom + 16, minus(+x.toPrecision(6)), middle);
    axes += text((left + width - 10) / 2, height - 4, xlabel, middle) + text(width - 14, top + 10, ylabel, right);
    return { X, Y, axes, width, height, left, bottom, top };
  }

  function ticks(from, to, about) {
    const rough = (to - from) / about || 1;
    const unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 5, 10].find((k) => k * unit >= rough);
    const found = [];
    for (let x = Math.ceil(from / step - 1e-9) * step; x <= to + 1e-9 * step; x += step) found.push(Math.abs(x) < 1e-12 ? 0 : x);
    return found;
  }

  // Eigenvalues of several maps, {name, values}, around the unit circle.
  function spectrum(svg, maps) {
    const side = Math.min(300, Math.max(220, svg.clientWidth || 300));
    const reach = Math.max(1.2, ...maps.flatMap(({ values }) => values.map((v) => 1.1 * Math.hypot(v.re, v.im))));
    const at = (x) => (side / 2) * (1 + x / reach);
    svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
    svg.style.height = `${side}px`;
    const axes = line(0, side / 2, side, side / 2) + line(side / 2, 0, side / 2, side);
    const circle = `<circle cx="${side / 2}" cy="${side / 2}" r="${(side / 2 / reach).toFixed(1)}" class="circle"/>`;
    const shape = (i, x, y) => [`M${x - 4.5} ${y}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0`, `M${x - 4} ${y - 4}h8v8h-8z`, `M${x} ${y - 5}l5 9h-10z`][i % 3];
    const mark = (i, x, y) => `<path d="${shape(i, +x.toFixed(1), +y.toFixed(1))}" fill="${COLOURS[i + 1]}" class="mark"/>`;
    const marks = maps.map(({ values }, i) => values.map((v) => mark(i, at(v.re), at(-v.im))).join(""));
    const key = maps.map(({ name }, i) => mark(i, 10, 14 + 18 * i) + text(20, 18 + 18 * i, name));
    return axes + circle + text(at(1) + 3, side / 2 - 5, "1") + text(side - 4, side / 2 + 14, "real", right) +
      text(side / 2 + 4, side - 6, "imaginary") + marks.join("") + key.join("");
  }

  return { COLOURS, DASHES, text, line, path, minus, frame, spectrum };
})();

if (typeof module !== "undefined") module.exports = charts;
