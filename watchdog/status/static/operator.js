// Moments in forms: typed in the reader's own time zone, sent in UTC. Without script they are typed in UTC.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

for (const field of document.querySelectorAll("form[data-times] input[type=datetime-local]")) {
  const exact = field.parentElement.querySelector("input[type=hidden]");
  const hint = document.getElementById(`${field.id}-hint`);
  if (hint) hint.textContent = zone;
  const keep = () => { exact.value = field.value ? new Date(field.value).toISOString() : ""; };
  field.addEventListener("input", keep);
  field.form.addEventListener("submit", keep);
  keep();
}
