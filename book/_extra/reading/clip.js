// Adam and a spike, live: one weight, gradients of usual size 1, one of them huge, and a limit to which they are clipped.
// Needs hands/random.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const random = node ? require("../hands/random.js") : makeRandom;
  const BEFORE = 5000, FROM = -100, AFTER = 1000; // steps before the spike, the first and last step shown

  // Gradients around 1, always the same ones, with that of size `spike` at step BEFORE; none by default.
  function gradients(spike = null) {
    const { normal } = random(0, 1);
    const g = Array.from({ length: BEFORE + AFTER + 1 }, () => 1 + normal() / 2);
    if (spike !== null) g[BEFORE] = spike;
    return g;
  }

  const clipped = (g, limit) => g.map((x) => Math.max(-limit, Math.min(limit, x)));

  // Adam's steps in learning rates, with torch's settings, and what it divides by: the root of the mean square.
  function adam(g, [beta1, beta2, eps] = [0.9, 0.999, 1e-8]) {
    let m = 0, v = 0;
    const steps = [], root = [];
    g.forEach((x, t) => {
      m = beta1 * m + (1 - beta1) * x;
      v = beta2 * v + (1 - beta2) * x * x;
      root.push(Math.sqrt(v / (1 - beta2 ** (t + 1))) + eps);
      steps.push(m / (1 - beta1 ** (t + 1)) / root[t]);
    });
    return { steps, root };
  }

  if (node) return void (module.exports = { gradients, clipped, adam });
  const place = document.getElementById("clip"), WIDE = 420, LEFT = 46, NONE = 8; // the slider's end: no clip
  const PRESETS = { "no spike": [0, NONE], "a spike": [4, NONE], "clipped at 1": [4, 0], "clipped far below": [4, -6] };
  place.innerHTML = `<p>${Object.keys(PRESETS).map((name) => `<button type="button">${name}</button>`).join(" ")}</p>
    <label class="suite-slide">size of the spike <output></output><input type="range" name="spike" min="0" max="4" step="0.5"></label>
    <label class="suite-slide">clip <output></output><input type="range" name="clip" min="-6" max="${NONE}" step="1"></label>
    <svg viewBox="0 0 ${WIDE} 286" role="img"></svg><p class="suite-say" aria-live="polite"></p>`;
  const svg = place.querySelector("svg"), get = (name) => place.querySelector(`[name="${name}"]`);
  const number = (x) => (x >= 99.5 ? Math.round(x).toLocaleString("en") : x >= 9.95 ? x.toFixed(0) : x >= 0.01 ? x.toPrecision(2) : x.toPrecision(1));
  const mean = (steps) => steps.slice(BEFORE + 100).reduce((sum, x) => sum + x, 0) / (AFTER - 99);
  const calm = adam(gradients()).steps, usual = mean(calm);

  const x = (t) => (LEFT + ((t - FROM) * (WIDE - LEFT - 4)) / (AFTER - FROM)).toFixed(1);
  const high = (size) => (20 + (4.2 - Math.log10(Math.max(size, 1e-4))) * 15).toFixed(1), low = (step) => (262 - 28 * step).toFixed(1);
  const line = (values, y, kind) => `<path d="M${values.slice(BEFORE + FROM).map((v, k) => `${x(FROM + k)} ${y(v)}`).join("L")}" class="${kind}"/>`;
  const across = (y, text, kind = "suite-axis") => `<path d="M${LEFT} ${y}H${WIDE}" class="${kind}"/><text x="${LEFT - 6}" y="${Number(y) + 4}" text-anchor="end">${text}</text>`;

  function draw() {
    const spike = 10 ** Number(get("spike").value), limit = Number(get("clip").value) < NONE ? 10 ** (get("clip").value / 2) : Infinity;
    const g = gradients(spike), cut = clipped(g, limit), { steps, root } = adam(cut), shown = steps.slice(BEFORE + FROM);
    const share = g.slice(BEFORE + FROM).filter((v) => Math.abs(v) > limit).length / shown.length, largest = Math.max(...shown.map(Math.abs));
    [number(spike), limit < Infinity ? number(limit) : "none"].forEach((text, i) => {
      place.querySelectorAll("output")[i].textContent = text;
      place.querySelectorAll("input")[i].setAttribute("aria-valuetext", text);
    });
    svg.innerHTML = `<text x="${LEFT}" y="12">gradient</text><text x="${LEFT + 58}" y="12" class="suite-word suite-1">√v, by which Adam divides</text>
      ${[1e3, 1, 1e-3].map((size) => across(high(size), { 1000: "1,000", 1: "1", 0.001: "0.001" }[size])).join("")}
      ${line(cut.map(Math.abs), high, "clip-gradient")}${limit < Infinity ? `<path d="M${LEFT} ${high(limit)}H${WIDE}" class="suite-goal suite-2"/>
      <text x="${WIDE - 2}" y="${Number(high(limit)) - 5}" text-anchor="end" class="suite-word suite-2">clip</text>` : ""}
      ${line(root, high, "suite-line suite-1")}<text x="${LEFT}" y="158">step, in learning rates; dashed: no spike, no clip</text>
      ${[0, 1, 2, 3].map((step) => across(low(step), step)).join("")}${line(calm, low, "suite-goal clip-calm suite-0")}${line(steps, low, "suite-line clip-step suite-1")}
      <text x="${x(0)}" y="282" text-anchor="middle">spike</text><text x="${WIDE}" y="282" text-anchor="end">1,000 steps later</text>`;
    const told = limit === Infinity ? "Nothing is clipped." : `The clip cuts ${!share ? "nothing" : share < 0.005 ? "only the spike" : `${Math.round(100 * share)}% of the gradients`}.`;
    const words = `The gradient at the spike is ${number(spike)}. ${told} The largest step is ${number(largest)} learning rates; from 100 to 1,000 steps later a step is ${number(mean(steps))} on average, and ${number(usual)} without spike and clip.`;
    place.querySelector(".suite-say").textContent = words;
    svg.setAttribute("aria-label", `Above, over the steps around the spike, the size of the gradient and the root by which Adam divides; below, Adam's steps. ${words}`);
  }

  function load(name) {
    [get("spike").value, get("clip").value] = PRESETS[name];
    draw();
  }

  place.addEventListener("input", draw);
  place.addEventListener("click", (event) => event.target.tagName === "BUTTON" && load(event.target.textContent));
  load("a spike");
})();
