// Adding, live: the reader marks two of ten numbers; two networks read them. The one has a single nonlinear unit, the
// other is the best of all linear networks (theory.exact_adding and theory.adding_predictor in alrnn).
"use strict";

(() => {
  const LENGTH = 20; // steps; marks lie in the first half

  // What both networks hold after each step: gate (T), memory and linear (T + 1 with the blank step), the true sum.
  function adder(x, marks) {
    const m = x.map((_, t) => Number(marks.includes(t)));
    const gate = x.map((value, t) => value + m[t] - 1); // v = x + m - 1
    const memory = [0];
    for (const v of gate) memory.push(memory.at(-1) + Math.max(v, 0)); // u = u + max(v, 0)
    const linear = [0];
    for (const [t, value] of x.entries()) linear.push(linear.at(-1) + (t < x.length / 2 ? (4 / x.length) * value : 0));
    return { gate, memory, linear, target: marks.reduce((sum, t) => sum + x[t], 0) };
  }

  if (typeof document === "undefined") return void (module.exports = { adder });
  const root = document.getElementById("adder");
  let x;
  let marks = [1, 6];
  let before = null; // the linear network's answer before the last move
  let moves = 0;

  root.innerHTML = `<p class="adder-ask"></p><svg role="group"></svg><p class="adder-say" aria-live="polite"></p>
    <button type="button">Draw new numbers</button>`;
  const [svg, say, button] = ["svg", ".adder-say", "button"].map((part) => root.querySelector(part));
  root.querySelector(".adder-ask").innerHTML = `Twenty numbers come in, one at a time, and two of the first ten are
    marked. After the last one the network must give the sum of the two. <strong>Click another number, and watch
    both answers.</strong>`;

  function draw(focused) {
    const { gate, memory, linear, target } = adder(x, marks);
    const wide = Math.max(300, root.clientWidth);
    const right = 84; // room for the labels at the end of the lines
    const first = ((wide - right) * 0.74) / (LENGTH / 2); // steps of the first half are wider: these can be marked
    const second = ((wide - right) * 0.26) / (LENGTH / 2);
    const left = (t) => (t < LENGTH / 2 ? t * first : (LENGTH / 2) * first + (t - LENGTH / 2) * second);
    const width = (t) => (t < LENGTH / 2 ? first : second);
    const text = (X, Y, words, more = "") => `<text x="${X.toFixed(1)}" y="${Y.toFixed(1)}" ${more}>${words}</text>`;
    const rule = (Y, more = "") => `<line x1="0" x2="${wide - right}" y1="${Y}" y2="${Y}" ${more}/>`;
    const bar = (t, value, zero, size, kind) => {
      const high = Math.max(Math.abs(value) * size, 1);
      const top = value >= 0 ? zero - high : zero;
      return `<rect x="${(left(t) + 0.15 * width(t)).toFixed(1)}" y="${top.toFixed(1)}"
        width="${(0.7 * width(t)).toFixed(1)}" height="${high.toFixed(1)}" class="${kind}"/>`;
    };
    const parts = [text(0, 14, "the numbers: two are marked")];
    x.forEach((value, t) => {
      const marked = marks.includes(t);
      const shape = bar(t, value, 88, 62, marked ? "adder-marked" : "adder-number");
      if (t >= LENGTH / 2) return void parts.push(shape);
      parts.push(`<g tabindex="0" role="button" aria-pressed="${marked}" data-t="${t}"
        aria-label="number ${t + 1}, ${value.toFixed(2)}, ${marked ? "marked" : "not marked"}">
        <rect x="${left(t).toFixed(1)}" y="20" width="${first.toFixed(1)}" height="72" class="adder-place"/>${shape}
        ${marked ? text(left(t) + first / 2, 104, "\u25b2", 'text-anchor="middle" class="adder-p1"') : ""}</g>`);
    });
    parts.push(rule(88), text(0, 130, "the one nonlinear unit: open where it is above zero"), rule(172));
    gate.forEach((v, t) => parts.push(bar(t, v, 172, 34, v > 0 ? "adder-open" : "adder-shut")));
    const y = (value) => 342 - 58 * value;
    parts.push(text(0, 224, "what each network holds; dashed: the sum asked for"), rule(342), rule(y(target).toFixed(1), 'class="adder-goal"'));
    const stairs = (values, kind, late) => {
      const points = values.slice(1).map((value, t) => `H${left(t + late).toFixed(1)}V${y(value).toFixed(1)}`).join("");
      parts.push(`<path d="M0 ${y(0)}${points}H${wide - right}" class="adder-line ${kind}"/>`);
    };
    stairs(linear, "adder-p0", 0);
    stairs(memory, "adder-p1", 1); // what passes the gate is in the memory one step later
    const [one, none] = [memory.at(-1), linear.at(-1)];
    const apart = (Math.abs(y(one) - y(none)) < 16 ? 8 : 0) * (one >= none ? 1 : -1); // labels must not overlap
    parts.push(text(wide - right + 6, y(one) + 5 - apart, `P = 1: ${one.toFixed(2)}`, 'class="adder-p1"'));
    parts.push(text(wide - right + 6, y(none) + 5 + apart, `P = 0: ${none.toFixed(2)}`, 'class="adder-p0"'));
    svg.setAttribute("viewBox", `0 0 ${wide} 350`);
    svg.setAttribute("height", "350");
    const answer = linear.at(-1).toFixed(2);
    svg.setAttribute("aria-label", `Ten numbers to mark. Marked: ${marks.map((t) => x[t].toFixed(2)).join(" and ")}. The
      gate opens at these two steps only, and the memory rises there to ${target.toFixed(2)}; the linear network's rises
      at every number of the first half, to ${answer}.`.replace(/\s+/g, " "));
    svg.innerHTML = parts.join("");
    const same = before === null ? "" : moves > 1 ? " It has not moved once, whatever you marked." : " It has not moved.";
    say.innerHTML = `Sum of the marked numbers: <strong>${target.toFixed(2)}</strong>. With one nonlinear unit:
      <strong class="adder-p1">${memory.at(-1).toFixed(2)}</strong>. The best of all linear networks:
      <strong class="adder-p0">${answer}</strong>.${same}`;
    if (focused !== undefined) svg.querySelector(`[data-t="${focused}"]`).focus();
  }

  function mark(t) {
    if (marks.includes(t)) return;
    before = adder(x, marks).linear.at(-1);
    moves += 1;
    marks = [marks[1], t];
    draw(t);
  }

  function fresh() {
    x = Array.from({ length: LENGTH }, () => (5 + Math.floor(91 * Math.random())) / 100);
    [before, moves] = [null, 0];
    draw();
  }

  const place = (event) => event.target.closest?.("[data-t]");
  svg.addEventListener("click", (event) => place(event) && mark(Number(place(event).dataset.t)));
  svg.addEventListener("keydown", (event) => {
    const here = place(event);
    if (!here) return;
    const t = Number(here.dataset.t);
    if (event.key === "Enter" || event.key === " ") mark(t);
    else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const next = (t + (event.key === "ArrowRight" ? 1 : -1) + LENGTH / 2) % (LENGTH / 2);
      svg.querySelector(`[data-t="${next}"]`).focus();
    } else return;
    event.preventDefault();
  });
  button.addEventListener("click", fresh);
  let drawnAt = 0;
  new ResizeObserver(() => {
    if (root.clientWidth === drawnAt) return; // words that need another line change the height alone
    drawnAt = root.clientWidth;
    draw(document.activeElement?.closest?.("#adder [data-t]")?.dataset.t);
  }).observe(root);
  x = [0.62, 0.81, 0.17, 0.45, 0.93, 0.28, 0.54, 0.09, 0.71, 0.36, 0.5, 0.88, 0.22, 0.67, 0.41, 0.75, 0.13, 0.58, 0.33, 0.95];
  draw();
})();
