// Copy buttons: they work by script only, so they are shown by it.

function show() {
  for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = false;
}

// Without HTTPS browsers have no clipboard for scripts: the text is selected and copied as by hand.
function byHand(source) {
  if (source instanceof HTMLInputElement) source.select();
  else getSelection().selectAllChildren(source);
  return document.execCommand("copy");
}

async function copied(source) {
  const text = source instanceof HTMLInputElement ? source.value : source.textContent;
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return byHand(source);
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  const source = button && document.getElementById(button.dataset.copy);
  if (!source || !(await copied(source))) return;
  const label = button.textContent;
  button.textContent = button.dataset.done;
  document.getElementById("copied").textContent = button.dataset.done;
  setTimeout(() => { button.textContent = label; document.getElementById("copied").textContent = ""; }, 2000);
});
document.addEventListener("regions-swapped", show);
show();
