// What twenty linear units know of their past, live: equation (1) of the chapter on memory capacity, for four networks.
"use strict";

(() => {
  const M = 20, LAGS = 60;
  // Input weights as alrnn.Init draws them for one input, seed 0, before they are brought to length 1.
  const DRAWN = [-0.0313, 0.2287, 0.3477, -0.3188, 1.4158, 1.1536, 0.6885, -1.6095,
    -1.3238, 0.6796, 1.0036, -1.0255, 0.2630, -0.3340, 0.9389, -0.5375, -2.0664, -0.5254, -0.7926, 0.6398];
  const C = DRAWN.map((c) => c / Math.hypot(...DRAWN));

  const matrix = (entry) => Array.from({ length: M }, (_, i) => Array.from({ length: M }, (_, j) => entry(i, j)));
  const diagonal = (entry) => matrix((i, j) => (i === j ? entry(i) : 0));
  const times = (A, B) => matrix((i, j) => A[i].reduce((sum, a, k) => sum + a * B[k][j], 0));
  const turned = (A) => matrix((i, j) => A[j][i]);
  const by = (A, x) => A.map((row) => row.reduce((sum, a, k) => sum + a * x[k], 0));

  // Name: [W and C for a size r of the weights, the chapter's r, the largest r].
  const NETS = {
    "equal slow modes": [(r) => [diagonal(() => r), C], 0.97, 0.99],
    "spread slow modes": [(r) => [diagonal((i) => Math.exp(-0.5 * (-2 * Math.log(r)) ** (i / (M - 1)))), C], Math.exp(-1 / 60), 0.99],
    rotations: [(r) => [matrix((i, j) => {
      const angle = (Math.floor(i / 2) * Math.PI) / (M / 2 - 1);
      return Math.floor(i / 2) !== Math.floor(j / 2) ? 0 : r * (i === j ? Math.cos(angle) : (i - j) * Math.sin(angle));
    }), C], 0.97, 0.99],
    "delay line": [(r) => [matrix((i, j) => (i === j + 1 ? r : 0)), C.map((_, i) => Number(!i))], 1, 1.3],
  };

  // The X with X = W X W' + Q, by doubling: sums of 1, 2, 4, ... terms.
  function lyapunov(W, Q) {
    for (let k = 0; k < 12; k += 1) {
      const more = times(times(W, Q), turned(W));
      [Q, W] = [matrix((i, j) => Q[i][j] + more[i][j]), times(W, W)];
    }
    return Q;
  }

  // What does not depend on the noise, made once: states' covariance by input and by noise, and each input's direction g.
  const made = new Map();
  function parts(name, r, steps) {
    const key = `${name} ${r} ${steps}`;
    if (!made.has(key)) {
      const [W, c] = NETS[name][0](r), g = [c];
      while (g.length < steps) g.push(by(W, g.at(-1)));
      made.set(key, [lyapunov(W, matrix((i, j) => c[i] * c[j])), lyapunov(W, diagonal(() => 1)), g]);
    }
    return made.get(key);
  }

  // R^2 of the input k steps back, k = 0, 1, ...: g' S^-1 g with S = L L' is the squared length of L^-1 g.
  function capacity(name, r, readout, state, steps = 600) {
    const [signal, noise, g] = parts(name, r, steps), mean = signal.reduce((sum, row, i) => sum + row[i], 0) / M;
    const L = matrix((i, j) => signal[i][j] + (i === j ? readout ** 2 * mean : 0) + state ** 2 * noise[i][j]);
    for (let i = 0; i < M; i += 1)
      for (let j = 0; j <= i; j += 1) {
        for (let k = 0; k < j; k += 1) L[i][j] -= L[i][k] * L[j][k];
        L[i][j] = i === j ? Math.sqrt(L[i][i]) : L[i][j] / L[j][j];
      }
    return g.map((x) => {
      const u = [];
      for (let i = 0; i < M; i += 1) u.push(u.reduce((left, v, k) => left - L[i][k] * v, x[i]) / L[i][i]);
      return u.reduce((sum, v) => sum + v * v, 0);
    });
  }

  if (typeof document === "undefined") return void (module.exports = { capacity, weights: (name, r) => NETS[name][0](r) });
  const root = document.getElementById("memory"), NAMES = Object.keys(NETS), sizes = NAMES.map((name) => NETS[name][1]);
  const options = (names) => names.map((name, i) => `<option value="${i}">${name}</option>`).join("");
  const PLACES = ["in the readout", "in every unit"], HIGH = 150, ROW = 22;

  root.innerHTML = `<div class="memory-set"><label>network <select name="net">${options(NAMES)}</select></label>
    <label>noise <select name="place">${options(PLACES)}</select></label></div>
    <div class="memory-slide"><label>size of the noise <output></output><input type="range" name="noise" min="-6" max="0" step="0.5" value="-2"></label>
    <label>size of the weights, r <output></output><input type="range" name="r" min="0.7" step="0.01"></label></div>
    <svg role="img"></svg><p class="memory-say" aria-live="polite"></p>`;
  const svg = root.querySelector("svg"), get = (name) => root.querySelector(`[name="${name}"]`), chosen = () => Number(get("net").value);

  function draw() {
    const noise = 10 ** Number(get("noise").value), inside = Number(get("place").value), now = chosen(), size = Number(noise.toPrecision(1)).toFixed(7).replace(/\.?0+$/, "");
    const curves = NAMES.map((name, i) => capacity(name, sizes[i], inside ? 0 : noise, inside ? noise : 0));
    const totals = curves.map((R2) => R2.reduce((sum, x) => sum + x, 0)), R2 = curves[now].slice(0, LAGS);
    const wide = Math.max(300, root.clientWidth), x = (k) => (34 + (k * (wide - 44)) / LAGS).toFixed(1), y = (v) => (HIGH - v * (HIGH - 12)).toFixed(1);
    const bar = (v) => ((v / M) * (wide - 176)).toFixed(1), low = HIGH + 62;
    svg.setAttribute("viewBox", `0 0 ${wide} ${low + 4 * ROW}`);
    svg.innerHTML = `<path d="M34 ${y(1)}V${HIGH}H${wide - 4}" class="memory-axis"/><path d="M${x(M)} ${y(1)}V${HIGH}M${130 + Number(bar(M))} ${low - 6}V${low + 4 * ROW}" class="memory-bound"/>
      <text x="26" y="${Number(y(1)) + 5}" text-anchor="end">1</text><text x="26" y="${HIGH}" text-anchor="end">0</text><text x="26" y="${HIGH / 2 + 8}" text-anchor="end">R\u00b2</text>
      ${[0, 20, 40, 60].map((k) => `<text x="${x(k)}" y="${HIGH + 17}" text-anchor="middle">${k}</text>`).join("")}<text x="${x(30)}" y="${HIGH + 17}" text-anchor="middle">steps back</text>
      <path d="M${R2.map((v, k) => `${x(k)} ${y(v)}`).join("L")}" class="memory-line"/>${R2.map((v, k) => `<circle cx="${x(k)}" cy="${y(v)}" r="2.6" class="memory-one"/>`).join("")}
      <text x="0" y="${low - 12}">total</text><text x="${130 + Number(bar(M))}" y="${low - 12}" text-anchor="middle">20</text>
      ${NAMES.map((name, i) => `<text x="0" y="${low + i * ROW + 13}" class="${i === now ? "memory-now" : ""}">${name}</text><rect x="130" y="${low + i * ROW + 2}" width="${bar(totals[i])}" height="14"
        class="${i === now ? "memory-one" : "memory-other"}"/><text x="${wide}" y="${low + i * ROW + 13}" text-anchor="end">${totals[i].toFixed(1)}</text>`).join("")}`;
    const known = R2.findIndex((v) => v < 0.5), last = known < 0 ? LAGS : known;
    const words = `${NAMES[now][0].toUpperCase()}${NAMES[now].slice(1)}, r = ${sizes[now].toFixed(3).replace(/0$/, "")}, noise of ${size} ${PLACES[inside]}: the total is ${totals[now].toFixed(1)}, of at most 20. R\u00b2 is a half or more ${last ? `for ${last === 1 ? "the last input alone" : `each of the last ${last} inputs`}` : "for no single input"}.`;
    [size, sizes[now].toFixed(3).replace(/0$/, "")].forEach((text, i) => (root.querySelectorAll("output")[i].textContent = text));
    root.querySelector(".memory-say").textContent = words;
    svg.setAttribute("aria-label", `R squared against steps back, 0 to 59; below, the totals: ${NAMES.map((name, i) => `${name} ${totals[i].toFixed(1)}`).join(", ")}. ${words}`);
  }

  function choose() {
    get("r").max = NETS[NAMES[chosen()]][2];
    get("r").value = sizes[chosen()];
    draw();
  }

  root.addEventListener("input", (event) => {
    if (event.target.name === "net") return choose();
    if (event.target.name === "r") sizes[chosen()] = Number(get("r").value);
    draw();
  });
  let drawnAt = root.clientWidth;
  new ResizeObserver(() => root.clientWidth !== drawnAt && ((drawnAt = root.clientWidth), draw())).observe(root);
  get("net").value = 1;
  choose();
})();
