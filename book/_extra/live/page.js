// The page of the live explorer: controls, the state plane, the eigenvalues, a table and a summary in words.
// All numbers come from mathematics.js; all state is in the controls.
"use strict";

(() => {
  const root = document.getElementById("live");
  const COLOURS = ["#0173B2", "#DE8F05", "#029E73", "#D55E00"]; // of regions, as in the book's other figures
  const SIDE = 400; // of both drawings, in units of their viewBox
  const get = (name) => root.querySelector(`[name="${name}"]`);
  const show = (x, digits = 2) => (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "\u2212");
  const pair = (z) => `(${show(z[0])}, ${show(z[1])})`;
  const colour = (bits) => COLOURS[parseInt("0" + bits.join(""), 2)];
  const named = (bits) => (bits.length ? `bits ${bits.join(" ")}` : "one region");

  // Controls. A weight's name says where it stands: W12 is W[0][1], from unit 2 to unit 1.
  const sub = (name) => name.replace(/\d/g, (digit) => "₀₁₂"[digit]);
  const slider = (name, meaning, least = -2, most = 2) => `<label>${sub(name)} <input type="range" name="${name}"
    min="${least}" max="${most}" step="0.05" aria-label="${sub(name)}, ${meaning}" title="${meaning}"><output></output></label>`;
  const group = (legend, inside) => `<fieldset><legend>${legend}</legend>${inside}</fieldset>`;

  function build() {
    const names = Object.keys(live.presets).map((name) => `<option>${name}</option>`).join("");
    const dial = [0, 1, 2].map((P) => `<label><input type="radio" name="P" value="${P}"> ${P}</label>`).join(" ");
    root.innerHTML = `
      <div class="live-top"><label>Start from <select name="preset">${names}</select></label>
        <p class="live-note"></p></div>
      <div class="live-figures">
        <figure><svg class="live-plane" viewBox="0 0 ${SIDE} ${SIDE}" role="img"></svg>
          <figcaption>The state plane. Click: start there. Arrows: one step, long ones shortened.
            <span class="live-key"></span></figcaption></figure>
        <figure><svg class="live-spectrum" viewBox="0 0 ${SIDE} ${SIDE}" role="img"></svg>
          <figcaption>Eigenvalues of each region's map, in its colour, and the unit circle.</figcaption></figure>
      </div>
      <p class="live-summary" role="status" aria-live="polite"></p>
      <div class="live-controls">
        ${group("P, nonlinear units", dial)}
        ${group("Weights W", [1, 2].map((i) => [1, 2].map((j) => slider(`W${i}${j}`, `from unit ${j} to unit ${i}`)).join("")).join(""))}
        ${group("Self-weights A of PWL units", [1, 2].map((i) => slider(`A${i}`, `of unit ${i}`)).join(""))}
        ${group("Bias h", [1, 2].map((i) => slider(`h${i}`, `of unit ${i}`)).join(""))}
        ${group("Start of the trajectory", [1, 2].map((i) => slider(`z${i}`, `state of unit ${i} at the start`, -5, 5)).join(""))}
        ${group("View", slider("view", "from the middle of the plane to its edge", 0.5, 5))}
      </div>
      <div class="live-table"><table><caption>One linear map per region</caption><thead><tr>
        <th scope="col">region</th><th scope="col">map J</th><th scope="col">eigenvalues</th>
        <th scope="col">fixed point</th><th scope="col">kind</th></tr></thead><tbody></tbody></table></div>`;
    root.addEventListener("input", (event) => (event.target.name === "preset" ? load(event.target.value) : draw()));
    const plane = root.querySelector(".live-plane");
    const aim = (event) => {
      const box = plane.getBoundingClientRect();
      const view = Number(get("view").value);
      get("z1").value = (((event.clientX - box.left) / box.width) * 2 - 1) * view;
      get("z2").value = (1 - ((event.clientY - box.top) / box.height) * 2) * view;
      draw();
    };
    plane.addEventListener("pointerdown", aim);
    plane.addEventListener("pointermove", (event) => event.buttons && aim(event));
  }

  function load(name) {
    const { net, start, view, note } = live.presets[name];
    get("preset").value = name;
    root.querySelector(`[name="P"][value="${net.P}"]`).checked = true;
    for (const i of [0, 1]) {
      for (const j of [0, 1]) get(`W${i + 1}${j + 1}`).value = net.W[i][j];
      get(`A${i + 1}`).value = net.A[i];
      get(`h${i + 1}`).value = net.h[i];
      get(`z${i + 1}`).value = start[i];
    }
    get("view").value = view;
    root.querySelector(".live-note").textContent = note;
    draw();
  }

  function read() {
    const vector = (name) => [1, 2].map((i) => Number(get(name + i).value));
    const net = { P: Number(root.querySelector('[name="P"]:checked').value), A: vector("A"), h: vector("h"), W: [vector("W1"), vector("W2")] };
    return { net, start: vector("z"), view: Number(get("view").value) };
  }

  // Drawings. `at` takes a state to the coordinates of the drawing.
  const line = ([x1, y1], [x2, y2], attributes) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${attributes}/>`;
  const text = ([x, y], words, attributes = "") => `<text x="${x}" y="${y}" ${attributes}>${words}</text>`;
  const scale = (view) => ([x, y]) => [SIDE / 2 + (x / view) * (SIDE / 2), SIDE / 2 - (y / view) * (SIDE / 2)];

  function grounds(net, view, at) {
    return live.regions(net.P).map((bits) => {
      const ends = [0, 1].map((unit) => {
        const bit = bits[unit - 2 + net.P];
        return [bit === 1 ? 0 : -view, bit === 0 ? 0 : view];
      });
      const [[left, right], [bottom, top]] = ends;
      const [[x0, y0], [x1, y1]] = [at([left, top]), at([right, bottom])];
      const edge = right > 0 && left === 0 ? [SIDE - 6, "end"] : [6, "start"];
      const name = text([edge[0], top > 0 ? 16 : SIDE - 22], named(bits), `text-anchor="${edge[1]}"`);
      return `<rect x="${x0}" y="${y0}" width="${x1 - x0}" height="${y1 - y0}" fill="${colour(bits)}" class="live-ground"/>${name}`;
    }).join("");
  }

  function arrows(net, view, at) {
    let path = "";
    for (let i = -7; i <= 7; i++) for (let j = -7; j <= 7; j++) {
      const z = [(i * view) / 7.5, (j * view) / 7.5];
      const change = live.step(net, z).map((x, k) => x - z[k]);
      const long = Math.hypot(...change);
      if (long < 1e-12) continue;
      const reach = Math.min(Math.sqrt(long / view) * 20, 24); // in units of the drawing
      const [ex, ey] = [change[0] / long, -change[1] / long];
      const [x, y] = at(z);
      const [tx, ty] = [x + reach * ex, y + reach * ey];
      const barb = (side) => `${(tx - 4 * ex - side * 2.5 * ey).toFixed(1)} ${(ty - 4 * ey + side * 2.5 * ex).toFixed(1)}`;
      path += `M${x.toFixed(1)} ${y.toFixed(1)}L${tx.toFixed(1)} ${ty.toFixed(1)}M${barb(1)}L${tx.toFixed(1)} ${ty.toFixed(1)}L${barb(-1)}`;
    }
    return `<path d="${path}" class="live-arrows"/>`;
  }

  function solution(point, view, at) {
    const [x, y] = at(point.z);
    if (point.dimension === 2) return "";
    if (point.dimension === 1) {
      const along = (a) => at(point.z.map((c, i) => c + Math.max(-20, Math.min(20, a)) * point.direction[i]));
      const [low, high] = point.part ?? [-20, 20];
      return line(along(low), along(high), `class="live-line" ${point.real ? "" : 'stroke-dasharray="3 7"'}`);
    }
    if (Math.max(...point.z.map(Math.abs)) > view) return "";
    if (point.real) return `<circle cx="${x}" cy="${y}" r="7" class="live-point ${point.stable ? "live-stable" : ""}"/>`;
    const cross = line([x - 6, y - 6], [x + 6, y + 6], "%") + line([x - 6, y + 6], [x + 6, y - 6], "%");
    return cross.replaceAll("%", 'class="live-virtual-edge"') + cross.replaceAll("%", `class="live-virtual" stroke="${colour(point.bits)}"`);
  }

  function planeOf({ net, start, view }, points) {
    const at = scale(view);
    const path = live.trajectory(net, start, 300).map(at).map(([x, y]) => [Math.max(-4000, Math.min(4000, x)), Math.max(-4000, Math.min(4000, y))]);
    const joined = path.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const dots = path.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");
    const [sx, sy] = path[0];
    const half = SIDE / 2;
    const axes = line([0, half], [SIDE, half], 'class="live-axis"') + line([half, 0], [half, SIDE], 'class="live-axis"');
    const ends = text([SIDE - 4, half - 5], `z₁ = ${show(view)}`, 'text-anchor="end"') + text([half + 5, 12], `z₂ = ${show(view)}`);
    return grounds(net, view, at) + axes + ends + arrows(net, view, at) + points.map((p) => solution(p, view, at)).join("") +
      `<polyline points="${joined}" class="live-path"/><path d="${dots}" class="live-dots"/>
       <rect x="${sx - 5}" y="${sy - 5}" width="10" height="10" class="live-start"/>`;
  }

  function spectrumOf(net) {
    const all = live.regions(net.P).map((bits) => [bits, live.eigenvalues(live.jacobian(net, bits))]);
    const view = Math.max(1.25, ...all.flatMap(([, values]) => values.map((v) => 1.1 * live.modulus(v))));
    const at = scale(view);
    const [x, y] = at([1, 0]);
    const half = SIDE / 2;
    const shapes = ["M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0", "M-6-6h12v12h-12z", "M0-8L8 6H-8z", "M0-8L7 0L0 8L-7 0z"];
    const marks = all.flatMap(([bits, values]) => values.map(({ re, im }) =>
      `<path d="${shapes[parseInt("0" + bits.join(""), 2)]}" transform="translate(${at([re, im])})" fill="${colour(bits)}" class="live-value"/>`));
    const key = all.map(([bits], i) => `<path d="${shapes[i]}" transform="translate(14 ${16 + 20 * i})" fill="${colour(bits)}" class="live-value"/>` +
      text([28, 20 + 20 * i], named(bits)));
    return line([0, half], [SIDE, half], 'class="live-axis"') + line([half, 0], [half, SIDE], 'class="live-axis"') +
      `<circle cx="${half}" cy="${half}" r="${x - half}" class="live-circle"/>` + text([x + 4, y - 5], "1") +
      text([SIDE - 4, SIDE / 2 + 16], "real", 'text-anchor="end"') + text([half + 5, 12], "imaginary") + marks.join("") + key.join("");
  }

  // Words.
  const eigenvalue = ({ re, im }) => show(re) + (im ? ` ${im < 0 ? "\u2212" : "+"} ${show(Math.abs(im))}i` : "");
  function kind(point) {
    if (!point) return "none";
    const shape = ["", "line, ", "every state, "][point.dimension];
    const pull = point.dimension === 2 ? "neutral" : point.attracting ? (point.dimension ? "attracting" : "stable") : "unstable";
    return `${shape}${point.real ? "real" : "virtual"}, ${pull}`;
  }

  const fates = {
    rests: ({ z }) => `comes to rest at ${pair(z)}`,
    cycles: ({ period }) => `ends on a cycle of ${period} steps`,
    grows: () => "grows without bound",
    wanders: ({ exponent }) =>
      exponent > 0.005 ? `never settles: chaos, where small deviations grow by a factor of ${show(Math.exp(exponent))} per step on average`
      : exponent < -0.0005 ? "still settles after thousands of steps" : "goes round without repeating itself",
  };

  function row(net, bits, point) {
    const J = live.jacobian(net, bits).map((r) => r.map((x) => show(x)).join(" ")).join("<br>");
    const swatch = `<svg class="live-swatch" viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="${colour(bits)}"/></svg>`;
    const cells = [J, live.eigenvalues(live.jacobian(net, bits)).map(eigenvalue).join("<br>"), point?.dimension === 0 ? pair(point.z) : "", kind(point)];
    return `<tr><th scope="row">${swatch} ${named(bits)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  }

  let waiting;
  function draw() {
    const state = read();
    const { net, start } = state;
    const codes = live.regions(net.P);
    const points = codes.map((bits) => live.fixedPoint(net, bits));
    for (const input of root.querySelectorAll('input[type="range"]')) input.nextElementSibling.textContent = show(Number(input.value));
    for (const i of [0, 1]) get(`A${i + 1}`).disabled = i < 2 - net.P;
    const plane = root.querySelector(".live-plane");
    const spectrum = root.querySelector(".live-spectrum");
    plane.innerHTML = planeOf(state, points.filter(Boolean));
    spectrum.innerHTML = spectrumOf(net);
    root.querySelector("tbody").innerHTML = codes.map((bits, i) => row(net, bits, points[i])).join("");
    const told = codes.map((bits, i) => `${named(bits)}: ${points[i] ? "fixed point " : "fixed point: "}${kind(points[i])}`).join("; ");
    const end = live.fate(net, start);
    const words = `From ${pair(start)} the state ${fates[end.kind](end)}.`;
    plane.setAttribute("aria-label", `State plane of a net with P = ${net.P}. ${told}. ${words}`);
    const values = codes.map((bits) => `${named(bits)}: ${live.eigenvalues(live.jacobian(net, bits)).map(eigenvalue).join(" and ")}`);
    spectrum.setAttribute("aria-label", `Eigenvalues in the complex plane. ${values.join("; ")}.`);
    clearTimeout(waiting); // a screen reader is told once the reader pauses, not at every pixel
    waiting = setTimeout(() => (root.querySelector(".live-summary").textContent = `${words} Fixed points: ${told}.`), 300);
  }

  build();
  load(Object.keys(live.presets)[0]);
})();
