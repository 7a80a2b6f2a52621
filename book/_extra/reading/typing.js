// A language model, live: the reader types; two nets that the chapter exported say what they expect after each letter.
// Needs hands/net.js and hands/nets-language-model.js.
"use strict";

(() => {
  const node = typeof document === "undefined";
  const { step, answer } = node ? require("../hands/net.js") : nets;

  // Probabilities of each symbol after each of the numbers, read with phi(z).
  function expects(net, numbers) {
    let z = Array(net.M).fill(0);
    return numbers.map((number) => {
      z = step(net, z, Array.from({ length: net.N }, (_, i) => Number(i === number)));
      const logits = answer(net, z.map((x, i) => (i >= net.M - net.P ? Math.max(x, 0) : x)));
      const most = Math.max(...logits);
      const odds = logits.map((x) => Math.exp(x - most));
      const sum = odds.reduce((a, b) => a + b);
      return odds.map((x) => x / sum);
    });
  }

  if (node) return void (module.exports = { expects });
  const root = document.getElementById("typing");
  const told = NETS["language-model"];
  const letters = told.alphabet;
  const names = Object.keys(told.nets); // "P = 0" and another
  const write = (letter) => ({ " ": "\u2423", "\n": "\u23ce" })[letter] ?? letter.replace("&", "&amp;");
  const say = (letter) => ({ " ": "space", "\n": "new line" })[letter] ?? letter;
  const percent = (p) => `${(100 * p).toFixed(p < 0.1 ? 1 : 0)}%`;

  root.innerHTML = `<label>your text <input type="text" maxlength="100" spellcheck="false" autocomplete="off"
      value="the queen was called and that is what she said"></label>
    <div class="letters" role="img"></div>
    <label class="steps-at">after letter <input type="range" min="0"> <output></output></label>
    <div class="guesses"></div><p class="steps-say" aria-live="polite"></p>`;
  const [text, at] = root.querySelectorAll("input");
  const [strip, guesses, words] = [".letters", ".guesses", ".steps-say"].map((part) => root.querySelector(part));

  function draw(restart) {
    const typed = [...text.value].filter((letter) => letters.includes(letter));
    const unknown = [...text.value].filter((letter) => !letters.includes(letter));
    const odds = names.map((name) => expects(told.nets[name], [...told.lead, ...typed].map((letter) => letters.indexOf(letter))).slice(told.lead.length - 1));
    const bits = odds.map((each) => typed.map((letter, i) => -Math.log2(each[i][letters.indexOf(letter)])));
    at.max = typed.length;
    if (restart) at.value = at.max;
    const k = Number(at.value);
    root.querySelector("output").textContent = `${k} of ${typed.length}`;
    const bar = (x, i) => `<i class="typing-${i}" style="height:${Math.min(48, 5 * x).toFixed(1)}px"></i>`;
    strip.innerHTML = typed.map((letter, t) => `<span data-at="${t + 1}" class="${t === k - 1 ? "here" : ""}">
      <span class="bars">${bits.map((each, i) => bar(each[t], i)).join("")}</span>${write(letter)}</span>`).join("");
    const mean = bits.map((each) => (each.length ? each.reduce((a, b) => a + b) / each.length : NaN));
    const top = odds.map((each) => each[k].map((p, i) => [p, letters[i]]).sort(([p], [q]) => q - p).slice(0, 5));
    guesses.innerHTML = names.map((name, i) => `<table><caption class="typing-${i}">${name}</caption><tbody>${top[i].map(([p, letter]) => `<tr>
      <th scope="row">${write(letter)}</th><td><i class="typing-${i}" style="width:${(100 * p).toFixed(1)}%"></i></td><td>${percent(p)}</td></tr>`).join("")}</tbody></table>`).join("");
    const costs = typed.length ? ` Bits a letter of the whole text: ${names.map((name, i) => `${mean[i].toFixed(2)} with ${name}`).join(", ")}.` : "";
    const ignored = unknown.length ? ` Not among the ${letters.length} characters, so left out: ${[...new Set(unknown)].join(" ")}` : "";
    words.textContent = `After "${typed.slice(0, k).join("").slice(-12)}" the likeliest is ${names.map((name, i) => `${say(top[i][0][1])} (${percent(top[i][0][0])}) with ${name}`).join(", ")}.${costs}${ignored}`;
    strip.setAttribute("aria-label", `Bits that each letter costs. ${words.textContent}`);
  }

  root.addEventListener("input", (event) => draw(event.target === text));
  strip.addEventListener("click", (event) => {
    const place = event.target.closest("[data-at]");
    if (!place) return;
    at.value = place.dataset.at;
    draw();
  });
  draw(true);
  at.value = 5; // behind "the q"
  draw();
})();
