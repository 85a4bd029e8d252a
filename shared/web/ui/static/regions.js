// Fetches this page again and swaps the parts marked data-live, keeping focus, typing, ticks and scrolling where they are.

import { heard, heardSince, lost } from "./connection.js";

const PATIENCE_MS = 10000;
let running = null;
let wantedAgain = false;

// A shell only comes and goes as a whole: what stands in it is swapped by regions of its own, or not at all.
function sameShell(region, next) {
  return region.dataset.shell !== undefined && (region.childElementCount > 0) === (next.childElementCount > 0);
}

// Between the press and the release of a button it must stay where it is, or the click is lost.
let pressed = null;
document.addEventListener("pointerdown", (event) => { pressed = event.target; });
for (const end of ["pointerup", "pointercancel"]) document.addEventListener(end, () => { setTimeout(() => { pressed = null; }); });

function busy(region) {
  if (region.dataset.shell !== undefined) return false;
  if (pressed && region.contains(pressed)) return true;
  const focused = document.activeElement;
  return focused && region.contains(focused) && focused.matches("input:not([type=checkbox]), textarea, select");
}

// What has the place of a control that was swapped: the same id, else the same position and text.
const FOCUSABLE = "a, button, summary, input, select, textarea";
function successor(focused, next, place) {
  if (focused.id) return document.getElementById(focused.id);
  const there = next.querySelectorAll(FOCUSABLE)[place];
  return there?.tagName === focused.tagName && there.textContent === focused.textContent ? there : null;
}

function swap(fresh) {
  // Scripts that rewrite texts of the page do so here first: what did not change is not swapped.
  document.dispatchEvent(new CustomEvent("regions-fetched", { detail: fresh }));
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${CSS.escape(region.dataset.live)}"]`);
    if (!next) { region.remove(); continue; }
    if (!region.isConnected || sameShell(region, next)) continue;
    if (region.innerHTML === next.innerHTML || busy(region)) continue;
    const ids = (selector) => [...region.querySelectorAll(selector)].map((each) => each.id);
    const open = ids("details[open][id]");
    const ticked = ids("input[type=checkbox][id]:checked");
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const place = focused ? [...region.querySelectorAll(FOCUSABLE)].indexOf(focused) : -1;
    region.replaceWith(next);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const id of ticked) { const box = document.getElementById(id); if (box) box.checked = true; }
    if (focused) successor(focused, next, place)?.focus({ preventScroll: true });
  }
  if (fresh.title) document.title = fresh.title;
  document.dispatchEvent(new CustomEvent("regions-swapped"));
}

// A form that was sent brings its own page: to load this one again would cancel it. It may have deleted what this page shows.
let sentAt = -Infinity;
document.addEventListener("submit", (event) => { if (!event.defaultPrevented) sentAt = Date.now(); });

async function load() {
  const answer = await fetch(location.href, {
    headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS),
  });
  // Signed out, or what the page shows is gone: the server has another page for this address.
  if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) {
    if (Date.now() - sentAt > PATIENCE_MS) location.reload();
    return;
  }
  if (!answer.ok) return;
  const text = await answer.text();
  heard();
  swap(new DOMParser().parseFromString(text, "text/html"));
}

// A request also fails because the reader leaves the page: then nothing is lost.
function failed(began) {
  setTimeout(() => { if (!heardSince(began)) lost(); }, 300);
}

// One request at a time; a call during a request starts another one after it.
export function refresh() {
  if (running) { wantedAgain = true; return running; }
  const began = Date.now();
  running = load().catch(() => failed(began)).finally(() => {
    running = null;
    if (wantedAgain) { wantedAgain = false; refresh(); }
  });
  return running;
}
