// The page `train-here`: settings, live curves of all nets against the exact floor, a table, and one net opened.
"use strict";

(() => {
  const root = document.getElementById("train");
  const find = (selector) => root.querySelector(selector);
  const tasks = makeTasks();
  const { COLOURS, DASHES, text, line, path, frame } = charts;
  const { show, list } = opened;
  const PS = [0, 1, 2, 4, 8];
  const BEST = { // what the chapters train, made small
    adding: { M: 20, T: 30, steps: 1000, rate: 0.01, seeds: 5, P: [0, 1, 4] },
    inversion: { M: 10, T: 31, steps: 1000, rate: 0.01, seeds: 5, P: [0, 1, 4] },
    copy: { M: 30, T: 19, steps: 600, rate: 0.02, seeds: 4, P: [0, 1, 4] },
  };
  const able = WebAssembly?.validate?.(bytes()) ?? false;
  let [driver, run, chosen, trial, drawing] = [null, null, null, 0, 0];

  function bytes() {
    return Uint8Array.from(atob(KERNEL), (letter) => letter.charCodeAt(0));
  }

  // ---- controls

  const slider = (name, label, least, most, step) => `<label class="slider"><span>${label}</span>
    <input type="range" name="${name}" min="${least}" max="${most}" step="${step}"><output></output></label>`;
  const get = (name) => find(`[name="${name}"]`);
  const rateOf = (x) => Number((10 ** Number(x)).toPrecision(2));
  const shown = { rate: (x) => rateOf(x), steps: (x) => Number(x).toLocaleString("en") };

  function build() {
    const option = ([id, { name }]) => `<option value="${id}">${name}</option>`;
    const dial = PS.map((P) => `<label><input type="checkbox" name="P" value="${P}"> ${P}</label>`).join("");
    const starts = [["slow", "slow modes"], ["nothing", "near zero"]].map(([id, name]) =>
      `<label><input type="radio" name="start" value="${id}"> ${name}</label>`).join("");
    root.innerHTML = `<p class="note able" ${able ? "hidden" : ""}>This browser has no WebAssembly SIMD, so nothing can be
      trained here. Below is a run that was recorded when this site was built.</p>
      <div class="columns"><div>
        <fieldset><legend>Task</legend><select name="task" aria-label="task">${Object.entries(tasks).map(option).join("")}</select></fieldset>
        <fieldset><legend>P, nonlinear units (several at once)</legend>${dial}</fieldset>
        <p class="note over" role="status"></p>
        <fieldset><legend>Start of the weights</legend>${starts}</fieldset></div>
        <fieldset><legend>Sizes</legend>${slider("M", "M, units", 4, 40, 1)}${slider("T", "T, length", 12, 100, 1)}
        ${slider("seeds", "seeds each", 1, 8, 1)}${slider("steps", "steps", 100, 3000, 100)}
        ${slider("rate", "rate", -3.5, -1, 0.1)}</fieldset></div>
      <p><button type="button" name="train">Train</button><button type="button" name="pause" disabled>Pause</button
        ><button type="button" name="reset">Reset</button><span class="count" aria-hidden="true"></span></p>
      <p class="status" role="status" aria-live="polite"></p>
      <figure><svg class="curves" role="img"></svg><figcaption class="key"></figcaption></figure>
      <div class="scroll" tabindex="0" role="region" aria-label="All nets"><table><thead><tr><th scope="col">net</th>
        <th scope="col">training loss</th><th scope="col">test loss</th><th scope="col">÷ floor</th><th scope="col">right</th></tr></thead><tbody></tbody></table></div>
      <div class="inside" hidden></div>`;
    root.addEventListener("input", ({ target }) => {
      if (target.name === "task") suggest(target.value);
      say();
    });
    root.addEventListener("click", ({ target }) => {
      const does = { train, pause, reset, again: () => inside(trial + 1) }[target.name];
      if (does) does();
      else if (target.dataset?.net && target.tagName === "BUTTON") open(Number(target.dataset.net));
    });
    find(".curves").addEventListener("click", pick);
    new ResizeObserver(() => (draw(), inside(trial))).observe(find(".curves"));
    new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  function suggest(id) {
    const best = BEST[id];
    for (const name of ["M", "seeds", "steps"]) get(name).value = best[name];
    Object.assign(get("T"), { min: Math.max(12, tasks[id].least), max: tasks[id].most });
    get("T").value = best.T;
    get("rate").value = Math.log10(best.rate);
    get("task").value = id;
    for (const box of root.querySelectorAll('[name="P"]')) box.checked = best.P.includes(Number(box.value));
    find('[name="start"][value="slow"]').checked = true;
  }

  function read() {
    const number = (name) => Number(get(name).value);
    const P = [...root.querySelectorAll('[name="P"]:checked')].map((box) => Number(box.value));
    const task = get("task").value;
    return { task, M: number("M"), T: tasks[task].length(number("T")), seeds: number("seeds"), steps: number("steps"),
      rate: rateOf(get("rate").value), start: find('[name="start"]:checked').value, P: P.filter((p) => p <= number("M")) };
  }

  function say() {
    for (const output of root.querySelectorAll(".slider output")) {
      const { name, value } = output.previousElementSibling;
      output.textContent = name === "T" ? read().T : (shown[name] ?? Number)(value);
      output.previousElementSibling.setAttribute("aria-valuetext", output.textContent);
    }
    const [M, asked] = [read().M, [...root.querySelectorAll('[name="P"]:checked')].map((box) => Number(box.value))];
    const over = asked.filter((P) => P > M);
    find(".over").textContent = !asked.length ? "Choose at least one P." : over.length ? `Left out: P = ${list(over)}, more than there are units.` : "";
    get("train").disabled = !able || !read().P.length;
  }

  const tell = (words) => (find(".status").textContent = words);

  // ---- a run: {settings, bins: [net][bin] mean losses, width of a bin, done, seconds, test, lost, where}

  const nameOf = ({ P, seed }) => `P = ${P}, seed ${seed}`;
  const membersOf = ({ P, seeds }) => P.flatMap((p) => Array.from({ length: seeds }, (_, seed) => ({ P: p, seed })));

  function train() {
    const settings = read();
    driver?.end();
    const members = membersOf(settings);
    const width = Math.max(1, Math.ceil(settings.steps / 150));
    run = { settings, members, width, sums: members.map(() => []), done: 0, seconds: 0, lost: members.map(() => null),
      test: null, running: true, nets: [], where: "in your browser" };
    [chosen, trial] = [null, 0];
    find(".inside").hidden = true;
    const mine = run;
    driver = startDriver((message) => mine === run && hear(message));
    driver.hear({ start: settings, bytes: bytes() });
    tell(`Training ${members.length} nets on ${tasks[settings.task].name}, T = ${settings.T}.`);
    draw();
  }

  function hear(message) {
    if (message.trouble) {
      run.running = false;
      tell(`Training stopped: ${message.trouble}.`);
    } else if (message.net) {
      run.nets[message.opened] = message.net;
      if (message.opened === chosen) inside(trial);
      return;
    } else {
      message.losses.forEach((losses, k) => losses.forEach((loss, i) => {
        const bin = Math.floor((run.done + i) / run.width);
        run.sums[k][bin] ??= [0, 0];
        run.sums[k][bin][0] += loss;
        run.sums[k][bin][1]++;
      }));
      Object.assign(run, { done: message.done, seconds: message.busy / 1000, lost: message.lost });
      if (message.finished) {
        Object.assign(run, { running: false, test: message.test });
        tell(summary());
        if (chosen !== null) driver.hear({ open: chosen });
      }
    }
    draw();
  }

  function pause() {
    run.running = !run.running;
    driver.hear({ go: run.running });
    tell(run.running ? "Training goes on." : `Paused after ${run.done.toLocaleString("en")} steps. ${standing()}`);
    if (!run.running && chosen !== null) driver.hear({ open: chosen });
    draw();
  }

  function reset() {
    driver?.end();
    [driver, chosen] = [null, null];
    find(".inside").hidden = true;
    recorded();
  }

  // The run that the build made with the same script.
  function recorded() {
    const { settings, width, bins, seconds, test, lost, nets: kept } = RECORDED;
    run = { settings, members: membersOf(settings), width, sums: bins.map((means) => means.map((mean) => [mean, 1])),
      done: settings.steps, seconds, lost, test, running: false, nets: kept, where: "when this site was built" };
    tell(`A recorded run. ${summary()}${able ? " Press Train for one of your own." : ""}`);
    draw();
  }

  const floor = () => tasks[run.settings.task].floor(run.settings.T);
  const latest = (k) => {
    const bin = run.sums[k].at(-1);
    return bin ? bin[0] / bin[1] : NaN;
  };
  const scoreOf = (k) => run.test?.[k].loss ?? latest(k);

  function standing() {
    const groups = run.settings.P.map((P) => {
      const own = run.members.map((member, k) => [member, scoreOf(k)]).filter(([member]) => member.P === P);
      const below = own.filter(([, score]) => score < floor() / 10).length;
      return `P = ${P}: ${below} of ${own.length}`;
    });
    return `Below a tenth of the floor of ${floor().toFixed(3)} are, with ${list(groups)}.`;
  }

  function summary() {
    const lost = run.lost.filter((step) => step !== null).length;
    return `${run.members.length} nets, ${run.done.toLocaleString("en")} steps, ${show(run.seconds, 1)} s ${run.where}. ${standing()}` +
      (lost ? ` ${lost} diverged and stayed where they were.` : "");
  }

  // ---- drawing

  const colour = (P) => COLOURS[PS.indexOf(P)];
  const dash = (P) => DASHES[PS.indexOf(P)];
  let places = []; // of the curves, to find the one that is clicked

  function draw() {
    if (!run) return;
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(paint);
    const { members, running, done, settings } = run;
    get("pause").disabled = !(driver && (running || done < settings.steps));
    get("pause").textContent = running || !driver ? "Pause" : "Go on";
    find(".count").textContent = driver ? `${done.toLocaleString("en")} of ${settings.steps.toLocaleString("en")} steps, ${run.seconds.toFixed(1)} s` : "";
    const classes = tasks[settings.task].O > 1;
    const body = find("tbody");
    if (body.rows.length !== members.length || body.dataset.of !== JSON.stringify(settings)) {
      body.dataset.of = JSON.stringify(settings);
      body.innerHTML = members.map((member, k) => `<tr><th scope="row"><button type="button" data-net="${k}"
        >${nameOf(member)}</button></th><td></td><td></td><td></td><td></td></tr>`).join("");
    }
    members.forEach((member, k) => {
      const number = (x) => (Number.isFinite(x) ? (x < 0.001 ? x.toExponential(1).replace("-", "\u2212") : x.toFixed(4)) : "");
      const test = run.test?.[k];
      const words = [run.lost[k] !== null ? `lost at ${run.lost[k]}` : number(latest(k)), test ? number(test.loss) : "",
        number(scoreOf(k) / floor()), test && classes ? `${(100 * test.right).toFixed(1)}%` : ""];
      words.forEach((word, i) => {
        const cell = body.rows[k].cells[i + 1];
        if (cell.textContent !== word) cell.textContent = word;
      });
      body.rows[k].querySelector("button").classList.toggle("chosen", k === chosen);
    });
  }

  function paint() {
    const { settings, members } = run;
    const svg = find(".curves");
    const silent = tasks[settings.task].silent();
    const means = run.sums.map((bins) => bins.map(([sum, n]) => sum / n));
    const all = means.flat().filter((x) => Number.isFinite(x) && x > 0);
    const least = 10 ** Math.max(-7, Math.min(-2, Math.floor(Math.log10(Math.min(...all, 0.01)))));
    const most = 10 ** Math.ceil(Math.log10(Math.max(1.01 * silent, 0.2)));
    const f = frame(svg, { x0: 0, x1: settings.steps, y0: least, y1: most, log: true, height: 320, xlabel: "training step", ylabel: "training loss" });
    const inside = (y) => f.Y(Math.min(most, Math.max(least, y)));
    places = means.map((bins) => bins.map((y, i) => [f.X(Math.min((i + 0.5) * run.width, settings.steps)), inside(y)]).filter(([, y]) => Number.isFinite(y)));
    const curves = places.map((points, k) => path(points, `stroke="${colour(members[k].P)}" stroke-width="${k === chosen ? 4 : 1.6}" stroke-dasharray="${dash(members[k].P)}"`));
    const level = line(f.left, f.Y(floor()), f.width - 10, f.Y(floor()), 'class="floor"');
    svg.innerHTML = f.axes + curves.join("") + level + text(f.width - 14, f.Y(floor()) - 6, `least loss with P = 0: ${floor().toFixed(3)}`, 'text-anchor="end"');
    const medians = settings.P.map((P) => {
      const own = means.filter((_, k) => members[k].P === P).map((bins) => bins.at(-1)).sort((a, b) => a - b);
      return `P = ${P}: ${own.length && Number.isFinite(own[0]) ? own[own.length >> 1].toPrecision(2) : "none yet"}`;
    });
    svg.setAttribute("aria-label", `Training loss of ${members.length} nets on a log scale after ${run.done} steps; medians: ${medians.join(", ")}. The least loss with P = 0 is ${floor().toFixed(3)}.`);
    find(".key").innerHTML = settings.P.map((P) => `<span><i style="border-color: ${colour(P)}; border-top-style: ${dash(P) ? "dashed" : "solid"}"></i>P = ${P}</span>`).join("") +
      `One curve a net, ${tasks[settings.task].name}, T = ${settings.T}, M = ${settings.M}; means over ${run.width} steps. Click a curve, or a name in the table, to look inside.`;
  }

  function pick(event) {
    const box = find(".curves").getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [nearest, least] = [null, 30];
    places.forEach((points, k) => points.forEach(([px, py]) => {
      const distance = Math.hypot(px - x, py - y);
      if (distance < least) [nearest, least] = [k, distance];
    }));
    if (nearest !== null) open(nearest);
  }

  // ---- one net, opened

  function open(k) {
    [chosen, trial] = [k, 0];
    if (driver) driver.hear({ open: k });
    else inside(0);
    draw();
  }

  function inside(number) {
    const net = chosen === null ? null : run.nets[chosen];
    if (!net) return;
    trial = number;
    const task = tasks[run.settings.task];
    const T = run.settings.T;
    const random = makeRandom(1, 4);
    const some = opened.trials(task, T, 101, random);
    const { inputs, target, weight } = some[number % 101];
    const panel = find(".inside");
    panel.hidden = false;
    if (panel.dataset.net !== String(chosen)) {
      panel.dataset.net = chosen;
      panel.innerHTML = `<p><strong class="name"></strong> <button type="button" name="again">Another trial</button></p>
        <p class="told" role="status" aria-live="polite"></p>
        <div class="columns"><figure><svg class="gate" role="img"></svg><figcaption>PWL units over one trial: filled where the
        unit is above 0 and passes something on. Triangles: ${{ adding: "marks", inversion: "the rule is shown", copy: "the cue" }[run.settings.task]}.</figcaption></figure>
        <figure><svg class="spectrum square" role="img"></svg><figcaption>Eigenvalues of the maps of the regions used most in 101 trials,
        and the unit circle.</figcaption></figure></div>`;
    }
    const z = nets.states(net, inputs);
    const last = task.last(T);
    const answers = z.slice(-last).map((state) => nets.answer(net, state));
    const marks = inputs.flatMap((s, t) => ({ adding: s[1] === 1, inversion: s[0] + s[1] > 0, copy: s[4] === 1 })[run.settings.task] ? [t] : []);
    const best = (y) => y.indexOf(Math.max(...y));
    const asked = target.map((x, l) => [x, l]).filter(([, l]) => weight[l]);
    const said = task.O === 1 ? `says ${show(answers[0][0], 3)}; right is ${show(target[0], 3)}`
      : `says ${asked.map(([, l]) => best(answers[l])).join(", ")}; right is ${asked.map(([x]) => x).join(", ")}`;
    const visited = nets.visits(net, some.map((one) => nets.states(net, one.inputs)));
    const maps = opened.maps(net, visited);
    const words = opened.regionsInWords(visited, 101 * T);
    const on = z.flatMap((state, t) => (nets.bitsOf(net, state).includes(1) ? [t] : []));
    find(".name").textContent = nameOf(run.members[chosen]);
    find(".told").textContent = `In this trial the net ${said}. ${words}. Eigenvalues: ${opened.spectrumInWords(maps)}.`;
    find(".gate").innerHTML = opened.gate(find(".gate"), net, z, marks);
    find(".gate").setAttribute("aria-label", `PWL units of the net over ${T} steps. Some unit is above 0 at ${on.length ? `steps ${on.join(", ")}` : "no step"}; steps of note: ${marks.join(", ")}.`);
    find(".spectrum").innerHTML = opened.spectrum(find(".spectrum"), maps);
    find(".spectrum").setAttribute("aria-label", `Eigenvalues. ${opened.spectrumInWords(maps)}.`);
  }

  build();
  suggest("adding");
  say();
  recorded();
})();
