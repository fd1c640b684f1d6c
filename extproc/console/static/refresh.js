"use strict";
// A part of a page that waits for a job looks again by itself; without this there is a link.
(() => {
  const again = async () => {
    const waiting = document.querySelector("[data-refresh]");
    if (!waiting) return;
    try {
      const answer = await fetch(window.location.href, { credentials: "same-origin" });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = page.getElementById("main");
      if (page.querySelector("[data-refresh]")) {
        const fresh = page.querySelector("[data-refresh]");
        if (fresh.textContent !== waiting.textContent) waiting.replaceWith(fresh);
      } else if (main) {
        document.getElementById("main").replaceWith(main);
        if (typeof localTimes === "function") localTimes(main); // of console.js
        const announcer = document.getElementById("announcer");
        if (announcer) announcer.textContent = "The page shows what was found.";
        return;
      }
    } catch { return; }
    window.setTimeout(again, 2000);
  };
  window.setTimeout(again, 2000);
})();
