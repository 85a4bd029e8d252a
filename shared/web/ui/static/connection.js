// Knows how old the data of this page is: within 5 s without a sign of the server the page says so and turns grey.

const LIMIT_MS = 4500;
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
  const time = new Date(heardAt).toLocaleTimeString(document.documentElement.lang, { hour12: false });
  title = document.title;
  document.title = banner.textContent = banner.dataset.text.replace("{time}", time);
  banner.hidden = false;
  document.documentElement.classList.add("lost");
}
