// Keeps the dashboard fresh: events of the stream ask for the page again, at most once a second.

import "./ago.js";
import "./copy.js";
import { heard, isLost } from "./connection.js";
import { refresh } from "./regions.js";

const QUIET_MS = 1000;
const LOOK_MS = 2000;
const EVENTS_SHOWN = 200;
let timer = null;
let last = 0;

function soon(delay = 150) {
  if (timer !== null || document.hidden) return;
  timer = setTimeout(() => {
    timer = null;
    refresh().finally(() => { last = Date.now(); });
  }, Math.max(delay, QUIET_MS - (Date.now() - last)));
}

// What a command ended with is shown once: a reload, or a link to this page, does not repeat it.
const address = new URL(location.href);
for (const name of ["done", "problem", "once"]) address.searchParams.delete(name);
if (address.href !== location.href) history.replaceState(null, "", address);

const list = document.getElementById("events");

function show(event) {
  const line = document.createElement("li");
  const at = document.createElement("time");
  at.dateTime = event.at;
  at.textContent = new Date(event.at).toLocaleTimeString(document.documentElement.lang, { hour12: false });
  at.className = "at";
  const kind = document.createElement("span");
  kind.className = "code kind";
  kind.textContent = event.kind;
  const what = document.createElement("span");
  what.textContent = [event.session, event.text].filter(Boolean).join(" · ");
  line.append(at, kind, what);
  list.prepend(line);
  while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
}

const shownSession = document.querySelector("[data-session]")?.dataset.session;

function listen() {
  const made = new EventSource(list ? "/events?recent" : "/events");
  // A list begins with what happened before, also what was missed without a stream.
  made.addEventListener("open", () => { heard(); list?.replaceChildren(); soon(); });
  made.addEventListener("beat", heard);
  // It ends with the login, with the service and every ten minutes: the page itself says which.
  made.addEventListener("error", refresh);
  made.addEventListener("change", (message) => {
    heard();
    const event = JSON.parse(message.data);
    if (list) show(event);
    else if (!shownSession || event.session === shownSession || !event.session) soon();
  });
  return made;
}

let stream = listen();
let tries = 0;
window.addEventListener("pagehide", () => stream.close());
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// A browser opens six connections to a server. Pages that are not looked at leave theirs to others; the list of events goes on.
const asleep = () => document.hidden && !list;
function sleepOrWake() {
  if (asleep()) stream.close();
  else if (stream.readyState === EventSource.CLOSED) stream = listen();
  soon();
}
document.addEventListener("visibilitychange", sleepOrWake);
sleepOrWake();

// Without a stream the page is asked for instead, and the stream is opened again: a hung service closes none.
setInterval(() => {
  if (asleep()) return;
  if (stream.readyState === EventSource.OPEN && !isLost()) { tries = 0; return; }
  tries += 1;
  if (stream.readyState === EventSource.CLOSED || tries % 4 === 0) { stream.close(); stream = listen(); }
  soon(0);
}, LOOK_MS);
// A QR code lives for seconds: while one is shown, ask even when no event came. Otherwise look now and then.
setInterval(() => { if (document.querySelector(".pairing")) soon(0); }, LOOK_MS);
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

// The box that ticks all of the page works by script only, so it is shown by it.
function showPickAll() {
  const label = document.querySelector(".pick-all");
  if (label) label.hidden = false;
}
showPickAll();
document.addEventListener("regions-swapped", showPickAll);
document.addEventListener("change", (event) => {
  if (event.target.id !== "pick-all") return;
  for (const box of document.querySelectorAll("input[form=several]")) box.checked = event.target.checked;
});
