// Knows how old the data of this page is: within 5 s without a sign of the server the page says so and turns grey.

const LIMIT_MS = 4500;
// How long a page that was not looked at may take to hear from the server again.
const AWAKE_MS = 1500;
const banner = document.getElementById("connection");
let heardAt = Date.now();
let title = "";
let timer = setTimeout(lost, LIMIT_MS);

export const isLost = () => !banner.hidden;
export const heardSince = (moment) => heardAt >= moment;

// The server gave a sign of life; the data of the page is of now.
export function heard() {
  heardAt = Date.now();
  clearTimeout(timer);
  timer = setTimeout(lost, LIMIT_MS);
  if (!isLost()) return;
  banner.hidden = true;
  document.documentElement.classList.remove("lost");
  document.title = title;
}

export function lost() {
  if (isLost()) return;
  title = document.title;
  banner.hidden = false;
  document.documentElement.classList.add("lost");
  say();
}

// A hidden page asks for nothing, so it cannot say that the connection is lost: only how old it is.
function say() {
  const time = new Date(heardAt).toLocaleTimeString(document.documentElement.lang, { hour12: false });
  const text = document.hidden ? banner.dataset.hidden : banner.dataset.text;
  document.title = banner.textContent = text.replace("{time}", time);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) setTimeout(() => { if (isLost()) say(); }, AWAKE_MS);
});
