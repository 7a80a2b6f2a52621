// Mini-SCAN, live: the reader puts a command together; a pair of nets that the chapter exported reads it and answers,
// and the one PWL unit of its decoder is shown step by step. Needs hands/net.js and hands/nets-scan.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { states, step, answer } = node ? require("../hands/net.js") : nets;
  const one = (n, which) => Array.from({ length: n }, (_, i) => Number(i === which));

  // What a pair says to the words, by number: at each step the state of the last unit before it, and the symbol.
  function says({ encoder, decoder }, words, most = 7) {
    let z = states(encoder, words.map((word) => one(encoder.N, word))).at(-1);
    let said = decoder.O; // the start
    const steps = [];
    while (said !== decoder.O - 1 && steps.length < most) {
      const value = decoder.P ? z.at(-1) : null;
      z = step(decoder, z, one(decoder.N, said));
      const scores = answer(decoder, z);
      said = scores.indexOf(Math.max(...scores));
      steps.push({ value, said });
    }
    return steps;
  }

  // The actions that a command asks for, and STOP.
  function asks(command) {
    const phrase = ([verb, often]) => Array({ twice: 2, thrice: 3 }[often] ?? 1).fill(verb.toUpperCase());
    const [first, second] = command.join(" ").split(/ and | after /).map((words) => phrase(words.split(" ")));
    return [...(command.includes("after") ? [...second, ...first] : [...first, ...(second ?? [])]), "STOP"];
  }

  if (node) return void (module.exports = { says, asks });
  const root = document.getElementById("scan");
  const { nets: parts, words: WORDS, symbols: SYMBOLS } = NETS.scan;
  const KINDS = { exact: "P = 1, built by hand", trained: "P = 1, trained", linear: "P = 0, trained" };
  const verbs = WORDS.slice(0, 4);
  const PLACES = [
    ["first verb", verbs], ["how often, first", ["", "twice", "thrice"]], ["word between", ["", "and", "after"]],
    ["second verb", verbs], ["how often, second", ["", "twice", "thrice"]],
  ];

  root.innerHTML = `<p class="steps-choose">${PLACES.map(([label, words]) => `<select aria-label="${label}">
      ${words.map((word) => `<option value="${word}">${word || "\u2013"}</option>`).join("")}</select>`).join(" ")}</p>
    <fieldset><legend>network</legend>${Object.entries(KINDS).map(([kind, name], i) => `<label><input type="radio"
      name="scan-net" value="${kind}"${i ? "" : " checked"}> ${name}</label>`).join(" ")}</fieldset>
    <label class="steps-at">step <input type="range" name="step" min="0"> <output></output></label>
    <button type="button">Next step</button>
    <div class="steps" role="img"></div><p class="steps-say" aria-live="polite"></p>`;
  const selects = [...root.querySelectorAll("select")];
  const [at, next, strip, say] = ['[name="step"]', "button", ".steps", ".steps-say"].map((part) => root.querySelector(part));

  // start: where the slider is put, behind the last word ("read") or the last action ("end"); else it stays.
  function draw(start) {
    const [verb, often, joined, other, second] = selects.map((select) => select.value);
    selects[3].disabled = selects[4].disabled = !joined;
    const command = [verb, often, ...(joined ? [joined, other, second] : [])].filter(Boolean);
    const kind = root.querySelector(":checked[type=radio]").value;
    const pair = { encoder: parts[`${kind} encoder`], decoder: parts[`${kind} decoder`] };
    const steps = says(pair, command.map((word) => WORDS.indexOf(word)));
    at.max = command.length + steps.length;
    if (start) at.value = start === "read" ? command.length : at.max;
    const k = Number(at.value);
    const said = Math.max(0, k - command.length);
    const heard = command.slice(0, k);
    const bits = steps.slice(0, said).map(({ value }) => (value > 0 ? "on" : "off"));
    const actions = steps.slice(0, said).map((one) => SYMBOLS[one.said]);
    const right = asks(command);
    root.querySelector("output").textContent = `${k} of ${at.max}`;
    next.disabled = k === Number(at.max);
    const box = (text, state, below = "") => `<span class="${state}">${text}${below}</span>`;
    strip.innerHTML = `<p><b>in</b>${command.map((word, i) => box(word, i < k ? "steps-now" : "steps-later")).join("")}</p>
      <p><b>out</b>${steps.map((one, i) => box(i < said ? SYMBOLS[one.said] : "?", i < said ? (SYMBOLS[one.said] === right[i] ? "steps-now" : "steps-wrong") : "steps-later",
        one.value === null ? "" : `<small class="${i < said ? bits[i] : ""}">${i < said ? bits[i] : "\u2013"}</small>`)).join("")}</p>`;
    const unit = steps[0].value === null ? "There is no PWL unit." : said ? `The unit is ${bits.join(", ")}.` : "";
    const done = k < Number(at.max) ? "" : actions.join() === right.join() ? "Right." : `Wrong: asked for ${right.join(" ")}.`;
    const words = said ? `It says ${actions.join(" ")}. ${unit} ${done}` : `It has read ${heard.join(" ") || "nothing"}${k < command.length ? " so far" : ", and said nothing yet"}.`;
    strip.setAttribute("aria-label", `${KINDS[kind]}. Command: ${command.join(" ")}. ${words}`);
    say.textContent = words;
  }

  root.addEventListener("input", (event) => draw(event.target === at ? "" : "end"));
  next.addEventListener("click", () => {
    at.value = Number(at.value) + 1;
    draw();
  });
  ["walk", "thrice", "after", "jump", "twice"].forEach((word, i) => (selects[i].value = word));
  draw("read");
})();
