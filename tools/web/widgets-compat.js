// Between RequireJS and the widget manager: what the two expect of a page and do not find on one of this book's.
(() => {
  // The manager's named modules look for their icon fonts below RequireJS's base, which is the page's folder unless said.
  requirejs.config({ baseUrl: new URL(".", document.currentScript.src).href });

  // The manager typesets through MathJax 2's queue; the site draws math with MathJax 3.
  const Queue = (call) => {
    if (call && call[0] === "Typeset" && window.MathJax.typesetPromise) window.MathJax.typesetPromise([call[2]]);
  };
  addEventListener("load", () => {
    if (window.MathJax && !window.MathJax.Hub) window.MathJax.Hub = { Queue };
  }, true);

  // The manager's sliders have neither a name nor a value that a screen reader could say: take both from what is shown.
  const speak = () => {
    for (const handle of document.querySelectorAll(".widget-slider .noUi-handle")) {
      const slider = handle.closest(".widget-slider");
      const said = { "aria-label": ".widget-label", "aria-valuetext": ".widget-readout" };
      for (const [name, shown] of Object.entries(said)) {
        const text = slider.querySelector(shown)?.textContent;
        if (text && handle.getAttribute(name) !== text) handle.setAttribute(name, text);
      }
    }
  };
  new MutationObserver(speak).observe(document, { childList: true, subtree: true, characterData: true });

  // The theme's FontAwesome would replace the icons inside the play button, which the manager goes on looking for.
  if (window.FontAwesome) window.FontAwesome.config.observeMutations = false;
  else window.FontAwesomeConfig = { observeMutations: false };
})();
