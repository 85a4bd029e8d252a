// Keeps "12 s ago" true between two answers of the server; the words come from the page's language.

const french = document.documentElement.lang === "fr";
const units = [[french ? "j" : "d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function words(seconds) {
  if (Math.abs(seconds) < 1) return french ? "à l’instant" : "now";
  const size = Math.abs(seconds);
  const [name, unit] = units.find(([, each]) => size >= each) ?? units[3];
  const text = `${Math.floor(size / unit)}\u00a0${name}`;
  if (seconds > 0) return french ? `il y a ${text}` : `${text} ago`;
  return french ? `dans ${text}` : `in ${text}`;
}

function update() {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const text = words((Date.now() - Date.parse(element.dateTime)) / 1000);
    if (element.textContent !== text) element.textContent = text;
  }
}

setInterval(update, 1000);
