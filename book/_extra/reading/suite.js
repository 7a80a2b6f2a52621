// Eleven tasks in one net, live: a task, a stimulus, a network that the chapter exported, and one unit taken out.
// Needs hands/net.js and hands/nets-multitask.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { states, answer, bitsOf, without } = node ? require("../hands/net.js") : nets;
  const STEPS = { context: 4, stimulus: 6, delay: 5, test: 6, response: 5 };
  const LENGTH = Object.values(STEPS).reduce((a, b) => a + b);
  const unit = (degrees) => [Math.cos((degrees * Math.PI) / 180), Math.sin((degrees * Math.PI) / 180)];

  // A trial of a rule without noise: inputs {s, periods, target}. first: degrees of the stimulus; second: of that in the other
  // channel, or of the later one. rules: name -> {periods, answer, sign}.
  function trial(rules, name, first, second) {
    const rule = rules[name];
    const said = ["context", ...rule.periods, "response"].flatMap((period) => Array(STEPS[period]).fill(period));
    const periods = [...Array(LENGTH - said.length).fill("idle"), ...said];
    const both = name.startsWith("CtxInt");
    const which = Object.keys(rules).map((other) => Number(other === name));
    const s = periods.map((period) => {
      if (period === "idle") return Array(5 + which.length).fill(0);
      const on = period === "stimulus" || (period === "response" && name.startsWith("React"));
      const one = on ? unit(first) : period === "test" ? unit(second) : [0, 0];
      return [Number(period !== "response"), ...one, ...(on && both ? unit(second) : [0, 0]), ...which];
    });
    const apart = Math.abs(((second - first + 540) % 360) - 180);
    const up = unit(first)[1] > 0;
    const yes = rule.answer === "match" ? apart <= 22.5 : up;
    const axis = [rule.sign * (yes ? 1 : -1), 0];
    const told = { direction: unit(first), second: unit(second), go: up ? unit(first) : [0, 0] }[rule.answer];
    const goal = told ? told.map((x) => rule.sign * x) : axis;
    return { s, periods, target: [rule.answer === "go" && !up ? 1 : 0, ...goal] };
  }

  // States, answers at each step, and whether the mean of the last two is within one half of the target.
  function run(net, { s, target }) {
    const z = states(net, s);
    const y = z.map((state) => answer(net, state));
    const end = target.map((goal, o) => (y.at(-1)[o] + y.at(-2)[o]) / 2 - goal);
    return { z, y, right: Math.hypot(end[1], end[2]) < 0.5 && Math.abs(end[0]) < 0.5 };
  }

  // The share of some twenty trials that are right.
  function score(net, rules, name) {
    const apart = rules[name].answer === "match" ? [0, 90, 0, 180] : name === "CtxInt1" || name === "CtxInt2" ? [45, 135, 225, 315] : [0];
    const many = apart.length > 1 ? 6 : 24;
    const firsts = Array.from({ length: many }, (_, i) => ((i + 0.3) * 360) / many);
    const all = firsts.flatMap((first) => apart.map((more) => run(net, trial(rules, name, first, first + more)).right));
    return all.filter(Boolean).length / all.length;
  }

  if (node) return void (module.exports = { trial, without, run, score, right: (...given) => run(...given).right });
  const root = document.getElementById("suite");
  const { nets: made, rules } = NETS.multitask;
  const NAMES = Object.keys(rules);
  const [WIDE, HIGH] = [420, 150];
  const options = (names) => names.map((name) => `<option>${name}</option>`).join("");
  root.innerHTML = `<div class="suite-choose"><label>task <select name="task">${options(NAMES)}</select></label>
    <label>network <select name="net">${options(Object.keys(made))}</select></label>
    <label>take out <select name="lost"></select></label></div>
    <label class="suite-slide">stimulus, degrees <output></output><input type="range" name="first" min="0" max="345" step="15" value="60"></label>
    <label class="suite-slide">the other, degrees further <output></output><input type="range" name="second" min="0" max="315" step="45" value="135"></label>
    <div class="suite-pair"><div><svg viewBox="0 0 ${WIDE} ${HIGH}" role="img"></svg><svg viewBox="0 0 ${WIDE} 110" role="img"
    class="suite-units"></svg></div><svg viewBox="0 0 ${HIGH} ${HIGH}" role="img" class="suite-dial"></svg></div>
    <div class="suite-scores"></div><p class="suite-say" aria-live="polite"></p>`;
  const [lines, raster, dial] = root.querySelectorAll("svg");
  const get = (name) => root.querySelector(`[name="${name}"]`);
  const one = (x) => (Math.abs(x) < 0.05 ? 0 : x).toFixed(1).replace("-", "\u2212");
  let intact = {};

  function refresh() {
    const net = made[get("net").value];
    get("lost").innerHTML = options(["no unit", ...Array.from({ length: net.P }, (_, i) => `unit ${i + 1}`)]);
    intact = Object.fromEntries(NAMES.map((name) => [name, score(net, rules, name)]));
    scores();
  }

  function scores() {
    const net = without(made[get("net").value], get("lost").selectedIndex - 1);
    const rows = NAMES.map((name) => [name, score(net, rules, name)]);
    root.querySelector(".suite-scores").innerHTML = rows.map(([name, share]) => {
      const less = share < intact[name] - 0.15;
      return `<span class="${less ? "suite-less" : ""}"><b>${name}</b> <i style="width:${Math.round(50 * share)}px"></i> ${Math.round(100 * share)}%${less ? " \u2193" : ""}</span>`;
    }).join("");
    draw();
  }

  function draw() {
    const name = get("task").value;
    const [first, more] = ["first", "second"].map((part) => Number(get(part).value));
    const paired = name.startsWith("CtxInt") || name.endsWith("Match");
    get("second").disabled = !paired;
    root.querySelectorAll("output").forEach((output, i) => (output.textContent = i && !paired ? "\u2013" : [first, more][i]));
    const net = without(made[get("net").value], get("lost").selectedIndex - 1);
    const given = trial(rules, name, first, first + more);
    const { z, y, right } = run(net, given);
    const at = (t) => ((t * WIDE) / LENGTH).toFixed(1), high = (v) => (HIGH / 2 + 4 - Math.max(-1.3, Math.min(1.3, v)) * 46).toFixed(1);
    const starts = given.periods.map((period, t) => [period, t]).filter(([period, t]) => t === 0 || given.periods[t - 1] !== period);
    const path = (o) => `<path d="M${y.map((v, t) => `${at(t + 0.5)} ${high(v[o])}`).join("L")}" class="suite-line suite-${o}"/>`;
    lines.innerHTML = starts.map(([period, t]) => `<path d="M${at(t)} 0V${HIGH}" class="suite-axis"/><text x="${Number(at(t)) + 3}" y="11">${{ idle: "", response: "go", context: "rule", stimulus: "stimulus", delay: "delay", test: "second" }[period]}</text>`).join("")
      + `<path d="M0 ${high(0)}H${WIDE}" class="suite-axis"/>` + [0, 1, 2].map((o) => `<path d="M${at(LENGTH - STEPS.response)} ${high(given.target[o])}H${WIDE}" class="suite-goal suite-${o}"/>`).join("") + [0, 1, 2].map(path).join("")
      + ["fixation", "x", "y"].map((word, o) => `<text x="${4 + [0, 62, 80][o]}" y="${HIGH - 3}" class="suite-word suite-${o}">${word}</text>`).join("");
    const end = [1, 2].map((o) => (y.at(-1)[o] + y.at(-2)[o]) / 2);
    const arrow = ([a, b], kind) => `<path d="M${HIGH / 2} ${HIGH / 2}l${(a * 52).toFixed(1)} ${(-b * 52).toFixed(1)}" class="${kind}"/><circle cx="${(HIGH / 2 + a * 52).toFixed(1)}" cy="${(HIGH / 2 - b * 52).toFixed(1)}" r="5" class="${kind}"/>`;
    const clip = end.map((v) => Math.max(-1.3, Math.min(1.3, v)));
    dial.innerHTML = `<circle cx="${HIGH / 2}" cy="${HIGH / 2}" r="52" class="suite-axis"/>${arrow(given.target.slice(1), "suite-goal suite-asked")}${arrow(clip, "suite-answer")}<text x="${HIGH / 2}" y="${HIGH - 2}" text-anchor="middle">answer</text>`;
    const row = Math.min(12, 96 / Math.max(net.P, 1));
    raster.setAttribute("viewBox", `0 0 ${WIDE} ${Math.max(20, row * net.P + 16)}`);
    raster.innerHTML = z.flatMap((state, t) => bitsOf(net, state).map((bit, i) => (bit ? `<rect x="${at(t)}" y="${(i * row).toFixed(1)}" width="${(WIDE / LENGTH - 1).toFixed(1)}" height="${Math.max(row - 1, 0.8).toFixed(1)}"/>` : ""))).join("")
      + `<text x="0" y="${row * net.P + 13}">units above zero, ${net.P} rows</text>`;
    const on = z.map((state) => bitsOf(net, state).filter(Boolean).length);
    const words = `${name}: asked for fixation ${one(given.target[0])} and (${one(given.target[1])}, ${one(given.target[2])}), it answers ${one((y.at(-1)[0] + y.at(-2)[0]) / 2)} and (${one(end[0])}, ${one(end[1])}): ${right ? "right" : "wrong"}.`;
    lines.setAttribute("aria-label", `The three outputs over ${LENGTH} steps. ${words}`);
    dial.setAttribute("aria-label", `The answer as an arrow, and the one asked for. ${words}`);
    raster.setAttribute("aria-label", `Units above zero at each step: ${on.join(", ")}.`);
    root.querySelector(".suite-say").textContent = words;
  }

  root.addEventListener("input", ({ target }) => (target.name === "net" ? refresh() : target.name === "lost" ? scores() : draw()));
  get("task").value = "DelayAnti";
  refresh();
})();
