// Shows the moments of the page in the reader's own time zone. Without script they are in UTC.

const lang = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
const day = { day: "numeric", month: "short", year: "numeric" };
const clock = { hour: "2-digit", minute: "2-digit", hour12: false };
const zone = { timeZoneName: "short" };
const shapes = {
  when: { ...day, ...clock, ...zone },
  seconds: { ...day, ...clock, second: "2-digit", ...zone },
  day, clock,
  ticks: { ...clock, second: "2-digit" },
};
const formats = Object.fromEntries(Object.entries(shapes).map(([name, each]) => [name, new Intl.DateTimeFormat(lang, each)]));

function localize(root) {
  for (const element of root.querySelectorAll("time[data-local]")) {
    const at = new Date(element.dateTime);
    if (!element.title) element.title = at.toISOString();
    const text = formats[element.dataset.local].format(at);
    if (element.textContent !== text) element.textContent = text;
  }
}

localize(document);
document.addEventListener("regions-fetched", (event) => localize(event.detail));
