// Keeps "12 s ago" and "for 12 s" true between two answers of the server; the words stand in the page.

const words = document.documentElement.dataset;
const sizes = [86400, 3600, 60, 1];
const units = words.units.split(" ").map((name, at) => [name, sizes[at]]);

function span(seconds) {
  const [name, unit] = units.find(([, each]) => seconds >= each) ?? units[3];
  return `${Math.floor(seconds / unit)}\u00a0${name}`;
}

function ago(seconds) {
  if (Math.abs(seconds) < 1) return words.now;
  return (seconds > 0 ? words.past : words.future).replace("{text}", span(Math.abs(seconds)));
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
