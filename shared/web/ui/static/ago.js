// Keeps "12 s ago" and "for 12 s" true between two answers of the server; the words come from the page's language.

const french = document.documentElement.lang === "fr";
const units = [[french ? "j" : "d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function span(seconds) {
  const [name, unit] = units.find(([, each]) => seconds >= each) ?? units[3];
  return `${Math.floor(seconds / unit)}\u00a0${name}`;
}

function ago(seconds) {
  if (Math.abs(seconds) < 1) return french ? "à l’instant" : "just now";
  const text = span(Math.abs(seconds));
  if (seconds > 0) return french ? `il y a ${text}` : `${text} ago`;
  return french ? `dans ${text}` : `in ${text}`;
}

function update(root = document) {
  for (const element of root.querySelectorAll("time[data-ago], time[data-lasting]")) {
    const seconds = (Date.now() - Date.parse(element.dateTime)) / 1000;
    const text = "ago" in element.dataset ? ago(seconds) : span(Math.max(0, seconds));
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(() => update(), 1000);
document.addEventListener("regions-fetched", (event) => update(event.detail));
