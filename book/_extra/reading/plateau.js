// One linear unit that must hold a 1 for T steps, live: its loss over its self-weight w, and a ball that goes down it.
// Needs hands/random.js.
"use strict";

(() => {
  const CLIP = 0.1, SHAKE = 0.01;
  const RATES = { plain: 0.01, adam: 0.001 }; // so no step of plain descent is longer than 0.001; Adam's hardly ever

  const loss = (w, T) => (w ** T - 1) ** 2 / 2;
  const slope = (w, T) => (w ** T - 1) * T * w ** (T - 1);

  // A ball {w, m, v, n} after one step; m and v are Adam's means, n counts. `shake` is added to the gradient.
  function step({ w, m, v, n }, T, adam, shake) {
    const given = slope(w, T) + shake, g = Math.max(-CLIP, Math.min(CLIP, given));
    const next = { m: 0.9 * m + 0.1 * g, v: 0.999 * v + 0.001 * g * g, n: n + 1 };
    const [mean, size] = [next.m / (1 - 0.9 ** next.n), Math.sqrt(next.v / (1 - 0.999 ** next.n))];
    return { ...next, w: w - (adam ? (RATES.adam * mean) / (size + 1e-8) : RATES.plain * g) };
  }

  const put = (w) => ({ w, m: 0, v: 0, n: 0 });

  // Where the ball is after each step, one for each shake.
  const path = (w, T, adam, shakes) => shakes.map(((ball) => (shake) => (ball = step(ball, T, adam, shake)).w)(put(w)));

  if (typeof document === "undefined") return void (module.exports = { loss, slope, path });
  const root = document.getElementById("plateau");
  const RULES = { // name: is it Adam, how much is the gradient shaken, below which slope it is lost, and why
    "plain gradient descent": [false, 0, 1e-3, "moves 0.01 in 1,000 steps"], Adam: [true, 0, 1e-8, "Adam\u2019s \u03b5, 10\u207b\u2078"],
    "Adam, gradient shaken": [true, SHAKE, SHAKE, "size of the shaking, 0.01"],
  };
  const SINGLE = 1.4e-45, LEFT = -0.06, RIGHT = 1.16, HIGH = 150, LOW = 130, GAP = 40;
  let ball, random, seed = 0; // another luck each time

  root.innerHTML = `<div class="plateau-set"><label>steps to hold it, T <output></output><input type="range" name="T" min="5" max="100" step="5" value="20"></label>
    <label>start, w <output></output><input type="range" name="w" min="0" max="1.1" step="0.05" value="0.5"></label></div>
    <p><label>by <select name="rule">${Object.keys(RULES).map((name) => `<option>${name}</option>`).join("")}</select></label>
    ${[10, 100, 1000].map((n) => `<button type="button" data-n="${n}">${n.toLocaleString("en")} steps</button>`).join(" ")}
    <button type="button" data-n="0">Put it back</button></p><svg role="img"></svg><p class="plateau-say" aria-live="polite"></p>`;
  const svg = root.querySelector("svg"), get = (name) => root.querySelector(`[name="${name}"]`);

  // 0.0123 as 0.012, and what is much smaller or larger by powers of ten.
  function show(x) {
    if (x === 0 || (x >= 0.001 && x < 100)) return x ? x.toPrecision(2) : "0";
    const [digits, power] = x.toExponential(1).split("e");
    const raised = [...power].map((c) => (c === "+" ? "" : c === "-" ? "\u207b" : "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[c]));
    return `${digits} \u00d7 10${raised.join("")}`;
  }

  function said(T, start, rule, steep) {
    const moved = Math.abs(ball.w - start), E = loss(ball.w, T), held = Math.abs(ball.w ** T - 1) < 0.1;
    const came = ball.n ? `After ${ball.n.toLocaleString("en")} steps from ${start.toFixed(2)} the ball is at ${ball.w.toFixed(3)}; it came ${show(moved)}.` : `The ball is put down at ${start.toFixed(2)}.`;
    const where = held ? "It lies in the valley: the value is held." : !ball.n ? "Will it move?"
      : RULES[rule][1] && steep < SHAKE ? "It wanders: the shaking is larger than the slope."
        : moved < 0.01 ? `It has ${moved ? "hardly" : "not"} moved.` : "It is on its way.";
    const fits = steep < SINGLE ? steep && ". Single precision would round this to 0; double precision, as here, helps no more"
      : steep < SHAKE ? "; single precision goes down to 10\u207b\u2074\u2075" : "";
    return `${came} ${where} The loss is ${E < 0.001 ? "below 0.001" : show(E)}${held ? "" : `, the slope ${show(steep)}${fits || ""}`}.`;
  }

  function draw() {
    const [T, start, rule] = [Number(get("T").value), Number(get("w").value), get("rule").value], [, , lost, why] = RULES[rule];
    const steep = Math.abs(slope(ball.w, T)), words = said(T, start, rule, steep), base = HIGH + GAP;
    const wide = Math.max(300, root.clientWidth), x = (w) => (((Math.max(LEFT, Math.min(RIGHT, w)) - LEFT) / (RIGHT - LEFT)) * wide).toFixed(1);
    const y = (w) => (HIGH - (HIGH - 10) * Math.min(1, loss(w, T))).toFixed(1);
    const deep = (size) => (base + LOW * Math.max(0, Math.min(1, (5 - Math.log10(size)) / 65))).toFixed(1);
    const grid = Array.from({ length: 1221 }, (_, i) => LEFT + i / 1000);
    const line = (from, to, height) => `M${[from, ...grid.filter((w) => w > from && w < to), to].map((w) => `${x(w)} ${height(w)}`).join("L")}`;
    const down = (w) => deep(Math.abs(slope(w, T))), level = (size, text) => `<path d="M0 ${deep(size)}H${wide}" class="plateau-level"/><text x="${x(0.04)}" y="${deep(size) - 5}" class="plateau-over">${text}</text>`;
    svg.setAttribute("viewBox", `0 0 ${wide} ${base + LOW + 22}`);
    svg.innerHTML = `<text x="0" y="14">loss</text><path d="${line(LEFT, Math.min(RIGHT, (1 + Math.SQRT2) ** (1 / T)), y)}" class="plateau-line"/>
      <path d="${line(...[start, ball.w].sort((a, b) => a - b), y)}" class="plateau-trail"/><circle cx="${x(ball.w)}" cy="${y(ball.w) - 8}" r="8" class="plateau-ball"/>
      ${[0, 0.5, 1].map((w) => `<path d="M${x(w)} ${HIGH}V${base + LOW}" class="plateau-grid"/><text x="${x(w)}" y="${base + LOW + 16}" text-anchor="middle">${w || "w = 0"}</text>`).join("")}
      <text x="0" y="${base - 12}">size of the slope, powers of ten</text><path d="${line(LEFT, RIGHT, down)}" class="plateau-line"/>
      ${level(lost, why)}${level(SINGLE, "end of single precision, 10\u207b\u2074\u2075")}<circle cx="${x(ball.w)}" cy="${down(ball.w)}" r="5" class="plateau-ball"/>`;
    root.querySelectorAll("output").forEach((output) => (output.textContent = Number(output.nextSibling.value)));
    root.querySelector(".plateau-say").textContent = words;
    svg.setAttribute("aria-label", `Loss over the self-weight from 0 to 1.1, for T = ${T}: flat on the left, a valley at 1, a cliff behind it; below, the size of the slope. ${words}`);
  }

  function again() {
    [ball, random] = [put(Number(get("w").value)), makeRandom(seed++, 0)];
    draw();
  }

  root.addEventListener("input", again);
  root.addEventListener("click", (event) => {
    const n = Number(event.target.dataset.n);
    if (!n) return void (n === 0 && again());
    const [adam, shake] = RULES[get("rule").value];
    for (let i = 0; i < n; i += 1) ball = step(ball, Number(get("T").value), adam, shake * random.normal());
    draw();
  });
  let drawnAt = root.clientWidth;
  new ResizeObserver(() => root.clientWidth !== drawnAt && ((drawnAt = root.clientWidth), draw())).observe(root);
  again();
})();
