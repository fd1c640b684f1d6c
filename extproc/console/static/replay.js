"use strict";
// Replays a session as it was: play, pause, speed, seek. What was said is fetched once, as JSON, and shown as text.
(() => {
  const player = document.getElementById("player");
  if (!player) return;
  const find = (id) => document.getElementById(id);
  const [play, stop, speed, seek, clock, says, stage, whole] = ["replay-play", "replay-stop", "replay-speed", "replay-seek", "replay-time", "replay-says", "stage", "conversation"].map(find);
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  let parts = null, seconds = 0, at = 0, shown = 0, timer = 0, before = 0;
  player.hidden = false;

  const side = (name, id) => {
    const column = document.createElement("section");
    const heading = document.createElement("h3");
    heading.id = id;
    heading.textContent = name;
    column.setAttribute("aria-labelledby", id);
    column.append(heading);
    return column;
  };

  // Every piece is made once and hidden until its time has come.
  const build = (said) => {
    const columns = { request: side("Prompt", "replayed-prompt"), answer: side("Answer", "replayed-answer") };
    const found = [];
    for (const turn of said.turns) {
      const article = document.createElement("article");
      article.className = `turn ${turn.side === "request" ? (turn.role === "user" ? "user" : "") : "assistant"}`;
      article.hidden = true;
      const header = document.createElement("header");
      header.textContent = turn.voice ? `${turn.role} (answer ${turn.voice + 1})` : turn.role;
      const body = document.createElement("div");
      body.className = "said";
      article.append(header, body);
      (columns[turn.side] || columns.answer).append(article);
      for (const [when, stretches] of turn.parts) {
        const piece = document.createElement("span");
        piece.hidden = true;
        for (const [text, masked] of stretches) {
          if (!masked) { piece.append(text); continue; }
          const mark = document.createElement("mark");
          mark.textContent = text;
          mark.title = `found and masked: ${masked}`;
          piece.append(mark);
        }
        body.append(piece);
        found.push({ when, piece, article, first: piece === body.firstChild });
      }
    }
    stage.replaceChildren(columns.request, columns.answer);
    found.sort((one, other) => one.when - other.when);
    if (said.left_out) says.textContent = `${said.left_out} characters are not replayed, because the session is long.`;
    return found;
  };

  const load = async () => {
    if (parts) return true;
    says.textContent = "Loading…";
    try {
      const answer = await fetch(player.dataset.source, { credentials: "same-origin", headers: { accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const said = await answer.json();
      says.textContent = "";
      seconds = Math.max(said.seconds, 0.001);
      parts = build(said);
      return true;
    } catch {
      says.textContent = "It cannot be replayed now: what was said could not be loaded. Try again, or read it below.";
      return false;
    }
  };

  const show = () => {
    while (shown < parts.length && parts[shown].when <= at) {
      const one = parts[shown++];
      one.piece.hidden = false;
      one.article.hidden = false;
    }
    while (shown > 0 && parts[shown - 1].when > at) {
      const one = parts[--shown];
      one.piece.hidden = true;
      if (one.first) one.article.hidden = true;
    }
    const words = `${at.toFixed(1)} s of ${seconds.toFixed(1)} s`;
    seek.value = String(Math.round((at / seconds) * 1000));
    seek.setAttribute("aria-valuetext", words);
    clock.textContent = words;
  };

  const stage_on = (on) => {
    stage.hidden = !on;
    whole.hidden = on;
    stop.disabled = !on;
  };

  const pause = (words) => {
    window.clearTimeout(timer);
    timer = 0;
    play.textContent = "Play";
    if (words) says.textContent = words;
  };

  // With reduced motion the text comes in steps of a second.
  const step = () => {
    const now = performance.now();
    at = Math.min(at + ((now - before) / 1000) * Number(speed.value), seconds);
    before = now;
    show();
    if (at >= seconds) pause("The end.");
    else timer = window.setTimeout(step, calm.matches ? 1000 : 40);
  };

  const begin = async () => {
    if (!(await load())) return;
    if (at >= seconds) at = 0;
    stage_on(true);
    show();
    play.textContent = "Pause";
    says.textContent = "Playing.";
    before = performance.now();
    timer = window.setTimeout(step, 0);
  };

  play.addEventListener("click", () => (timer ? pause("Paused.") : begin()));
  stop.addEventListener("click", () => {
    pause("The whole text is shown.");
    at = 0;
    show();
    stage_on(false);
  });
  seek.addEventListener("input", async () => {
    const wanted = Number(seek.value) / 1000;
    if (!(await load())) return;
    stage_on(true);
    at = wanted * seconds;
    show();
  });
  player.addEventListener("keydown", (event) => {
    if (event.key !== "k" || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    play.click();
  });
})();
