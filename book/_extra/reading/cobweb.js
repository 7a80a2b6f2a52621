// One unit, live: z -> A z + W max(z, 0) + h drawn as a cobweb, its run beside it, and what becomes of it in words.
"use strict";

(() => {
  const step = ({ A, W, h }, z) => A * z + W * Math.max(z, 0) + h;

  // One candidate a region: {bit, z, real, stable}; none where the slope is 1.
  function fixedPoints({ A, W, h }) {
    return [[0, A], [1, A + W]].filter(([, slope]) => Math.abs(slope - 1) > 1e-9).map(([bit, slope]) => {
      const z = h / (1 - slope);
      return { bit, z, real: z > 0 === Boolean(bit), stable: Math.abs(slope) < 1 };
    });
  }

  // Where the run from z leads: {kind: "rests" | "cycles" | "grows" | "wanders", z, period}.
  function fate(net, z, steps = 4000) {
    for (let t = 0; t < steps; t++) {
      z = step(net, z);
      if (Math.abs(z) > 1e6) return { kind: "grows", z, period: null };
    }
    let later = z;
    for (let period = 1; period <= 24; period++) {
      later = step(net, later);
      if (Math.abs(later - z) < 1e-7) return { kind: period === 1 ? "rests" : "cycles", z, period };
    }
    return { kind: "wanders", z, period: null };
  }

  if (typeof document === "undefined") return void (module.exports = { step, fixedPoints, fate });
  const root = document.getElementById("cobweb");
  const SIDE = 320;
  const VIEW = 3; // from the middle of the drawing to its edge
  const PRESETS = {
    "comes to rest": { below: 0.5, above: 0.5, h: 0.5, z: -2 },
    "swings to and fro": { below: 0.5, above: -1.5, h: 1, z: -2 },
    "never repeats": { below: 0.9, above: -2.2, h: 1, z: 0.2 },
    "stays or runs away": { below: 0.5, above: 1.5, h: -0.5, z: 0.9 },
  };
  const SLIDERS = [["below", "slope below zero, A"], ["above", "slope above zero, A + W"], ["h", "bias h"], ["z", "start"]];
  const show = (x) => (Math.abs(x) < 0.005 ? 0 : x).toFixed(2).replace("-", "\u2212");
  const at = (x) => Number((SIDE / 2 + (Math.max(-30, Math.min(30, x)) / VIEW) * (SIDE / 2)).toFixed(1));
  const up = (x) => SIDE - at(x);

  root.innerHTML = `<p class="cobweb-presets">${Object.keys(PRESETS).map((name) => `<button type="button">${name}</button>`).join(" ")}</p>
    <div class="cobweb-pair"><svg viewBox="0 0 ${SIDE} ${SIDE}" role="img"></svg>
    <div>${SLIDERS.map(([name, meaning]) => `<label>${meaning} <output></output><input type="range" name="${name}" min="-3" max="3"
      step="0.05" aria-label="${meaning}"></label>`).join("")}
      <svg viewBox="0 0 ${SIDE} 130" role="img" class="cobweb-time"></svg></div></div>
    <p class="cobweb-say" aria-live="polite"></p>`;
  const [plane, time] = root.querySelectorAll("svg");
  const input = (name) => root.querySelector(`[name="${name}"]`);

  function said(net, end, points) {
    const words = {
      rests: `the state comes to rest at ${show(end.z)}`,
      cycles: `the state ends on a cycle of ${end.period} steps`,
      grows: "the state grows without bound",
      wanders: "the state neither rests nor grows, and repeats nothing within 24 steps",
    };
    const named = points.map((p) => `${p.bit ? "above" : "below"} zero, at ${show(p.z)}: ${p.real ? `real and ${p.stable ? "stable" : "unstable"}` : "virtual"}`);
    return `From ${show(Number(input("z").value))} ${words[end.kind]}. Crossings: ${named.join("; ") || "none"}.`;
  }

  function draw() {
    const [below, above, h, start] = SLIDERS.map(([name]) => Number(input(name).value));
    const net = { A: below, W: above - below, h };
    root.querySelectorAll("label").forEach((label) => (label.querySelector("output").textContent = show(Number(label.querySelector("input").value))));
    const path = [start];
    for (let t = 0; t < 60; t++) path.push(step(net, path.at(-1)));
    const web = path.slice(0, -1).map((z, t) => `L${at(z)} ${up(path[t + 1])}L${at(path[t + 1])} ${up(path[t + 1])}`).join("");
    const line = (x1, y1, x2, y2, kind) => `<path d="M${at(x1)} ${up(y1)}L${at(x2)} ${up(y2)}" class="${kind}"/>`;
    const points = fixedPoints(net);
    const marks = points.map((p) => {
      if (Math.abs(p.z) > VIEW) return "";
      if (p.real) return `<circle cx="${at(p.z)}" cy="${up(p.z)}" r="6" class="cobweb-point ${p.stable ? "cobweb-stable" : ""}"/>`;
      return `<path d="M-5-5L5 5M-5 5L5-5" transform="translate(${at(p.z)} ${up(p.z)})" class="cobweb-virtual cobweb-${p.bit ? "above" : "below"}"/>`;
    });
    plane.innerHTML = `<rect width="${SIDE / 2}" height="${SIDE}" class="cobweb-left"/><rect x="${SIDE / 2}" width="${SIDE / 2}" height="${SIDE}" class="cobweb-right"/>
      ${line(-VIEW, -VIEW, VIEW, VIEW, "cobweb-same")}${line(-VIEW, step(net, -VIEW), 0, h, "cobweb-map cobweb-below")}
      ${line(0, h, VIEW, step(net, VIEW), "cobweb-map cobweb-above")}
      <path d="M${at(start)} ${up(start)}${web}" class="cobweb-web"/>${marks.join("")}
      <rect x="${at(start) - 4}" y="${up(start) - 4}" width="8" height="8" class="cobweb-start"/>
      <text x="6" y="${SIDE - 8}">below zero</text><text x="${SIDE - 6}" y="${SIDE - 8}" text-anchor="end">above zero</text>
      <text x="6" y="16">next state</text><text x="${SIDE - 6}" y="${SIDE / 2 - 6}" text-anchor="end">state now</text>`;
    const end = fate(net, start);
    const words = said(net, end, points);
    plane.setAttribute("aria-label", `Next state against state now: a line of slope ${show(below)} below zero and ${show(above)} above, and the diagonal. ${words}`);
    const t = path.slice(0, 41).map((z, i) => [(i * SIDE) / 40, 65 - Math.max(-3.2, Math.min(3.2, z)) * 20]);
    time.innerHTML = `<path d="M0 65H${SIDE}" class="cobweb-same"/><path d="M${t.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}" class="cobweb-web"/>
      ${t.map(([x, y]) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="2.5" class="cobweb-start"/>`).join("")}<text x="${SIDE}" y="126" text-anchor="end">40 steps</text><text x="4" y="14">state</text>`;
    time.setAttribute("aria-label", `The first 40 steps. ${words}`);
    root.querySelector(".cobweb-say").textContent = words;
  }

  function load(name) {
    for (const [key, value] of Object.entries(PRESETS[name])) input(key).value = value;
    draw();
  }

  root.addEventListener("input", draw);
  root.addEventListener("click", (event) => event.target.tagName === "BUTTON" && load(event.target.textContent));
  load("comes to rest");
})();
