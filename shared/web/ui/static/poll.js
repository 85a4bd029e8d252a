// Keeps a page fresh by asking again every data-refresh-ms of <main>, only while somebody looks at it.

import "./ago.js";
import { refresh } from "./regions.js";

const every = Number(document.querySelector("[data-refresh-ms]")?.dataset.refreshMs ?? 5000);

setInterval(() => { if (!document.hidden) refresh(); }, every);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
