// A drawn digit on the page `trained`: it is centred as MNIST is, read row by row by the nets of the chapter's sweep, with the
// share of each class, the path of the state, the dial P, and a switch for each PWL unit.
"use strict";

const digits = (() => {
  const SIDE = 140; // of the drawing, in dots
  const { text, path, COLOURS } = charts;
  const { show, list } = opened;
  const best = (x) => x.indexOf(Math.max(...x));

  function start(root) {
    const given = NETS.smnist;
    if (!given) {
      root.innerHTML = "<p>The nets of this chapter are not here: it was not executed when the site was built.</p>";
      return;
    }
    const ink = new Float32Array(SIDE * SIDE);
    const pen = { x: 70, y: 30, down: false };
    const find = (selector) => root.querySelector(selector);
    const sizes = Object.keys(given.nets);
    const others = {}; // for each P the paths of the test digits, once they are shown
    let [P, off, image] = [sizes.includes("25") ? "25" : sizes.at(-1), [], null];
    const button = (name, words, more = "") => `<button type="button" name="${name}" ${more}>${words}</button>`;
    root.innerHTML = `<div class="columns"><div>
        <canvas class="pad" width="${SIDE}" height="${SIDE}" tabindex="0" role="img" aria-label="Drawing area, empty"></canvas>
        <p class="note">Draw with mouse or finger. With the keyboard: arrow keys move the pen, Space lifts it and sets it down.</p>
        <p>${button("clear", "Clear")} or a test digit: ${given.digits.map((_, c) => button("digit", c, `value="${c}" aria-label="test digit ${c}"`)).join("")}</p></div>
      <div><fieldset><legend>P, nonlinear units of M = ${given.nets[P].M}</legend>${sizes.map((size) =>
        `<label><input type="radio" name="P" value="${size}" ${size === P ? "checked" : ""}> ${size}</label>`).join("")}</fieldset>
        <figure><svg class="bars" role="img"></svg><figcaption>Share of each class, if the reading stopped at this row.</figcaption></figure>
        <label class="slider"><span>rows read</span><input type="range" name="row" min="1" max="29" value="29" step="1"><output></output></label></div></div>
      <p class="status" role="status" aria-live="polite"></p>
      <div class="columns"><figure><canvas class="seen" width="28" height="28" role="img"></canvas><figcaption>What the net sees: the drawing, centred and
        scaled as MNIST is. A line stands below the row read last.</figcaption></figure>
      <figure><svg class="plane square" role="img"></svg><figcaption>Path of the state, row by row, in the plane in which the final states of 300 test digits (numerals)
        differ most; thin lines are the paths of the ten test digits. Colours change with the region.</figcaption></figure></div>
      <fieldset class="units"><legend>Lesions: PWL units that may pass something on</legend><div></div>
        <p class="note">Small: what silencing this unit alone does to accuracy on the 1,000 test digits, in points, measured in the chapter.</p></fieldset>`;
    const pad = find(".pad");
    const brush = pad.getContext("2d");

    function dot(x, y) { // a soft round pen
      for (let i = Math.floor(y - 7); i <= y + 7; i++)
        for (let j = Math.floor(x - 7); j <= x + 7; j++)
          if (i >= 0 && j >= 0 && i < SIDE && j < SIDE)
            ink[i * SIDE + j] = Math.max(ink[i * SIDE + j], Math.min(1, Math.max(0, 6.5 - Math.hypot(i + 0.5 - y, j + 0.5 - x))));
    }

    function stroke(x, y, x1, y1) {
      const steps = Math.max(1, Math.ceil(Math.hypot(x1 - x, y1 - y)));
      for (let k = 0; k <= steps; k++) dot(x + ((x1 - x) * k) / steps, y + ((y1 - y) * k) / steps);
      image = null;
      plan();
    }

    function show_ink(canvas, values, width, lineAt) {
      const context = canvas.getContext("2d");
      const data = context.createImageData(width, width);
      data.data.fill(255);
      for (let i = 0; i < values.length; i++) for (let channel = 0; channel < 3; channel++) data.data[4 * i + channel] = 255 * (1 - values[i]);
      context.putImageData(data, 0, 0);
      if (lineAt !== undefined) {
        context.fillStyle = COLOURS[4];
        context.fillRect(0, lineAt - 0.4, width, 0.4);
      }
    }

    let planned = 0;
    function plan() {
      cancelAnimationFrame(planned);
      planned = requestAnimationFrame(draw);
    }

    function draw() {
      show_ink(pad, ink, SIDE);
      if (document.activeElement === pad) {
        brush.strokeStyle = pen.down ? COLOURS[1] : COLOURS[4];
        brush.strokeRect(pen.x - 7, pen.y - 7, 14, 14);
      }
      const net = given.nets[P];
      image ??= mnist.centred(ink, SIDE, SIDE);
      const row = Number(find('[name="row"]').value);
      find("output").textContent = row === 29 ? "all" : row;
      if (!image) {
        for (const svg of [find(".bars"), find(".plane")]) {
          svg.innerHTML = svg.dataset.ground = "";
          svg.setAttribute("aria-label", "Nothing yet: there is no drawing.");
        }
        show_ink(find(".seen"), new Array(784).fill(0), 28);
        find(".seen").setAttribute("aria-label", "Nothing yet.");
        pad.setAttribute("aria-label", "Drawing area, empty");
        say(() => "Nothing is drawn yet. Draw a digit, or take a test digit.");
        return;
      }
      const whole = nets.states(net, mnist.rows(image));
      const cut = off.length ? nets.states(mnist.lesioned(net, off), mnist.rows(image)) : whole;
      const shares = mnist.shares(nets.answer(net, cut[row - 1]));
      const final = mnist.shares(nets.answer(net, cut.at(-1)));
      const intact = mnist.shares(nets.answer(net, whole.at(-1)));
      bars(find(".bars"), shares, row);
      plane(find(".plane"), net, given.planes[P], cut.slice(0, row));
      show_ink(find(".seen"), image, 28, row < 29 ? row : undefined);
      const filled = image.filter((v) => v > 0.5).length;
      pad.setAttribute("aria-label", `Drawing area, with a drawing; the net reads it as ${best(final)}`);
      find(".seen").setAttribute("aria-label", `The drawing as the net sees it, 28 by 28 pixels, ${filled} of them dark.`);
      say(() => tell(final, intact));
    }

    // In words, once the pen rests: this net, its lesions, and what all others make of the drawing.
    function tell(final, intact) {
      const read = (shares) => `${best(shares)} (${Math.round(100 * Math.max(...shares))}%)`;
      const dot = ink.reduce((n, v) => n + (v > 0.5), 0) < 300;
      const all = sizes.map((size) => `P = ${size}: ${best(nets.answer(given.nets[size], nets.states(given.nets[size], mnist.rows(image)).at(-1)))}`);
      return (dot ? "This is hardly more than a dot, and no net can say so: it names some digit all the same. " : "") +
        `With P = ${P} the net reads ${read(final)}.` +
        (off.length ? ` With ${off.length} unit${off.length > 1 ? "s" : ""} off; intact it reads ${read(intact)}. On the test digits ${lost()}.` : "") +
        ` This net is right on ${(100 * given.planes[P].test).toFixed(1)}% of the test digits. The same drawing: ${list(all)}.`;
    }

    function points(cost) {
      const change = Math.round(-1000 * cost) / 10 + 0; // no -0
      return `${change > 0 ? "+" : ""}${show(change, 1)}`;
    }

    function lost() {
      const alone = off.map((i) => `unit ${i + 1} ${points(given.planes[P].cost[i])}`);
      return `silencing ${off.length > 1 ? "them one at a time" : "it"} changes accuracy by, in points: ${list(alone.slice(0, 6))}${alone.length > 6 ? ", and so on" : ""}`;
    }

    let waiting;
    function say(words) {
      clearTimeout(waiting);
      waiting = setTimeout(() => (find(".status").textContent = words()), 300);
    }

    function bars(svg, shares, row) {
      const width = Math.max(260, svg.clientWidth || 300);
      svg.setAttribute("viewBox", `0 0 ${width} 150`);
      svg.style.height = "150px";
      const step = width / 10;
      svg.innerHTML = shares.map((x, c) => `<rect x="${(c * step + 4).toFixed(1)}" y="${(125 - 110 * x).toFixed(1)}" width="${(step - 8).toFixed(1)}" height="${(110 * x).toFixed(1)}" fill="${COLOURS[1]}"/>` +
        text((c + 0.5) * step, 142, c, 'text-anchor="middle"')).join("") + charts.line(0, 125, width, 125);
      const order = shares.map((x, c) => [x, c]).sort((a, b) => b[0] - a[0]).slice(0, 3);
      svg.setAttribute("aria-label", `After ${row === 29 ? "all rows" : `row ${row}`}: ${list(order.map(([x, c]) => `${c} ${Math.round(100 * x)}%`))}.`);
    }

    function plane(svg, net, { mean, axes, cloud }, path_of_states) {
      const side = 300;
      svg.setAttribute("viewBox", `0 0 ${side} ${side}`);
      svg.style.height = `${side}px`;
      const project = (states) => states.map((z) => axes.map((axis) => axis.reduce((sum, a, i) => sum + a * (z[i] - mean[i]), 0)));
      const flat = project(path_of_states);
      others[P] ??= given.digits.map((digit) => project(nets.states(net, mnist.rows(digit.map((v) => v / 255)))));
      const reach = 1.05 * Math.max(...[...cloud, ...flat, ...others[P].flat()].flat().map(Math.abs));
      const at = ([x, y]) => [(side / 2) * (1 + x / reach), (side / 2) * (1 - y / reach)];
      const ground = `${P} ${reach}`;
      if (svg.dataset.ground !== ground) { // numerals and thin lines stay while the pen moves
        const numerals = cloud.map((point, i) => text(...at(point), given.labels[i], 'class="cloud" text-anchor="middle"')).join("");
        const faint = others[P].map((points) => path(points.map(at), 'class="other"')).join("");
        svg.innerHTML = `<g>${faint}${numerals}</g><g class="way"></g>`;
        svg.dataset.ground = ground;
      }
      const names = path_of_states.map((z) => nets.bitsOf(net, z).join(""));
      const order = [...new Set(names)];
      const dots = flat.map((point, t) => {
        const [x, y] = at(point);
        return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="${t === flat.length - 1 ? 6 : 3.5}" fill="${COLOURS[1 + (order.indexOf(names[t]) % 6)]}" class="mark"/>`;
      }).join("");
      svg.querySelector(".way").innerHTML = path(flat.map(at), 'stroke="currentColor" stroke-opacity="0.5"') + dots;
      svg.setAttribute("aria-label", `Path of the state over ${flat.length} steps through ${order.length} region${order.length > 1 ? "s" : ""}; it ends at (${flat.at(-1).map((x) => show(x)).join(", ")}) in the plane.`);
    }

    function dial() {
      off = [];
      const many = given.nets[P].P;
      find(".units div").innerHTML = many
        ? given.planes[P].cost.map((cost, i) => `<label><input type="checkbox" name="unit" value="${i}" checked> ${i + 1} <small>${points(cost)}</small></label>`).join("")
        : "With P = 0 there is none.";
    }

    const place = (event) => {
      const box = pad.getBoundingClientRect();
      return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
    };
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      [pen.x, pen.y] = place(event);
      stroke(pen.x, pen.y, pen.x, pen.y);
    });
    pad.addEventListener("pointermove", (event) => {
      if (!event.buttons) return;
      const [x, y] = place(event);
      stroke(pen.x, pen.y, x, y);
      [pen.x, pen.y] = [x, y];
    });
    pad.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] }[event.key];
      if (event.key === " ") {
        pen.down = !pen.down;
        if (pen.down) stroke(pen.x, pen.y, pen.x, pen.y);
      } else if (move) {
        const [x, y] = [pen.x + move[0], pen.y + move[1]].map((v) => Math.max(4, Math.min(SIDE - 4, v)));
        if (pen.down) stroke(pen.x, pen.y, x, y);
        [pen.x, pen.y] = [x, y];
      } else return;
      event.preventDefault();
      plan();
    });
    for (const name of ["focus", "blur"]) pad.addEventListener(name, plan);
    root.addEventListener("input", ({ target }) => {
      if (target.name === "P") {
        P = target.value;
        dial();
      }
      if (target.name === "unit") off = [...root.querySelectorAll('[name="unit"]:not(:checked)')].map((box) => Number(box.value));
      plan();
    });
    root.addEventListener("click", ({ target }) => {
      if (target.name === "clear") {
        ink.fill(0);
        image = null;
        Object.assign(pen, { x: 70, y: 30, down: false });
      } else if (target.name === "digit") { // laid into the drawing area, so that one can go on drawing
        const digit = given.digits[Number(target.value)];
        const scale = SIDE / 28;
        for (let i = 0; i < SIDE * SIDE; i++)
          ink[i] = digit[Math.floor(Math.floor(i / SIDE) / scale) * 28 + Math.floor((i % SIDE) / scale)] / 255;
        image = digit.map((v) => v / 255);
      } else return;
      plan();
    });
    dial();
    draw();
  }

  return { start };
})();
