// Following the cups, live: the reader swaps neighbours, the exact net of n - 1 PWL units follows (theory.exact_swaps).
"use strict";

(() => {
  const grid = (rows, columns, f) => Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => f(i, j)));

  // The net for n cups: z' = A z + W phi(z) + C s + h, y = D z + b; units are P inputs held, a one, and P PWL units.
  function net(n) {
    const P = n - 1, M = 2 * P + 1, begun = P, unit = (i) => P + 1 + i;
    const reflect = (i, j) => (i === j ? -2 : Math.abs(i - j) === 1 ? 1 : 0);
    const A = Array(M).fill(0), h = Array(M).fill(0), b = Array(n).fill(0);
    const W = grid(M, M, () => 0), C = grid(M, P, () => 0), D = grid(n, M, () => 0);
    h[begun] = 1;
    for (let i = 0; i < P; i += 1) {
      C[i][i] = 1;
      C[unit(i)][i] = 2 * n;
      A[unit(i)] = 1;
      h[unit(i)] = -1 - n;
      W[unit(i)][begun] = 1 + n;
      for (let j = 0; j < P; j += 1) {
        W[unit(i)][unit(j)] = reflect(i, j);
        W[unit(i)][j] = -n * (reflect(i, j) + 2 * (i === j));
      }
      for (let place = 1; place <= n; place += 1) {
        D[place - 1][unit(i)] = Number(i + 1 >= place) - (i + 1) / n;
        D[place - 1][i] = -2 * n * D[place - 1][unit(i)];
      }
    }
    for (let j = 0; j < n; j += 1) b[j] = n * D[j].slice(P + 1).reduce((sum, x) => sum + x, 0) + (n + 1) / 2;
    return { P, M, A, W, C, h, D, b };
  }

  // Swaps, 0 to n - 2 each -> what the net says lies where, (T + 1, n), and its PWL units' bits, (T + 1, P). One unit
  // may be cut out: what it passes on is 0.
  function follow(n, swaps, out = null) {
    const { P, M, A, W, C, h, D, b } = net(n), said = [], bits = [];
    let z = Array(M).fill(0);
    for (const swap of [...swaps, null]) {
      const phi = z.map((x, k) => (k <= P ? x : k === P + 1 + out && out !== null ? 0 : Math.max(x, 0)));
      z = z.map((x, k) => A[k] * x + W[k].reduce((sum, w, j) => sum + w * phi[j], 0) + (swap === null ? 0 : C[k][swap]) + h[k]);
      said.push(D.map((row, j) => row.reduce((sum, d, k) => sum + d * z[k], b[j])));
      bits.push(z.slice(P + 1).map((x) => Number(x > 0)));
    }
    return { said, bits };
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

  if (typeof document === "undefined") return void (module.exports = { net, follow, truth });
  const root = document.getElementById("cups");
  const SEEN = 14, ROW = 26, BALL = 2, NAMES = ["one", "two", "three", "four", "five", "six"];
  let n = 3, out = null, swaps = [0, 1, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0];

  root.innerHTML = `<p class="cups-set"><label>cups <select name="n">${[2, 3, 4, 5, 6].map((k) => `<option>${k}</option>`).join("")}</select></label>
    <label>cut out <select name="out"></select></label></p><p class="cups-swap"></p><svg role="img"></svg>
    <p class="cups-say" aria-live="polite"></p>`;
  const [svg, say, buttons] = ["svg", ".cups-say", ".cups-swap"].map((part) => root.querySelector(part));
  const pick = (name) => root.querySelector(`[name="${name}"]`);

  function set() {
    const pairs = Array.from({ length: n - 1 }, (_, i) => `${i + 1} and ${i + 2}`);
    buttons.innerHTML = `Swap cups ${pairs.map((pair, i) => `<button type="button" data-i="${i}">${pair}</button>`).join(" ")}
      <button type="button" data-i="many">20 at random</button> <button type="button" data-i="none">Begin again</button>`;
    pick("out").innerHTML = `<option value="">no unit</option>${pairs.map((pair, i) => `<option value="${i}">unit ${i + 1}, of cups ${pair}</option>`).join("")}`;
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
    const words = `${T} swap${T === 1 ? "" : "s"}: the ball is under cup ${where}. ${told}. It knew where all ${NAMES[n - 1]} cups' contents were at ${right} of ${T + 1} moments, with ${NAMES[n - 2]} PWL unit${n > 2 ? "s" : ""}${out === null ? "" : ", of which one is cut out"}.`;
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
      [n, out, swaps] = [Number(pick("n").value), null, []];
      set();
    } else out = pick("out").value === "" ? null : Number(pick("out").value);
    draw();
  });
  addEventListener("resize", draw);
  set();
  draw();
})();
