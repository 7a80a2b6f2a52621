// A text as the nets on reviews read it: its words as alrnn.tasks.sentiment.tokens finds them, as numbers in their list.
"use strict";

const words = (() => {
  // Runs of letters and digits in lower case, and . ! ? on their own. A phone's curly apostrophe is a plain one.
  const tokens = (text) =>
    text.toLowerCase().replaceAll("<br />", " ").replace(/[\u2018\u2019]/g, "'").match(/[\p{L}\p{N}]+(?:'[\p{L}\p{N}]+)*|[.!?]/gu) ?? [];

  // The number of each word; 0 stands for all that are not in the list.
  function numbers(found, list) {
    const number = new Map(list.map((word, i) => [word, i]));
    return found.map((word) => number.get(word) ?? 0);
  }

  function shuffled(found, random) {
    const mixed = [...found];
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = random.integer(i + 1);
      [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    return mixed;
  }

  return { tokens, numbers, shuffled };
})();

if (typeof module !== "undefined") module.exports = words;
