"use strict";
// Times in the reader's zone with UTC in the title, times left that count down, and lists that follow what changes.
// Everything works without this file; nothing here makes HTML of a text.
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const announcer = document.getElementById("announcer");

function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) time.textContent = dateTime.format(moment);
  }
}

function spoken(seconds) {
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count) parts.push(`${count} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

// The server's clock and ours may differ: what counts is how much was left when the page was made.
function countDown(root) {
  for (const left of root.querySelectorAll("[data-until]")) {
    if (left.dataset.end) continue;
    const units = { d: 86400, h: 3600, min: 60, s: 1 };
    let seconds = 0;
    for (const [, count, unit] of left.textContent.matchAll(/(\d+) (d|h|min|s)/g)) seconds += Number(count) * units[unit];
    left.dataset.end = String(Date.now() + seconds * 1000);
  }
}

function tick() {
  for (const left of document.querySelectorAll("[data-end]")) {
    const seconds = Math.max(0, Math.round((Number(left.dataset.end) - Date.now()) / 1000));
    const text = seconds ? spoken(seconds) : "over";
    if (left.textContent !== text) left.textContent = text;
  }
}

function dress(root) {
  localTimes(root);
  countDown(root);
}

// XMLHttpRequest parses without running anything, and is no way around Trusted Types.
function load(url) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", url);
    request.setRequestHeader("x-extproc-live", "1"); // nobody did anything: the session does not live longer by it
    request.responseType = "document";
    request.onload = () => (request.status === 200 && request.responseURL.split("?")[0] === url.split("?")[0] ? resolve(request.response) : reject(new Error(String(request.status))));
    request.onerror = () => reject(new Error("no answer"));
    request.send();
  });
}

function say(text) {
  if (announcer) announcer.textContent = text;
}

function state(text) {
  const place = document.querySelector("[data-live-state]");
  if (place) place.textContent = text ? ` ${text}` : "";
}

const live = document.querySelectorAll("[data-live]");
const open = document.querySelector("[data-approval]");
let refreshing = false;
let again = false;

async function refreshList() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    const fresh = await load(location.href);
    for (const old of document.querySelectorAll("[data-live]")) {
      const made = fresh.querySelector(`[data-live="${CSS.escape(old.dataset.live)}"]`);
      if (!made || old.contains(document.activeElement)) continue;
      const adopted = document.adoptNode(made);
      dress(adopted);
      old.replaceWith(adopted);
    }
    const caption = document.querySelector("[data-live=rows] caption, [data-live=rows] .empty strong");
    say(caption ? `The list has changed. ${caption.textContent}` : "The list has changed.");
  } catch {
    state("It could not be loaded anew: use the link.");
  }
  refreshing = false;
  if (again) { again = false; refreshList(); }
}

// An open approval holds a person's half-written reason: it says that it changed, and lets them load it.
function approvalChanged(word) {
  say(`This approval has changed: it is ${word} now.`);
  const place = document.getElementById("state");
  if (!place || document.getElementById("changed")) return;
  const notice = document.createElement("p");
  notice.id = "changed";
  notice.className = "notice wait";
  notice.append(`It has changed: ${word}. `);
  const link = document.createElement("a");
  link.href = location.href;
  link.textContent = "Show it as it is now";
  notice.append(link);
  place.after(notice);
}

function listen() {
  const source = new EventSource("/live/approvals");
  source.addEventListener("approvals", (event) => {
    const news = JSON.parse(event.data);
    if (open) {
      const own = news.filter((each) => each.id === open.dataset.approval).at(-1);
      if (own) approvalChanged(own.state);
    } else refreshList();
  });
  source.addEventListener("over", () => {
    source.close();
    state("The session is over: log in again.");
    say("The session is over: log in again.");
  });
  source.addEventListener("open", () => state("It follows what changes."));
  // A browser that was refused asks no more; one that lost its stream asks again by itself.
  source.addEventListener("error", () => state(source.readyState === EventSource.CLOSED ? "It follows nothing now: use the link." : "No news for now; trying again."));
  addEventListener("pagehide", () => source.close());
}

dress(document);
if (document.querySelector("[data-until]")) { tick(); setInterval(tick, 1000); }
if (live.length && "EventSource" in globalThis) listen();
