// Copy with an unknown delay, live: two symbols, a wait, a cue, and networks that the chapter exported.
// Needs hands/net.js and hands/nets-copy.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { states, answer, bitsOf } = node ? require("../hands/net.js") : nets;

  // Inputs: the symbols, one a step, so many empty steps, the cue, and a step for each symbol.
  function trial(net, symbols, wait) {
    const blank = Array(net.N).fill(0), at = (k) => blank.map((_, i) => Number(i === k));
    return [...symbols.map(at), ...Array(wait).fill(blank), at(net.N - 1), ...symbols.map(() => blank)];
  }

  // What is said after the cue, and the bits of the PWL units at each step.
  function recall(net, symbols, wait) {
    const z = states(net, trial(net, symbols, wait));
    const said = z.slice(-symbols.length).map((state) => {
      const y = answer(net, state);
      return y.indexOf(Math.max(...y));
    });
    return { said, bits: z.map((state) => bitsOf(net, state)) };
  }

  // The share of symbols that are right, over all pairs of symbols.
  function score(net, wait) {
    const K = net.N - 1;
    let right = 0;
    for (let i = 0; i < K; i += 1)
      for (let j = 0; j < K; j += 1) {
        const { said } = recall(net, [i, j], wait);
        right += Number(said[0] === i) + Number(said[1] === j);
      }
    return right / (2 * K * K);
  }

  if (node) return void (module.exports = { recall, score });
  const root = document.getElementById("recall");
  const { nets: made, waits } = NETS.copy;
  const NAMES = Object.keys(made), LETTERS = "ABCD", WIDE = 420;
  const options = (names) => names.map((name, i) => `<option value="${i}">${name}</option>`).join("");
  root.innerHTML = `<div class="suite-choose"><label>first <select name="a">${options([...LETTERS])}</select></label>
    <label>second <select name="b">${options([...LETTERS])}</select></label>
    <label>network <select name="net">${options(NAMES)}</select></label></div>
    <label class="suite-slide">wait, steps <output></output><input type="range" name="wait" min="3" max="40" value="10"></label>
    <svg role="img"></svg><p class="suite-say" aria-live="polite"></p><div class="suite-scores"></div>`;
  const svg = root.querySelector("svg"), get = (name) => root.querySelector(`[name="${name}"]`);

  function draw() {
    const symbols = ["a", "b"].map((name) => Number(get(name).value)), wait = Number(get("wait").value);
    const net = made[NAMES[get("net").value]], { said, bits } = recall(net, symbols, wait);
    const T = bits.length, step = (WIDE - 66) / 45, x = (t) => 66 + (t + 0.5) * step, row = 15;
    const word = (t, y, text, kind = "") => `<text x="${x(t).toFixed(1)}" y="${y}" text-anchor="middle" class="${kind}">${text}</text>`;
    const right = said.map((k, i) => k === symbols[i]), high = 50 + Math.max(net.P, 1) * row;
    root.querySelector("output").textContent = wait;
    svg.setAttribute("viewBox", `0 0 ${WIDE} ${high}`);
    svg.innerHTML = `<rect x="${x(1.5 + waits[0]).toFixed(1)}" y="0" width="${((waits[1] - waits[0] + 1) * step).toFixed(1)}" height="${high}" class="recall-trained"/>
      <text x="0" y="14">input</text><text x="0" y="34">answer</text>${symbols.map((k, t) => word(t, 14, LETTERS[k])).join("")}${word(2 + wait, 14, "cue")}
      ${said.map((k, i) => word(3 + wait + i, 34, LETTERS[k], right[i] ? "recall-right" : "recall-wrong")).join("")}
      ${net.P ? bits[0].map((_, i) => `<text x="0" y="${51 + i * row}">unit ${i + 1}</text>`).join("") : '<text x="0" y="51">no PWL unit</text>'}
      ${bits.flatMap((now, t) => now.map((bit, i) => `<rect x="${(x(t) - step / 2 + 0.5).toFixed(1)}" y="${41 + i * row}" width="${(step - 1).toFixed(1)}" height="${row - 4}" class="${bit ? "recall-on" : "recall-off"}"/>`)).join("")}`;
    const shares = NAMES.map((name) => score(made[name], wait));
    root.querySelector(".suite-scores").innerHTML = NAMES.map((name, i) =>
      `<span><b>${name}</b> <i style="width:${Math.round(50 * shares[i])}px"></i> ${Math.round(100 * shares[i])}%</span>`).join("");
    const known = wait >= waits[0] && wait <= waits[1];
    const words = `Asked after ${wait} steps for ${LETTERS[symbols[0]]}${LETTERS[symbols[1]]}, it says ${LETTERS[said[0]]}${LETTERS[said[1]]}: ${right.every(Boolean) ? "right" : "wrong"}. The trained networks have ${known ? "met" : "never met"} this wait.`;
    root.querySelector(".suite-say").textContent = words;
    svg.setAttribute("aria-label", `Over ${T} steps, the input, the answer after the cue, and below which PWL units are above zero. ${words}`);
  }

  root.addEventListener("input", draw);
  get("b").value = "2";
  draw();
})();
