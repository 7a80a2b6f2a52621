// One mode, live: an eigenvalue in the plane, and what becomes of a pulse that enters it.
"use strict";

(() => {
  // The pulse after t steps, for t = 0, 1, ...: the real part of lambda^t, lambda = size exp(i angle).
  const response = (size, angle, steps) => Array.from({ length: steps }, (_, t) => size ** t * Math.cos(angle * t));

  // tau: steps in which its size changes by a factor of e, none on the circle; period: steps of one turn, none on the right.
  const facts = (size, angle) => ({
    tau: size > 0 && size !== 1 ? -1 / Math.log(size) : null,
    period: angle > 0 ? (2 * Math.PI) / angle : null,
  });

  if (typeof document === "undefined") return void (module.exports = { response, facts });
  const root = document.getElementById("modes");
  const SIDE = 260, WIDE = 400, STEPS = 61;
  const PRESETS = {
    "forgets fast": [0.5, 0], "forgets slowly": [0.97, 0], "keeps": [1, 0], "turns": [1, 30], "turns and fades": [0.95, 30],
    "alternates": [0.9, 180], "explodes": [1.05, 0],
  };
  const SLIDERS = [["size", "size |\u03bb|", 0, 1.1, 0.01], ["angle", "angle in degrees", 0, 180, 1]];
  const show = (x) => (Math.abs(x) >= 10 ? x.toFixed(0) : x.toPrecision(2)).replace("-", "\u2212");

  root.innerHTML = `<p>${Object.keys(PRESETS).map((name) => `<button type="button">${name}</button>`).join(" ")}</p>
    <div class="modes-pair"><div>${SLIDERS.map(([name, meaning, min, max, step]) => `<label>${meaning} <output></output><input type="range"
      name="${name}" min="${min}" max="${max}" step="${step}" aria-label="${meaning}"></label>`).join("")}
      <svg viewBox="0 0 ${SIDE} ${SIDE}" role="img"></svg></div>
    <svg viewBox="0 0 ${WIDE} ${SIDE}" role="img"></svg></div>
    <p class="modes-say" aria-live="polite"></p>`;
  const [plane, time] = root.querySelectorAll("svg");
  const input = (name) => root.querySelector(`[name="${name}"]`);

  function said(size, degrees, { tau, period }) {
    const left = size ** 60;
    const kept = size === 0 ? "Nothing is left of it after one step."
      : size === 1 ? "Its size stays as it is, for ever."
        : size < 1 ? `Its size falls by a factor of e in ${show(tau)} steps; after 60 steps ${left < 0.001 ? "less than a thousandth" : `${show(100 * left)}%`} is left.`
          : `Its size grows by a factor of e in ${show(-tau)} steps, without end.`;
    const turn = !period || size === 0 ? "" : degrees === 180 ? " Its sign changes with every step." : ` It turns once in ${show(period)} steps: so its angle tells when the pulse came, up to whole turns.`;
    return kept + turn;
  }

  function draw() {
    const [size, degrees] = SLIDERS.map(([name]) => Number(input(name).value));
    const angle = (degrees * Math.PI) / 180;
    root.querySelectorAll("label").forEach((label) => (label.querySelector("output").textContent = label.querySelector("input").value));
    const r = SIDE / 2 / 1.2, x = SIDE / 2 + r * size * Math.cos(angle), dy = r * size * Math.sin(angle);
    const words = said(size, degrees, facts(size, angle));
    plane.innerHTML = `<path d="M0 ${SIDE / 2}H${SIDE}M${SIDE / 2} 0V${SIDE}" class="modes-axis"/><circle cx="${SIDE / 2}" cy="${SIDE / 2}" r="${r}" class="modes-circle"/>
      <circle cx="${x}" cy="${SIDE / 2 - dy}" r="7" class="modes-one"/>${dy > 0.5 ? `<circle cx="${x}" cy="${SIDE / 2 + dy}" r="7" class="modes-twin"/>` : ""}
      <text x="${SIDE - 4}" y="${SIDE / 2 - 6}" text-anchor="end">1</text><text x="${SIDE / 2 + 6}" y="16">i</text>
      <text x="6" y="${SIDE - 8}">eigenvalue</text>`;
    plane.setAttribute("aria-label", `The complex plane with the unit circle: an eigenvalue of size ${size} at ${degrees} degrees${dy > 0.5 ? ", and its twin below" : ""}. ${words}`);
    const mid = SIDE / 2, high = (v) => (mid - Math.max(-1.15, Math.min(1.15, v)) * (mid - 12)).toFixed(1), at = (t) => ((t * WIDE) / (STEPS - 1)).toFixed(1);
    const z = response(size, angle, STEPS);
    const hull = (sign) => z.map((_, t) => `${at(t)} ${high(sign * size ** t)}`).join("L");
    time.innerHTML = `<path d="M0 ${mid}H${WIDE}" class="modes-axis"/><path d="M${hull(1)}M${hull(-1)}" class="modes-hull"/>
      <path d="M${z.map((v, t) => `${at(t)} ${high(v)}`).join("L")}" class="modes-line"/>
      ${z.map((v, t) => `<circle cx="${at(t)}" cy="${high(v)}" r="2.6" class="modes-one"/>`).join("")}
      <text x="4" y="${SIDE - 6}">pulse</text><text x="${WIDE}" y="${SIDE - 6}" text-anchor="end">60 steps later</text>`;
    time.setAttribute("aria-label", `The state over 60 steps after a pulse of 1. ${words}`);
    root.querySelector(".modes-say").textContent = words;
  }

  function load(name) {
    SLIDERS.forEach(([key], k) => (input(key).value = PRESETS[name][k]));
    draw();
  }

  root.addEventListener("input", draw);
  root.addEventListener("click", (event) => event.target.tagName === "BUTTON" && load(event.target.textContent));
  load("forgets slowly");
})();
