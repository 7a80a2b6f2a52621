// The two-step task, live: the reader is the animal, and two networks expect the next choice. One has a kink that makes
// the product of state and reward, the other is linear (theory.choice_animal in alrnn).
"use strict";

(() => {
  const COMMON = 0.7, DRIFT = 0.15; // chance of the usual way; that what a state pays changes
  const NETS = { kink: [1.5, [0.3, 0, 0, 0], 0.5], linear: [0, [0.8, 0.5, 0, 0.4], 0.5] };

  // What a net holds of trials [choice, state, picture, reward], each -1, 0 or 1: log-odds of choice 1 before each trial and
  // after the last, and its PWL unit u after each trial. Three steps a trial, at the first of which it is shown.
  function lean(trials, product, [c, s, p, r], decay) {
    const step = decay ** (1 / 3), C = [c, s - product, p, r - product, -product].map((x) => x / step);
    let z = 0, u = 0;
    const odds = [0], unit = [];
    for (const trial of trials) {
      for (let k = 0; k < 3; k += 1) {
        const shown = k ? [0, 0, 0, 0, 0] : [...trial, 1];
        z = step * z + 2 * product * Math.max(u, 0) + shown.reduce((sum, x, i) => sum + x * C[i], 0);
        u = shown[1] + shown[3];
        if (!k) unit.push(u);
      }
      odds.push(z / step);
    }
    return { odds, unit };
  }

  // Mean bits a choice of what was expected before each of them.
  const bits = (odds, trials) =>
    trials.reduce((sum, [choice], t) => sum + Math.log2(1 + Math.exp(-choice * odds[t])), 0) / trials.length;

  if (typeof document === "undefined") return void (module.exports = { lean, bits, NETS });
  const root = document.getElementById("decision");
  const NAMES = { "-1": "left", 1: "right" }, PAYS = { "-1": "low", 0: "middle", 1: "high" }, SEEN = 16;
  // Three trials to begin with: the last one, rare and highly paid, is where the networks part.
  let trials = [[-1, -1, 1, 0], [1, 1, -1, 0], [1, -1, 1, 1]], pays = { "-1": 1, 1: 0 }, met = [true, true, false], example = true;
  const draw3 = () => Math.floor(Math.random() * 3) - 1;

  root.innerHTML = `<p>Choose: <button type="button" data-c="-1">left picture</button> <button type="button" data-c="1">right picture</button>
    <button type="button" data-c="0">Begin again</button></p><p class="decision-say" aria-live="polite"></p><svg role="img"></svg>
    <p class="decision-score"></p>`;
  const [say, svg, score] = [".decision-say", "svg", ".decision-score"].map((part) => root.querySelector(part));

  function draw() {
    const both = Object.fromEntries(Object.entries(NETS).map(([name, given]) => [name, lean(trials, ...given)]));
    const T = trials.length, first = Math.max(0, T - SEEN), wide = Math.max(300, root.clientWidth), step = (wide - 96) / (SEEN + 1);
    const x = (t) => 52 + (t - first) * step, y = (odds) => 70 - 54 * Math.tanh(odds / 2);
    const line = (odds, kind) => `<path d="M${odds.slice(first).map((v, k) => `${x(first + k).toFixed(1)} ${y(v).toFixed(1)}`).join("L")}" class="${kind}"/>
      ${odds.slice(first).map((v, k) => `<circle cx="${x(first + k).toFixed(1)}" cy="${y(v).toFixed(1)}" r="3.5" class="${kind}"/>`).join("")}`;
    const marks = trials.slice(first).map(([choice, state, , reward], k) => {
      const at = x(first + k), seen = first + k;
      return `<circle cx="${at.toFixed(1)}" cy="${choice > 0 ? 8 : 132}" r="5" class="decision-mine"/>
        <text x="${at.toFixed(1)}" y="160" text-anchor="middle">${state > 0 ? "R" : "L"}</text>
        <text x="${at.toFixed(1)}" y="180" text-anchor="middle">${"−0+"[reward + 1]}</text>
        <rect x="${(at - 6).toFixed(1)}" y="188" width="12" height="12" class="${both.kink.unit[seen] > 0 ? "decision-on" : "decision-off"}"/>`;
    }).join("");
    svg.setAttribute("viewBox", `0 0 ${wide} 206`);
    svg.innerHTML = `<path d="M52 ${y(0)}H${wide - 44}" class="decision-half"/><text x="0" y="14">right</text><text x="0" y="${y(0) + 4}">even</text>
      <text x="0" y="136">left</text><text x="0" y="160">state</text><text x="0" y="180">reward</text><text x="0" y="199">unit</text>
      ${line(both.linear.odds, "decision-none")}${line(both.kink.odds, "decision-one")}${marks}`;
    const next = (name) => `${NAMES[both[name].odds[T] >= 0 ? 1 : -1]} at ${(100 / (1 + Math.exp(-Math.abs(both[name].odds[T])))).toFixed(0)}%`;
    const [, state, , reward] = trials.at(-1) ?? [];
    say.textContent = !T ? "Nothing has been seen yet: both networks expect left and right alike. Choose, and see where you land and what it pays."
      : `${example ? "Three trials have been played. In the last, the animal" : "You"} chose ${NAMES[trials[T - 1][0]]}, came to the ${NAMES[state]} picture's own state by the ${met[T - 1] ? "common" : "rare"} way, and the pay was ${PAYS[reward]}. With one kink your next choice is expected to be ${next("kink")}, linearly ${next("linear")}.`;
    score.textContent = T < 2 ? "" : `Bits a choice so far: ${bits(both.kink.odds, trials).toFixed(2)} with one kink, ${bits(both.linear.odds, trials).toFixed(2)} linear, 1 for a coin (${T} choices).`;
    svg.setAttribute("aria-label", `Up: right is expected; down: left. Blue: the network with one kink; orange: the linear one; black: the choices. Below: state, reward, and whether the unit is on. ${say.textContent} ${score.textContent}`);
  }

  root.addEventListener("click", (event) => {
    if (event.target.dataset.c === undefined) return;
    const choice = Number(event.target.dataset.c);
    example = false;
    if (!choice) [trials, met, pays] = [[], [], { "-1": 1, 1: -1 }];
    else {
      const common = Math.random() < COMMON, state = common ? choice : -choice;
      trials.push([choice, state, Math.random() < 0.5 ? -1 : 1, pays[state]]);
      met.push(common);
      for (const side of [-1, 1]) if (Math.random() < DRIFT) pays[side] = draw3();
    }
    draw();
  });
  let drawnAt = root.clientWidth;
  new ResizeObserver(() => root.clientWidth !== drawnAt && ((drawnAt = root.clientWidth), draw())).observe(root);
  draw();
})();
