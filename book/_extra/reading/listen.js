// Spoken digits, live: a recording is stopped where the reader likes, also after its end, and two networks are read out.
// Needs hands/net.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { states, answer, bitsOf } = node ? require("../hands/net.js") : nets;

  // What is answered, as probabilities, and the PWL units' bits after each of T steps: the clip's frames, then zeros.
  function listen(net, clip, T) {
    const z = states(net, [...clip, ...Array(T - clip.length).fill(Array(net.N).fill(0))]);
    const said = z.map((state) => {
      const y = answer(net, state), top = Math.max(...y), e = y.map((v) => Math.exp(v - top)), sum = e.reduce((a, b) => a + b);
      return e.map((v) => v / sum);
    });
    return { said, bits: z.map((state) => bitsOf(net, state)) };
  }

  // The net with the straight line slope z + offset in place of max(z, 0) of one PWL unit, which joins the linear ones.
  function straighten({ M, N, O, P, A, W, C, h, D, b }, unit, [slope, offset]) {
    const k = M - P + unit, all = Array.from({ length: M }, (_, i) => i);
    const order = [...all.slice(0, M - P), k, ...all.slice(M - P).filter((i) => i !== k)];
    return {
      M, N, O, P: P - 1, b, A: order.map((i) => A[i]), h: order.map((i) => h[i] + offset * W[i * M + k]),
      W: order.flatMap((i) => order.map((j) => W[i * M + j] * (j === k ? slope : 1))),
      C: order.flatMap((i) => C.slice(i * N, (i + 1) * N)), D: b.flatMap((_, o) => order.map((j) => D[o * M + j])),
    };
  }

  if (node) return void (module.exports = { listen, straighten });
  const root = document.getElementById("listen"), { nets: made, clips, lines, steps: T } = NETS["spoken-digits"];
  const NAMES = Object.keys(made), P = made[NAMES[1]].P, WIDE = 420, LEFT = 44, wide = (WIDE - LEFT) / T, TONE = 6;
  const options = (names, first = 0) => names.map((name, i) => `<option value="${i + first}">${name}</option>`).join("");
  root.innerHTML = `<div class="suite-choose"><label>recording <select name="clip">${options(clips.map(({ name }) => name))}</select></label>
    <label>straighten <select name="unit">${options(["no kink", ...Array.from({ length: P }, (_, i) => `unit ${i + 1}`)], -1)}</select></label></div>
    <label class="suite-slide">stop after step <output></output><input type="range" name="stop" min="1" max="${T}"></label>
    <svg role="img"></svg><p class="suite-say" aria-live="polite"></p>`;
  const svg = root.querySelector("svg"), get = (name) => root.querySelector(`[name="${name}"]`);
  const x = (t) => (LEFT + t * wide).toFixed(1), box = (t, n, y, high, kind, more = "") =>
    `<rect x="${x(t)}" y="${y}" width="${(n * wide - 0.6).toFixed(1)}" height="${high}" class="${kind}"${more}/>`;

  // A net's answers over time: one box for each stretch with the same answer, full where it is right.
  function strip(named, digit, y, kind) {
    const starts = named.map((d, t) => t).filter((t) => t === 0 || named[t] !== named[t - 1]);
    return starts.map((t, i) => {
      const n = (starts[i + 1] ?? T) - t, right = named[t] === digit;
      return box(t, n, y, 15, right ? kind : `${kind} listen-wrong`) +
        `<text x="${x(t + n / 2)}" y="${y + 11.5}" text-anchor="middle" class="listen-digit${right ? " listen-right" : ""}">${named[t]}</text>`;
    }).join("");
  }

  function draw() {
    const { digit, frames } = clips[get("clip").value], unit = Number(get("unit").value), stop = Number(get("stop").value), n = frames.length;
    const two = made[NAMES[1]], heard = [made[NAMES[0]], unit < 0 ? two : straighten(two, unit, lines[unit])].map((net) => listen(net, frames, T));
    const named = heard.map(({ said }) => said.map((p) => p.indexOf(Math.max(...p)))), now = heard.map(({ said }) => said[stop - 1]);
    const units = Array.from({ length: P }, (_, i) => i), row = (i) => (unit < 0 || i < unit ? i : i === unit ? -1 : i - 1);
    const base = 20 + 13 * TONE, top = base + 42, floor = top + P * 13 + 84;
    root.querySelector("output").textContent = stop;
    svg.setAttribute("viewBox", `0 0 ${WIDE} ${floor + 18}`);
    svg.innerHTML = `<text x="0" y="32">MFCCs</text>${frames.map((frame, t) => frame.map((v, i) => box(t, 1, 18 + (12 - i) * TONE, TONE - 0.6, v > 0 ? "listen-more" : "listen-less",
      ` fill-opacity="${(Math.min(1, Math.abs(v) / 2.5) * (t < stop ? 1 : 0.25)).toFixed(2)}"`)).join("")).join("")}
      ${NAMES.map((name, k) => `<text x="0" y="${base + 11 + 18 * k}">${name}</text>${strip(named[k], digit, base + 18 * k, `listen-${k}`)}`).join("")}
      ${units.map((i) => `<text x="0" y="${top + 9 + 13 * i}">unit ${i + 1}</text>${row(i) < 0 ? `<text x="${LEFT}" y="${top + 9 + 13 * i}">straight</text>`
        : heard[1].bits.map((bits, t) => box(t, 1, top + 13 * i, 9, bits[row(i)] ? "recall-on" : "recall-off")).join("")}`).join("")}
      <path d="M${x(n)} 14V${floor - 76}" class="listen-end"/><text x="${x(n)}" y="11" text-anchor="middle">end of the word</text>
      <path d="M${x(stop)} 18V${floor - 76}" class="listen-stop"/><text x="0" y="${floor - 48}">answer</text><text x="0" y="${floor - 34}">there</text>
      ${now[0].map((_, d) => now.map((p, k) => `<rect x="${(LEFT + 4 + d * 38 + 13 * k).toFixed(1)}" y="${(floor - 64 * p[d]).toFixed(1)}" width="12" height="${(64 * p[d]).toFixed(1)}" class="listen-${k}"/>`).join("")
        + `<text x="${LEFT + 17 + d * 38}" y="${floor + 14}" text-anchor="middle"${d === digit ? ' class="suite-word"' : ""}>${d}</text>`).join("")}
      <path d="M${LEFT} ${floor}H${WIDE}" class="suite-axis"/>`;
    const late = stop - n - 1, one = (k) => (k === 1 ? "" : "s");
    const when = late < -1 ? `${-1 - late} frame${one(-1 - late)} before the end of the word` : late === -1 ? "On its last frame"
      : late === 0 ? "One blank step after the word, where it is read out" : `${late} step${one(late)} too late, on padding`;
    const told = NAMES.map((name, k) => `${name}${k && unit >= 0 ? ` with unit ${unit + 1} straight` : ""} says ${named[k][stop - 1]} (${Math.round(100 * Math.max(...now[k]))}%)`);
    const words = `${when}: ${told.join(", ")}. The word is ${digit}.`;
    root.querySelector(".suite-say").textContent = words;
    svg.setAttribute("aria-label", `The recording over ${T} steps, of which ${n} are the word; what both networks would answer at each, which PWL units are on, and bars for the ten answers at step ${stop}. ${words}`);
  }

  root.addEventListener("input", (event) => {
    if (event.target === get("clip")) get("stop").value = clips[get("clip").value].frames.length + 1;
    draw();
  });
  get("stop").value = Math.ceil(clips[0].frames.length / 2);
  draw();
})();
