// The page of the live explorer: controls, two drawings, a table and a summary in words. All numbers come from
// mathematics.js. The controls hold the whole state: every change reads them and draws everything anew.
"use strict";

(() => {
  const root = document.getElementById("live");
  const find = (selector) => root.querySelector(selector);
  const get = (name) => find(`[name="${name}"]`);
  const each = (make) => [1, 2].map(make).join("");

  // Numbers and names as words.
  const show = (x, digits = 2) => (Math.abs(x) < 0.5 * 10 ** -digits ? 0 : x).toFixed(digits).replace("-", "\u2212");
  const pair = (z) => `(${z.map((x) => show(x)).join(", ")})`;
  const named = (bits) => (bits.length ? `bits ${bits.join("")}` : "one region");
  const eigenvalue = ({ re, im }) => show(re) + (im ? ` ${im < 0 ? "\u2212" : "+"} ${show(Math.abs(im))}i` : "");

  // Controls. The name of a weight says where it stands: W12 leads from unit 2 to unit 1.
  function slider(name, meaning, least = -2, most = 2) {
    const label = name.replace(/\d/g, (digit) => "₀₁₂"[digit]);
    return `<label>${label} <input type="range" name="${name}" min="${least}" max="${most}" step="0.05"
      aria-label="${label}, ${meaning}" title="${meaning}"><output></output></label>`;
  }

  function build() {
    const group = (legend, inside) => `<fieldset><legend>${legend}</legend>${inside}</fieldset>`;
    const both = (name, meaning, ...ends) => each((i) => slider(`${name}${i}`, `${meaning} unit ${i}`, ...ends));
    const drawing = (name, caption) => `<svg class="live-${name}" viewBox="0 0 ${SIDE} ${SIDE}" role="img"></svg>
      <figcaption>${caption}</figcaption>`;
    const names = Object.keys(live.presets).map((name) => `<option>${name}</option>`).join("");
    const dial = [0, 1, 2].map((P) => `<label><input type="radio" name="P" value="${P}"> ${P}</label>`).join("");
    const view = slider("view", "from the middle of the plane to its edge", 0.5, 5);
    const columns = ["region", "map J", "eigenvalues", "fixed point"].map((x) => `<th scope="col">${x}</th>`).join("");
    root.innerHTML = `
      <div class="live-top"><label>Start from <select name="preset">${names}</select></label>
        <span role="radiogroup" aria-label="P, number of nonlinear units">P = ${dial}</span></div>
      <p class="live-note"></p>
      <div class="live-pair">
        <figure class="live-held">${drawing("plane", "States z. Click to start there. Arrows: one step.")}</figure>
        <div>${group("Weights W", each((i) => each((j) => slider(`W${i}${j}`, `from unit ${j} to unit ${i}`))))}
          ${group("Self-weights A, of PWL units", both("A", "of"))}${group("Bias h", both("h", "of"))}
          ${group("Start of the path, and view", both("z", "start of", -5, 5) + view)}</div>
      </div>
      <p class="live-summary" role="status" aria-live="polite"></p>
      <div class="live-pair">
        <figure>${drawing("spectrum", "Eigenvalues of each region's map, and the unit circle.")}</figure>
        <div class="live-table" tabindex="0" role="region" aria-label="One linear map per region">
          <table><thead><tr>${columns}</tr></thead><tbody></tbody></table></div>
      </div>`;
    root.addEventListener("input", ({ target }) => (target.name === "preset" ? load(target.value) : draw()));
    const plane = find(".live-plane");
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
    find(`[name="P"][value="${net.P}"]`).checked = true;
    for (const i of [1, 2]) {
      for (const j of [1, 2]) get(`W${i}${j}`).value = net.W[i - 1][j - 1];
      for (const [letter, vector] of [["A", net.A], ["h", net.h], ["z", start]]) get(letter + i).value = vector[i - 1];
    }
    get("view").value = view;
    find(".live-note").textContent = note;
    draw();
  }

  function read() {
    const vector = (name) => [1, 2].map((i) => Number(get(name + i).value));
    const P = Number(find('[name="P"]:checked').value);
    const net = { P, A: vector("A"), W: [vector("W1"), vector("W2")], h: vector("h") };
    return { net, start: vector("z"), view: Number(get("view").value) };
  }

  // Drawings, SVG as text. `at` takes a state, or an eigenvalue, to the place in the drawing.
  const SIDE = 400; // of both drawings
  const HALF = SIDE / 2;
  const COLOURS = ["#0173B2", "#DE8F05", "#029E73", "#D55E00"]; // of regions, as in the book's other figures
  const MARKS = ["M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0", "M-6-6h12v12h-12z", "M0-8L8 6H-8z", "M0-8L7 0L0 8L-7 0z"];
  const number = (bits) => parseInt("0" + bits.join(""), 2);
  const place = (x) => Number(Math.max(-9999, Math.min(9999, x)).toFixed(1));
  const scale = (view) => ([x, y]) => [place(HALF + (x / view) * HALF), place(HALF - (y / view) * HALF)];
  const line = ([x1, y1], [x2, y2], more) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" ${more}/>`;
  const text = (x, y, words, more = "") => `<text x="${x}" y="${y}" ${more}>${words}</text>`;
  const toTheLeft = 'text-anchor="end"';
  const axes = line([0, HALF], [SIDE, HALF], 'class="live-axis"') + line([HALF, 0], [HALF, SIDE], 'class="live-axis"');

  // One pale rectangle per region.
  function grounds(net, view, at) {
    return live.regions(net.P).map((bits) => {
      const [[left, right], [bottom, top]] = [0, 1].map((unit) => {
        const bit = bits[unit - 2 + net.P];
        return [bit === 1 ? 0 : -view, bit === 0 ? 0 : view];
      });
      const [[x, y], [x1, y1]] = [at([left, top]), at([right, bottom])];
      const name = left === 0 ? [SIDE - 6, toTheLeft] : [6, ""];
      return `<rect x="${x}" y="${y}" width="${x1 - x}" height="${y1 - y}" fill="${COLOURS[number(bits)]}"
        class="live-ground"/>` + text(name[0], top > 0 ? 18 : SIDE - 8, named(bits), name[1]);
    }).join("");
  }

  // Where one step leads, from 15 by 15 states; the length grows with the root of the distance.
  function arrows(net, view, at) {
    const paths = [...Array(225).keys()].map((k) => {
      const z = [(k % 15) - 7, Math.floor(k / 15) - 7].map((x) => (x * view) / 7.5);
      const change = live.step(net, z).map((x, i) => x - z[i]);
      const distance = Math.hypot(...change);
      if (distance < 1e-9) return "";
      const length = Math.min(20 * Math.sqrt(distance / view), 24);
      const turn = (Math.atan2(-change[1], change[0]) * 180) / Math.PI;
      const shape = `M0 0H${length.toFixed(1)}m-4-2.5l4 2.5l-4 2.5`;
      return `<path d="${shape}" transform="translate(${at(z)})rotate(${turn.toFixed(1)})"/>`;
    });
    return `<g class="live-arrows">${paths.join("")}</g>`;
  }

  // A fixed point: a disc, a cross if virtual, a line if there are many.
  function solution(point, view, at) {
    const [x, y] = at(point.z);
    if (point.dimension === 2) return "";
    if (point.dimension === 1) {
      const along = (a) => at(point.z.map((c, i) => c + Math.max(-20, Math.min(20, a)) * point.direction[i]));
      const [low, high] = point.part ?? [-20, 20];
      return line(along(low), along(high), `class="live-line" ${point.real ? "" : 'stroke-dasharray="3 7"'}`);
    }
    if (point.real) return `<circle cx="${x}" cy="${y}" r="7" class="live-point ${point.stable && "live-stable"}"/>`;
    const cross = `<path d="M-6-6L6 6M-6 6L6-6" transform="translate(${x} ${y})"`;
    return `${cross} class="live-edge"/>${cross} class="live-virtual" stroke="${COLOURS[number(point.bits)]}"/>`;
  }

  function drawPlane({ net, start, view }, points) {
    const at = scale(view);
    const path = live.trajectory(net, start, 300).map(at);
    const dots = path.map(([x, y]) => `M${x} ${y}h0`).join("");
    const end = show(view);
    const reach = text(SIDE - 6, HALF - 6, `z₁ = ${end}`, toTheLeft) + text(HALF + 6, 14, `z₂ = ${end}`);
    return grounds(net, view, at) + axes + arrows(net, view, at) + reach +
      `<polyline points="${path.join(" ")}" class="live-path"/><path d="${dots}" class="live-dots"/>` +
      points.map((point) => solution(point, view, at)).join("") +
      `<rect x="-5" y="-5" width="10" height="10" transform="translate(${path[0]})" class="live-start"/>`;
  }

  function drawSpectrum(codes, values) {
    const at = scale(Math.max(1.25, ...values.flat().map((value) => 1.1 * live.modulus(value))));
    const mark = (place, i) =>
      `<path d="${MARKS[i]}" transform="translate(${place})" fill="${COLOURS[i]}" class="live-value"/>`;
    const marks = values.flatMap((two, i) => two.map(({ re, im }) => mark(at([re, im]), i)));
    const key = codes.map((bits, i) => mark([14, 16 + 20 * i], i) + text(28, 20 + 20 * i, named(bits)));
    const [edge] = at([1, 0]);
    const circle = `<circle cx="${HALF}" cy="${HALF}" r="${edge - HALF}" class="live-circle"/>`;
    const parts = text(SIDE - 6, HALF + 16, "real", toTheLeft) + text(HALF + 6, 14, "imaginary");
    return axes + circle + text(edge + 4, HALF - 6, "1") + parts + marks.join("") + key.join("");
  }

  // What a fixed point is, in words, and where the path ends.
  function kind(point) {
    if (!point) return "none";
    if (point.dimension === 2) return "every state";
    if (point.real && point.border) return "real, on a border";
    const neutral = point.dimension === 0 && Math.abs(live.modulus(point.eigenvalues[0]) - 1) < 1e-9;
    const pull = point.stable ? "stable" : point.attracting ? "attracting" : neutral ? "neutral" : "unstable";
    return `${point.dimension ? "line, " : ""}${point.real ? "real" : "virtual"}, ${pull}`;
  }

  function census(codes, points) {
    const kinds = [...new Set(points.map(kind))].sort();
    const all = (name) => codes.filter((_, i) => kind(points[i]) === name).map(named);
    const where = (name) => all(name).join(", ").replaceAll(", bits", ",");
    return kinds.map((name) => `${where(name)}: ${name}`).join("; ");
  }

  const fates = {
    rests: ({ z }) => `comes to rest at ${pair(z)}`,
    cycles: ({ period }) => `ends on a cycle of ${period} steps`,
    grows: () => "grows without bound",
    wanders: ({ exponent: x }) =>
      x > 0.005 ? `never settles: chaos, small deviations grow ${show(Math.exp(x))}-fold a step on average`
        : x < -0.0005 ? "is still settling after thousands of steps" : "goes round without repeating itself",
  };

  let waiting;
  function draw() {
    const state = read();
    const { net, start } = state;
    const codes = live.regions(net.P);
    const maps = codes.map((bits) => live.jacobian(net, bits));
    const values = maps.map(live.eigenvalues);
    const points = codes.map((bits) => live.fixedPoint(net, bits));
    for (const output of root.querySelectorAll("output")) output.textContent = show(+output.previousElementSibling.value);
    for (const i of [1, 2]) get(`A${i}`).disabled = i <= 2 - net.P;
    find(".live-plane").innerHTML = drawPlane(state, points.filter(Boolean));
    find(".live-spectrum").innerHTML = drawSpectrum(codes, values);
    find("tbody").innerHTML = codes.map((bits, i) => {
      const place = points[i]?.dimension === 0 ? `${pair(points[i].z)}<br>` : "";
      const rows = maps[i].map((row) => row.map((x) => show(x)).join("&ensp;"));
      const cells = [rows.join("<br>"), values[i].map(eigenvalue).join("<br>"), place + kind(points[i])];
      return `<tr><th scope="row">${named(bits)}</th>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
    }).join("");

    const end = live.fate(net, start);
    const words = `From ${pair(start)} the state ${fates[end.kind](end)}. Fixed points: ${census(codes, points)}.`;
    const told = codes.map((bits, i) => `${named(bits)}: ${values[i].map(eigenvalue).join(" and ")}`).join("; ");
    find(".live-plane").setAttribute("aria-label", `State plane of a net with P = ${net.P}. ${words}`);
    find(".live-spectrum").setAttribute("aria-label", `Eigenvalues. ${told}.`);
    clearTimeout(waiting); // the summary is read out: once the reader pauses, not at every small move
    waiting = setTimeout(() => (find(".live-summary").textContent = words), 300);
  }

  build();
  load(root.dataset.preset ?? Object.keys(live.presets)[0]);
  get("preset").value = root.dataset.preset ?? get("preset").value;
})();
