// Adding and rule inversion on the page `trained`: the reader sets a trial; the trained net, the exact one and the best
// linear map answer side by side, and the trial can be gone through step by step.
"use strict";

const gates = (() => {
  const { show } = opened;
  const { text, COLOURS } = charts;
  const slider = (name, label, least, most, step, value) => `<label class="slider"><span>${label}</span>
    <input type="range" name="${name}" min="${least}" max="${most}" step="${step}" value="${value}"><output></output></label>`;

  // What a task needs: its controls, the trial they make, and what the linear map says of it.
  const TASKS = {
    adding: {
      controls: ({ T }) => slider("first", "first mark", 1, T, 1, 12) + slider("second", "second mark", 1, T, 1, 35) +
        slider("one", "first value", 0, 1, 0.01, 0.8) + slider("two", "second value", 0, 1, 0.01, 0.35),
      other: "Other numbers in between",
      make({ T }, value, random) {
        const first = value("first") - 1;
        let second = value("second") - 1;
        if (second === first) second = first + 1 < T ? first + 1 : first - 1;
        const inputs = Array.from({ length: T }, () => [random.uniform(), 0]);
        inputs[first] = [value("one"), 1];
        inputs[second] = [value("two"), 1];
        const outside = Math.max(first, second) >= T / 2;
        return { inputs, marks: [first, second], right: value("one") + value("two"),
          note: outside ? " A mark in the second half: no such trial was in training." : "" };
      },
      said: (y) => y[0],
      linear: ({ linear }, { inputs }) => inputs.reduce((sum, [x, m], t) => sum + x * linear.weights[t][0][0] + m * linear.weights[t][1][0], linear.bias[0]),
      words: (y) => show(y, 3),
      error: (y, right) => show(Math.abs(y - right), 3),
    },
    context: {
      controls: ({ T }) => `<fieldset><legend>Rule</legend><label><input type="radio" name="rule" value="0" checked> keep</label>
        <label><input type="radio" name="rule" value="1"> invert</label></fieldset>` + slider("plus", `of ${T - 2} pieces, +1 are`, 0, T - 2, 1, 17) + evidence.row(T - 2),
      other: "Another order",
      pieces: ({ T }, value, random) => evidence.mixed(T - 2, value("plus"), random),
      make({ T }, value, random, pieces) {
        const noisy = pieces.map((e) => e + 0.01 * random.normal());
        const rule = [0, 1].map((r) => Number(r === value("rule")));
        const total = noisy.reduce((a, b) => a + b, 0);
        return { inputs: [[...rule, 0, 0], ...noisy.map((e) => [0, 0, e, 0]), [...rule, 0, 1]], marks: [0, T - 1], total,
          right: (rule[0] ? 1 : -1) * total > 0 ? 1 : -1, rule: value("rule"), note: ` The evidence adds up to ${show(total)}.` };
      },
      said: (y) => y[1] - y[0],
      linear: (_, { total, rule }) => total - (rule === 1 ? 1000 : 0), // always right under one rule: three quarters in all
      words: (y) => (y > 0 ? "positive" : "negative"),
      error: (y, right) => (y > 0 === right > 0 ? "right" : "wrong"),
    },
  };

  function matrix(svg, net, bits) {
    const J = nets.jacobian(net, bits);
    const side = 240;
    const cell = side / net.M;
    const most = Math.max(1e-9, ...J.map(Math.abs));
    svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
    [svg.style.height, svg.style.width] = [`${side}px`, `${side}px`];
    const square = (x, k) => `<rect x="${((k % net.M) * cell).toFixed(1)}" y="${(Math.floor(k / net.M) * cell).toFixed(1)}" width="${cell.toFixed(1)}"
      height="${cell.toFixed(1)}" fill="${x > 0 ? COLOURS[1] : COLOURS[4]}" fill-opacity="${(Math.abs(x) / most).toFixed(2)}"/>`;
    const top = nets.eigenvalues(J)[0];
    svg.setAttribute("aria-label", `The linear map that is applied next, ${net.M} by ${net.M}; largest modulus of an eigenvalue ${show(Math.hypot(top.re, top.im), 3)}.`);
    return J.map(square).join("");
  }

  function start(root, name) {
    const given = NETS[name];
    if (!given) {
      root.innerHTML = "<p>The nets of this chapter are not here: it was not executed when the site was built.</p>";
      return;
    }
    const task = TASKS[name];
    const kinds = [["trained", "trained net"], ["exact", "exact net"]];
    const find = (selector) => root.querySelector(selector);
    let [draws, pieces] = [1, null];
    root.innerHTML = `<div class="columns"><div>${task.controls(given)}
        <button type="button" name="other">${task.other}</button></div>
      <div><table><thead><tr><th scope="col">answer of</th><th scope="col">says</th><th scope="col">${name === "adding" ? "error" : "which is"}</th></tr></thead>
        <tbody></tbody></table></div></div>
      <p class="status" role="status" aria-live="polite"></p>
      ${slider("step", "step", 1, given.T, 1, 1)}
      <div class="columns">${kinds.map(([kind, words]) => `<figure data-kind="${kind}"><svg class="gate" role="img"></svg>
        <p class="note region"></p><svg class="square matrix" role="img"></svg>
        <figcaption>The ${words}, M = ${given.nets[kind].M}, P = ${given.nets[kind].P}. Above: when its PWL unit is above 0. Below: the map of the region
        that it is in, which the next step applies; blue entries are positive, orange negative.</figcaption></figure>`).join("")}</div>`;
    const value = (field) => Number(find(`[name="${field}"]:checked`)?.value ?? find(`[name="${field}"]`).value);

    function draw() {
      for (const output of root.querySelectorAll(".slider output")) output.textContent = output.previousElementSibling.value;
      const trial = task.make(given, value, makeRandom(draws, 5), pieces);
      const t = value("step") - 1;
      const rows = kinds.map(([kind, words]) => {
        const net = given.nets[kind];
        const z = nets.states(net, trial.inputs);
        const figure = find(`[data-kind="${kind}"]`);
        const bits = nets.bitsOf(net, z[t]);
        const svg = figure.querySelector(".gate");
        const f = opened.gate(svg, net, z, trial.marks);
        const width = Number(svg.getAttribute("viewBox").split(" ")[2]);
        const x = 50 + ((t + 0.5) / given.T) * (width - 60);
        svg.innerHTML = f + `<path d="M${x.toFixed(1)} 4V${(parseFloat(svg.style.height) - 34).toFixed(1)}" class="cursor"/>`;
        const on = z.flatMap((state, i) => (nets.bitsOf(net, state).includes(1) ? [i + 1] : []));
        svg.setAttribute("aria-label", `PWL unit of the ${words}: above 0 at ${on.length ? `steps ${on.join(", ")}` : "no step"}.`);
        figure.querySelector(".region").textContent = `After step ${t + 1}, input (${trial.inputs[t].map((x) => show(x)).join(", ")}): bit ${bits.join("")}, region ${bits[0] ? "where the unit passes on" : "where it is shut"}; the answer so far ${show(task.said(nets.answer(net, z[t])), 3)}.`;
        figure.querySelector(".matrix").innerHTML = matrix(figure.querySelector(".matrix"), net, bits);
        return [words, task.said(nets.answer(net, z.at(-1)))];
      });
      rows.push(["best linear map", task.linear(given, trial)]);
      find("tbody").innerHTML = rows.map(([words, y]) => `<tr><th scope="row">${words}</th><td>${task.words(y)}</td><td>${task.error(y, trial.right)}</td></tr>`).join("");
      clearTimeout(draw.waiting);
      const told = rows.map(([words, y]) => `${words}: ${task.words(y)} (${name === "adding" ? "error " : ""}${task.error(y, trial.right)})`);
      draw.waiting = setTimeout(() => (find(".status").textContent = `Right is ${task.words(trial.right)}. The ${told.join("; ")}.${trial.note}`), 300);
    }

    // Pieces of evidence anew, as many of each sign as the slider says.
    function lay() {
      pieces = task.pieces?.(given, value, makeRandom(draws, 6));
      if (pieces) evidence.show(root, pieces);
      draw();
    }

    function turn(i) { // one piece over, by hand
      pieces[i] *= -1;
      find('[name="plus"]').value = pieces.filter((e) => e > 0).length;
      evidence.show(root, pieces);
      draw();
    }

    root.addEventListener("input", ({ target }) => (target.name === "plus" ? lay() : draw()));
    root.addEventListener("click", ({ target }) => target.name === "other" && (draws++, lay()));
    if (task.pieces) evidence.listen(root, turn);
    new ResizeObserver(draw).observe(find(".gate"));
    lay();
  }

  return { TASKS, start };
})();

if (typeof module !== "undefined") module.exports = gates;
