// Fetches this page again and swaps the parts marked data-live, keeping focus, typing and scrolling where they are.

let running = null;
let wantedAgain = false;

// A shell only comes and goes as a whole: what stands in it is swapped by regions of its own, or not at all.
function sameShell(region, next) {
  return region.dataset.shell !== undefined && (region.childElementCount > 0) === (next.childElementCount > 0);
}

function busy(region) {
  if (region.dataset.shell !== undefined) return false;
  const focused = document.activeElement;
  return focused && region.contains(focused) && focused.matches("input, textarea, select");
}

function swap(fresh) {
  for (const region of document.querySelectorAll("[data-live]")) {
    const next = fresh.querySelector(`[data-live="${CSS.escape(region.dataset.live)}"]`);
    if (!next) { region.remove(); continue; }
    if (!region.isConnected || sameShell(region, next)) continue;
    if (region.innerHTML === next.innerHTML || busy(region)) continue;
    const open = [...region.querySelectorAll("details[open][id]")].map((each) => each.id);
    const focusedId = region.contains(document.activeElement) ? document.activeElement.id : "";
    region.replaceWith(next);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focusedId) document.getElementById(focusedId)?.focus({ preventScroll: true });
  }
  if (fresh.title) document.title = fresh.title;
  document.dispatchEvent(new CustomEvent("regions-swapped"));
}

async function load() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual", cache: "no-store" });
  if (!answer.ok) return;
  swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
}

// One request at a time; a call during a request starts another one after it.
export function refresh() {
  if (running) { wantedAgain = true; return running; }
  running = load().catch(() => {}).finally(() => {
    running = null;
    if (wantedAgain) { wantedAgain = false; refresh(); }
  });
  return running;
}
