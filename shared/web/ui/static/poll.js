// Keeps a page fresh by asking again after the data-refresh-ms that the page itself gives, only while somebody looks.

import "./ago.js";
import { refresh } from "./regions.js";

function pace() {
  return Number(document.querySelector("[data-refresh-ms]")?.dataset.refreshMs ?? 5000);
}

async function again() {
  if (!document.hidden) await refresh();
  setTimeout(again, pace());
}

setTimeout(again, pace());
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
