// A typed text on the page `trained`: two nets of the chapter on sentiment, P = 0 and P = 5, read it word by word; words they
// do not know are marked, the answer after each word and the way of the state along the slow direction are drawn.
"use strict";

const reviews = (() => {
  const { text, line, path, frame, COLOURS, minus } = charts;
  const { show, list } = opened;
  const EXAMPLES = [
    "A superb film, moving and funny.",
    "Not bad at all!",
    "The plot is a mess, but the actors are wonderful, and I laughed a lot.",
    "I expected something dull, and I was wrong: it is great fun from the first scene to the last.",
    "Great music, great photography. What a waste of two hours.",
  ];
  const signed = (x) => minus(`${x >= 0 ? "+" : ""}${x.toFixed(2)}`);
  const verdict = (y) => (y > 0 ? "favourable" : "unfavourable");

  // What a net makes of words: states, answers (logit of favourable less that of the other), and the part of each answer
  // that stands in the slow direction: gain times the mode's left eigenvector by the state.
  function read(net, { left, gain }, numbers) {
    const states = nets.states(net, numbers);
    const answers = states.map((z) => nets.answer(net, z)).map(([no, yes]) => yes - no);
    return { states, answers, slow: states.map((z) => gain * z.reduce((sum, x, i) => sum + left[i] * x, 0)) };
  }

  function start(root) {
    const given = NETS.sentiment;
    if (!given) {
      root.innerHTML = "<p>The nets of this chapter are not here: it was not executed when the site was built.</p>";
      return;
    }
    const sizes = Object.keys(given.nets);
    const find = (selector) => root.querySelector(selector);
    let [example, draws] = [0, 0]; // draws: how often the words were shuffled, 0 for as typed
    root.innerHTML = `<label for="review">A sentence, or a review, of your own</label>
      <textarea id="review" name="text" rows="3" spellcheck="false">${EXAMPLES[0]}</textarea>
      <p><button type="button" name="shuffle">Shuffle the words</button><button type="button" name="restore" disabled>As typed</button
        ><button type="button" name="example">Another sentence</button></p>
      <p class="read scroll" tabindex="0" role="region" aria-label="The words as they are read"></p>
      <p class="status" role="status" aria-live="polite"></p>
      <label class="slider"><span>words read</span><input type="range" name="word" min="1" max="1" value="1" step="1"><output></output></label>
      <div class="columns">${sizes.map((P) => `<figure data-size="${P}"><svg class="answers" role="img"></svg>
        <figcaption>P = ${P}: the answer after each word, in logits; above 0 is favourable. Dashed: the part in the slow direction.</figcaption>
        <svg class="line" role="img"></svg><figcaption>Path of the state, by what it adds to the answer: along the slow direction, and in all others
        together. Colours change with the region.</figcaption></figure>`).join("")}</div>
      <div class="scroll" tabindex="0" role="region" aria-label="Word by word"><table><thead><tr><th scope="col">word</th>${sizes.map((P) =>
        `<th scope="col">P = ${P}</th><th scope="col">change</th>`).join("")}</tr></thead><tbody></tbody></table></div>`;

    // Of the text as it stands, the words that are read: the last ones, as in training.
    function taken() {
      const all = words.tokens(find("textarea").value);
      const last = all.slice(-given.length);
      return { all, typed: last, found: draws ? words.shuffled(last, makeRandom(draws, 6)) : last };
    }

    function draw() {
      const { all, typed, found } = taken();
      const numbers = words.numbers(found, given.words);
      const slider = find('[name="word"]');
      const following = slider.value === slider.max;
      slider.max = Math.max(1, found.length);
      if (following) slider.value = slider.max;
      slider.disabled = !found.length;
      const many = Number(slider.value);
      find("output").textContent = found.length ? `${many} of ${found.length}` : "none";
      find('[name="restore"]').disabled = !draws;
      find('[name="shuffle"]').disabled = found.length < 2;
      find(".read").innerHTML = found.map((word, i) => `<span class="${numbers[i] ? "" : "unknown"} ${i < many ? "" : "later"}">${word}</span>`).join(" ");
      find("tbody").innerHTML = "";
      if (!found.length) {
        for (const svg of root.querySelectorAll("svg")) {
          svg.innerHTML = "";
          svg.setAttribute("aria-label", "Nothing yet: there is no word.");
        }
        say(`There is no word in this text yet. Type a sentence, or press "Another sentence".`);
        return;
      }
      const outcomes = sizes.map((P) => read(given.nets[P], given.slow[P], numbers));
      const range = (lists) => [1.15 * Math.min(-1, ...lists.flat()), 1.15 * Math.max(1, ...lists.flat())];
      const high = range(outcomes.flatMap(({ answers, slow }) => [answers, slow]));
      const along = range(outcomes.map(({ slow }) => slow));
      const across = range(outcomes.map(({ answers, slow }) => answers.map((y, i) => y - slow[i])));
      sizes.forEach((P, i) => {
        const figure = find(`[data-size="${P}"]`);
        answers(figure.querySelector(".answers"), P, outcomes[i], found, many, high);
        way(figure.querySelector(".line"), P, given.nets[P], outcomes[i], many, along, across);
      });
      const before = (y, t) => y[t] - (t ? y[t - 1] : 0);
      find("tbody").innerHTML = found.map((word, t) => `<tr><th scope="row">${word}${numbers[t] ? "" : " (unknown)"}</th>${outcomes.map(({ answers: y }) =>
        `<td>${signed(y[t])}</td><td>${signed(before(y, t))}</td>`).join("")}</tr>`).join("");
      tell(all, typed, found, numbers, outcomes);
    }

    function tell(all, typed, found, numbers, outcomes) {
      const unknown = [...new Set(found.filter((_, t) => !numbers[t]))];
      const asTyped = words.numbers(typed, given.words);
      const sayings = sizes.map((P, i) => {
        const y = outcomes[i].answers.at(-1);
        const first = draws ? read(given.nets[P], given.slow[P], asTyped).answers.at(-1) : null;
        return `P = ${P}: ${verdict(y)} (${signed(y)}${draws ? `; as typed ${signed(first)}` : ""})`;
      });
      say(`${draws ? "Shuffled. " : ""}${sayings.join("; ")}. ` +
        (all.length > given.length ? `There are ${all.length.toLocaleString("en")} words; the last ${given.length} are read, as in training. ` : "") +
        (unknown.length === 0 ? "All words are known." : numbers.some(Boolean) ? `Unknown: ${list(unknown.slice(0, 8))}${unknown.length > 8 ? " and others" : ""}.`
          : `None of these words is among the ${given.words.length.toLocaleString("en")} that the nets know, so all they read is "unknown", ${found.length} time${found.length > 1 ? "s" : ""}.`));
    }

    let waiting;
    function say(message) {
      clearTimeout(waiting);
      waiting = setTimeout(() => (find(".status").textContent = message), 300);
    }

    function answers(svg, P, { answers: y, slow }, found, many, [y0, y1]) {
      const fits = found.length * 14 < Math.max(260, svg.clientWidth || 600) - 60;
      const f = frame(svg, { x0: 0, x1: found.length + 0.5, y0, y1, height: fits ? 250 : 200, bottom: fits ? 90 : 34, names: fits ? found : undefined, xlabel: fits ? "" : "word" });
      const at = (values) => values.slice(0, many).map((value, t) => [f.X(t + 1), f.Y(value)]);
      svg.innerHTML = f.axes + line(f.left, f.Y(0), f.width - 10, f.Y(0)) + path(at(slow), `stroke="currentColor" stroke-dasharray="6 4"`) +
        path(at(y), `stroke="${COLOURS[1]}" stroke-width="2"`) + at(y).map(([x, v]) => `<circle cx="${x.toFixed(1)}" cy="${v.toFixed(1)}" r="${fits ? 4 : 2}" fill="${COLOURS[1]}" class="mark"/>`).join("");
      const jumps = y.slice(0, many).map((value, t) => [value - (t ? y[t - 1] : 0), found[t]]).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 3);
      svg.setAttribute("aria-label", `P = ${P}: after ${many} of ${found.length} words the answer is ${signed(y[many - 1])}, of which ${signed(slow[many - 1])} in the slow direction. It was moved most by ${list(jumps.map(([d, word]) => `${word} (${signed(d)})`))}.`);
    }

    function way(svg, P, net, { states, answers: y, slow }, many, [x0, x1], [y0, y1]) {
      const f = frame(svg, { x0, x1, y0, y1, height: 200, xlabel: "along the slow direction", ylabel: "other directions" });
      const points = slow.slice(0, many).map((value, t) => [f.X(value), f.Y(y[t] - value)]);
      const names = states.slice(0, many).map((z) => nets.bitsOf(net, z).join(""));
      const order = [...new Set(names)];
      svg.innerHTML = f.axes + path(points, 'stroke="currentColor" stroke-opacity="0.5"') + points.map(([x, v], t) =>
        `<circle cx="${x.toFixed(1)}" cy="${v.toFixed(1)}" r="${t === many - 1 ? 6 : 3.5}" fill="${COLOURS[1 + (order.indexOf(names[t]) % 6)]}" class="mark"/>`).join("");
      svg.setAttribute("aria-label", `P = ${P}: path of the state over ${many} words through ${order.length} region${order.length > 1 ? "s" : ""}; along the slow direction it goes from ${signed(slow[0])} to ${signed(slow[many - 1])}.`);
    }

    root.addEventListener("input", ({ target }) => {
      if (target.name === "text") draws = 0;
      draw();
    });
    root.addEventListener("click", ({ target }) => {
      if (target.name === "shuffle") draws++;
      else if (target.name === "restore") draws = 0;
      else if (target.name === "example") {
        [example, draws] = [(example + 1) % EXAMPLES.length, 0];
        find("textarea").value = EXAMPLES[example];
      } else return;
      draw();
    });
    new ResizeObserver(draw).observe(find(".answers"));
    draw();
  }

  return { read, start };
})();
