"use strict";
// A page that waits for a job looks again by itself; without this there is a link. `load`, `dress` and `say` are of console.js.
(() => {
  const again = async () => {
    const waiting = document.querySelector("[data-refresh]");
    if (!waiting) return;
    try {
      const page = await load(window.location.href.split("#")[0]);
      const fresh = page.querySelector("[data-refresh]");
      const main = page.getElementById("main");
      if (fresh) {
        if (fresh.textContent !== waiting.textContent) waiting.replaceWith(document.adoptNode(fresh));
      } else {
        document.getElementById("main").replaceWith(document.adoptNode(main));
        dress(main);
        say("The page shows what was found.");
        return;
      }
    } catch { return; }
    window.setTimeout(again, 2000);
  };
  window.setTimeout(again, 2000);
})();
