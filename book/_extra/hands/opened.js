// A trained net, opened: one trial step by step with its gate, the regions it uses, and the eigenvalues of their maps.
// `train-here` and `trained` share it.
"use strict";

const opened = (() => {
  const { text, line, path, minus, frame, spectrum, COLOURS } = charts;
  const show = (x, digits = 2) => minus(x.toFixed(digits));
  const list = (words) => (words.length > 1 ? `${words.slice(0, -1).join(", ")} and ${words.at(-1)}` : words.join(""));

  // Fresh trials of a task as lists of inputs: [{inputs, target: [], weight: []}].
  function trials(task, T, B, random) {
    const last = task.last(T);
    const batch = { s: new Float32Array(T * task.N * B), target: new Float32Array(last * B), weight: new Float32Array(last * B) };
    task.sample(T, B, random, batch);
    return Array.from({ length: B }, (_, b) => ({
      inputs: Array.from({ length: T }, (_, t) => Array.from({ length: task.N }, (_, n) => batch.s[(t * task.N + n) * B + b])),
      target: Array.from({ length: last }, (_, l) => batch.target[l * B + b]),
      weight: Array.from({ length: last }, (_, l) => batch.weight[l * B + b]),
    }));
  }

  // The PWL units over a trial: a row each, filled where the unit is above 0; below, the answer. Marks: steps of note.
  function gate(svg, net, path_of_states, marks) {
    const T = path_of_states.length;
    const rows = Math.max(net.P, 1);
    const row = Math.max(6, Math.min(18, 160 / rows));
    const f = frame(svg, { x0: 0, x1: T, y0: 0, y1: rows, height: rows * row + 62, top: 22, left: 50, xlabel: "step" });
    const cell = f.X(1) - f.X(0);
    let drawn = "";
    path_of_states.forEach((z, t) => nets.bitsOf(net, z).forEach((bit, i) => {
      if (bit) drawn += `<rect x="${f.X(t).toFixed(1)}" y="${(22 + i * row).toFixed(1)}" width="${cell.toFixed(1)}" height="${(row - 1).toFixed(1)}" fill="${COLOURS[1]}"/>`;
    }));
    const flags = marks.map((t) => `<path d="M${(f.X(t + 0.5) - 4).toFixed(1)} 8h8l-4 10z" fill="${COLOURS[4]}"/>`).join("");
    const axes = f.axes.replace(/<text[^>]*text-anchor="end"[^>]*>.*?<\/text>/g, "");
    const names = net.P ? text(2, 22 + row / 2 + 4, "unit 1") + (net.P > 1 ? text(2, 22 + (net.P - 0.5) * row + 4, net.P) : "") : text(60, 36, "P = 0: no PWL unit, no gate");
    return axes + drawn + flags + names;
  }

  // Maps of the regions most used, at most three.
  function maps(net, visited) {
    return visited.slice(0, 3).map(({ bits }) => ({
      name: bits ? (bits.length > 8 ? `${bits.slice(0, 8)}…` : `bits ${bits}`) : "one region",
      values: nets.eigenvalues(nets.jacobian(net, [...bits].map(Number))),
    }));
  }

  function regionsInWords(visited, total) {
    const top = visited.slice(0, 3).map(({ bits, count }) => `${bits || "the only one"} (${show((100 * count) / total, 1)}%)`);
    return visited.length === 1 ? "One linear map is used at all steps" : `${visited.length} regions are used; the most frequent: ${list(top)}`;
  }

  const spectrumInWords = (all) => list(all.map(({ name, values }) => `${name}: largest modulus ${show(Math.hypot(values[0].re, values[0].im), 3)}`));

  return { trials, gate, maps, regionsInWords, spectrumInWords, spectrum, show, list };
})();
