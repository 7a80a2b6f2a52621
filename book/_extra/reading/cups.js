// Following the cups, live: the reader swaps neighbours, the exact net of n - 1 PWL units follows (theory.exact_swaps).
// Needs hands/net.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { states, answer, bitsOf, without } = node ? require("../hands/net.js") : nets;

  // The net for n cups: P inputs held, a one, and P PWL units.
  function exact(n) {
    const P = n - 1, M = 2 * P + 1, begun = P, unit = (i) => P + 1 + i;
    const [A, h, b, W, C, D] = [M, M, n, M * M, M * P, n * M].map((size) => Array(size).fill(0));
    const reflect = (i, j) => (i === j ? -2 : Math.abs(i - j) === 1 ? 1 : 0);
    h[begun] = 1;
    for (let i = 0; i < P; i += 1) {
      C[i * P + i] = 1;
      C[unit(i) * P + i] = 2 * n;
      A[unit(i)] = 1;
      h[unit(i)] = -1 - n;
      W[unit(i) * M + begun] = 1 + n;
      for (let j = 0; j < P; j += 1) {
        W[unit(i) * M + unit(j)] = reflect(i, j);
        W[unit(i) * M + j] = -n * (reflect(i, j) + 2 * (i === j));
      }
      for (let place = 0; place < n; place += 1) {
        const share = Number(i >= place) - (i + 1) / n;
        D[place * M + unit(i)] = share;
        D[place * M + i] = -2 * n * share;
        b[place] += n * share;
      }
    }
    return { M, N: P, O: n, P, A, W, C, h, D, b: b.map((x) => x + (n + 1) / 2) };
  }

  // Swaps, 0 to n - 2 each -> what the net says lies where, (T + 1, n), and its PWL units' bits, (T + 1, P). One unit
  // may be cut out.
  function follow(n, swaps, out = -1) {
    const net = exact(n), inputs = [...swaps, -1].map((swap) => Array.from({ length: n - 1 }, (_, i) => Number(i === swap)));
    const z = states(without(net, out), inputs);
    return { said: z.map((state) => answer(net, state)), bits: z.map((state) => bitsOf(net, state)) };
  }

  // What truly lies in each place before each swap and after the last.
  function truth(n, swaps) {
    const order = [Array.from({ length: n }, (_, j) => j + 1)];
    for (const i of swaps) {
      const now = [...order.at(-1)];
      [now[i], now[i + 1]] = [now[i + 1], now[i]];
      order.push(now);
    }
    return order;
  }

  if (node) return void (module.exports = { follow, truth });
  const root = document.getElementById("cups");
  const SEEN = 14, ROW = 26, BALL = 2, NAMES = ["one", "two", "three", "four", "five", "six"];
  let n = 3, out = -1, swaps = [0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0];

  root.innerHTML = `<p class="cups-set"><label>cups <select name="n">${[2, 3, 4, 5, 6].map((k) => `<option>${k}</option>`).join("")}</select></label>
    <label>cut out <select name="out"></select></label></p><p class="cups-swap"></p><svg role="img"></svg>
    <p class="cups-say" aria-live="polite"></p>`;
  const [svg, say, buttons] = ["svg", ".cups-say", ".cups-swap"].map((part) => root.querySelector(part));
  const pick = (name) => root.querySelector(`[name="${name}"]`);

  function set() {
    const pairs = Array.from({ length: n - 1 }, (_, i) => `${i + 1} and ${i + 2}`);
    buttons.innerHTML = `Swap cups ${pairs.map((pair, i) => `<button type="button" data-i="${i}">${pair}</button>`).join(" ")}
      <button type="button" data-i="many">20 at random</button> <button type="button" data-i="none">Begin again</button>`;
    pick("out").innerHTML = `<option value="-1">no unit</option>${pairs.map((pair, i) => `<option value="${i}">unit ${i + 1}, of cups ${pair}</option>`).join("")}`;
    pick("n").value = String(n);
  }

  function draw() {
    const order = truth(n, swaps), { said, bits } = follow(n, swaps, out), T = swaps.length;
    const first = Math.max(0, T - SEEN), wide = Math.max(300, root.clientWidth), step = (wide - 150) / SEEN;
    const x = (t) => 76 + (t - first) * step, y = (place) => 30 + place * ROW, low = y(n) + 12;
    const strands = [];
    for (let thing = 1; thing <= n; thing += 1) {
      const path = order.slice(first).map((now, k) => `${x(first + k).toFixed(1)} ${y(now.indexOf(thing))}`).join("L");
      strands[thing === BALL ? "push" : "unshift"](`<path d="M${path}" class="cups-strand${thing === BALL ? " cups-ball" : ""}"/>`);
    }
    const where = order[T].indexOf(BALL) + 1, guess = said[T].findIndex((v) => Math.abs(v - BALL) < 0.01) + 1;
    const right = said.filter((v, t) => v.every((value, j) => Math.abs(value - order[t][j]) < 0.01)).length;
    const cells = bits.slice(first).map((row, k) => row.map((bit, i) => `<rect x="${(x(first + k) - 6).toFixed(1)}" y="${low + i * 17}"
      width="12" height="12" class="${i === out ? "cups-cut" : bit ? "cups-on" : "cups-off"}"/>`).join("")).join("");
    svg.setAttribute("viewBox", `0 0 ${wide} ${low + (n - 1) * 17 + 8}`);
    svg.innerHTML = `<text x="0" y="14">${first ? `after ${first} swaps` : "at first"}</text>
      ${Array.from({ length: n }, (_, j) => `<text x="0" y="${y(j) + 4}">cup ${j + 1}</text>`).join("")}${strands.join("")}
      <circle cx="${x(T).toFixed(1)}" cy="${y(where - 1)}" r="7" class="cups-ball-now"/>
      ${guess ? `<text x="${(x(T) + 14).toFixed(1)}" y="${y(guess - 1) + 4}" class="${guess === where ? "cups-good" : "cups-bad"}">network</text>` : ""}
      ${bits[0].map((_, i) => `<text x="0" y="${low + i * 17 + 11}">unit ${i + 1}</text>`).join("")}${cells}`;
    const told = guess ? `The network says ${guess}` : "The network points at no cup";
    const words = `${T} swap${T === 1 ? "" : "s"}: the ball is under cup ${where}. ${told}. It knew where all ${NAMES[n - 1]} cups' contents were at ${right} of ${T + 1} moments, with ${NAMES[n - 2]} PWL unit${n > 2 ? "s" : ""}${out < 0 ? "" : ", of which one is cut out"}.`;
    say.textContent = words;
    svg.setAttribute("aria-label", `The paths of what lies under ${NAMES[n - 1]} cups, one a ball, and below which PWL units are on at each step. ${words}`);
  }

  root.addEventListener("click", (event) => {
    const i = event.target.dataset.i;
    if (i === undefined) return;
    if (i === "none") swaps = [];
    else if (i === "many") swaps.push(...Array.from({ length: 20 }, () => Math.floor(Math.random() * (n - 1))));
    else swaps.push(Number(i));
    draw();
  });
  root.addEventListener("input", () => {
    if (Number(pick("n").value) !== n) {
      [n, out, swaps] = [Number(pick("n").value), -1, []];
      set();
    } else out = Number(pick("out").value);
    draw();
  });
  let drawnAt = root.clientWidth;
  new ResizeObserver(() => root.clientWidth !== drawnAt && ((drawnAt = root.clientWidth), draw())).observe(root);
  set();
  draw();
})();
