// The evidence of a trial of rule inversion, piece by piece: a row of buttons that turn a piece over. Arrow keys go along it.
"use strict";

const evidence = (() => {
  const row = (many) => `<div class="pieces" role="group" aria-label="Evidence, piece by piece; a press turns one over">${Array.from({ length: many }, (_, i) =>
    `<button type="button" name="piece" value="${i}" tabindex="${i ? -1 : 0}"></button>`).join("")}</div>`;

  // `plus` pieces of +1 and the others of -1, in random order.
  const mixed = (many, plus, random) => words.shuffled(Array.from({ length: many }, (_, i) => (i < plus ? 1 : -1)), random);

  function show(root, pieces) {
    root.querySelectorAll('[name="piece"]').forEach((button, i) => {
      button.textContent = pieces[i] > 0 ? "+" : "\u2212";
      button.classList.toggle("plus", pieces[i] > 0);
      button.setAttribute("aria-label", `piece ${i + 1}: ${pieces[i] > 0 ? "+1" : "\u22121"}`);
    });
  }

  // turn(i) is called when the reader presses piece number i.
  function listen(root, turn) {
    const buttons = [...root.querySelectorAll('[name="piece"]')];
    const go = (to) => {
      buttons.forEach((button, i) => (button.tabIndex = i === to ? 0 : -1));
      buttons[to].focus();
    };
    root.addEventListener("click", ({ target }) => {
      if (target.name !== "piece") return;
      go(Number(target.value));
      turn(Number(target.value));
    });
    root.addEventListener("keydown", (event) => {
      if (event.target.name !== "piece") return;
      const i = Number(event.target.value);
      const to = { ArrowLeft: i - 1, ArrowUp: i - 1, ArrowRight: i + 1, ArrowDown: i + 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      go(Math.max(0, Math.min(buttons.length - 1, to)));
    });
  }

  return { row, mixed, show, listen };
})();

if (typeof module !== "undefined") module.exports = evidence;
