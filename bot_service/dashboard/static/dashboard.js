// Keeps the dashboard fresh: events of the stream ask for the page again, at most once a second.

import "./ago.js";
import { refresh } from "./regions.js";

const QUIET_MS = 1000;
const PAIRING_MS = 2000;
let timer = null;

function soon(delay = 150) {
  if (timer !== null || document.hidden) return;
  timer = setTimeout(() => {
    timer = null;
    refresh().finally(() => { last = Date.now(); });
  }, Math.max(delay, QUIET_MS - (Date.now() - last)));
}
let last = 0;

const list = document.getElementById("events");
const MOST = 200;

function show(event) {
  const line = document.createElement("li");
  const at = document.createElement("time");
  at.dateTime = event.at;
  at.textContent = event.at.slice(11, 19);
  at.className = "at";
  const kind = document.createElement("span");
  kind.className = "code kind";
  kind.textContent = event.kind;
  const what = document.createElement("span");
  what.textContent = [event.session, event.text].filter(Boolean).join(" · ");
  line.append(at, kind, what);
  list.prepend(line);
  while (list.children.length > MOST) list.lastChild.remove();
}

function state(text) {
  const place = document.getElementById("live-state");
  if (place && place.textContent !== text) place.textContent = text;
}

const shownSession = document.querySelector("[data-session]")?.dataset.session;

const stream = new EventSource("/events");
stream.addEventListener("open", () => { if (list) state(list.dataset.connected); soon(); });
stream.addEventListener("error", () => { if (list) state(list.dataset.lost); });
stream.addEventListener("change", (message) => {
  const event = JSON.parse(message.data);
  if (list) show(event);
  else if (!shownSession || event.session === shownSession || !event.session) soon();
});
window.addEventListener("pagehide", () => stream.close());
document.addEventListener("visibilitychange", () => soon());

// A QR code lives for seconds: while one is shown, ask even when no event came. Otherwise look now and then.
setInterval(() => { if (document.querySelector(".pairing")) soon(0); }, PAIRING_MS);
setInterval(() => soon(0), 15000);

// Searching as one types keeps the address in step, so that a link to the result can be shared.
const search = document.querySelector("form.search");
let typing = null;
search?.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    const wanted = new URLSearchParams([...new FormData(search)].filter(([, value]) => value));
    history.replaceState(null, "", wanted.size ? `/?${wanted}` : "/");
    refresh();
  }, 250);
});
