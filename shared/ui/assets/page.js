// Keeps an open page fresh, and helps with files that are dropped on it. Everything works without it.
"use strict";

// Asks for the same page again and puts in what changed, part by part: what is open, selected or typed stays.
(function refresh() {
  const seconds = Number(document.body.dataset.refresh || 0);
  if (!seconds) return;

  function isInUse(part) {
    const chosen = document.getSelection();
    return part.contains(document.activeElement) || (chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode));
  }

  function replace(page) {
    let said = "";
    for (const part of document.querySelectorAll("[data-live]")) {
      const fresh = page.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!fresh || isInUse(part)) continue;
      const before = part.querySelector(".chip"), after = fresh.querySelector(".chip");
      if (part.dataset.live === "head" && before && after && before.textContent !== after.textContent) {
        said = fresh.querySelector(".lead").textContent.trim();
      }
      if (part.innerHTML !== fresh.innerHTML) {
        const open = new Set([...part.querySelectorAll("details[open]")].map((one) => one.id));
        for (const one of fresh.querySelectorAll("details")) one.open = one.open || open.has(one.id);
        part.replaceChildren(...fresh.childNodes);
      }
    }
    document.getElementById("fresh").textContent = page.getElementById("fresh").textContent;
    if (said) document.getElementById("news").textContent = said;
  }

  async function look() {
    let wait = seconds;
    try {
      if (!document.hidden) {
        const answer = await fetch(location.href, { credentials: "same-origin", redirect: "error" });
        if (answer.status === 401) return;
        if (answer.ok) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          // A section that came or went: the page is another one, and is shown anew while nobody is at work in it.
          const parts = (root) => [...root.querySelectorAll("main section[id], main section[aria-labelledby]")].map((one) => one.getAttribute("aria-labelledby")).join();
          if (parts(page) !== parts(document) && document.activeElement === document.body) return location.reload();
          replace(page);
          wait = Number(page.body.dataset.refresh || seconds);
        } else {
          wait = 30;
        }
      }
    } catch {
      wait = 30;
    }
    setTimeout(look, wait * 1000);
  }
  setTimeout(look, seconds * 1000);
})();

// A file on its way shows how far it is; one that is too large is not sent at all.
(function upload() {
  const form = document.getElementById("upload");
  if (!form) return;
  const zone = form.querySelector(".drop-zone"), file = form.querySelector("#file"), bar = form.querySelector("progress");
  const button = form.querySelector("button"), name = form.elements.dataset;

  function guess() {
    const chosen = file.files[0];
    if (!chosen) return;
    const most = Number(form.dataset.most);
    file.setCustomValidity(chosen.size > most ? `A file here has at most ${most / 1e6} MB: use droptune drop.` : "");
    file.reportValidity();
    const stem = chosen.name.split(".")[0].toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "").slice(0, 41);
    if (!name.value && stem.length > 1) name.value = stem;
  }
  file.addEventListener("change", guess);
  for (const kind of ["dragenter", "dragover"]) {
    zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) file.files = event.dataTransfer.files;
    guess();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const call = new XMLHttpRequest();
    bar.hidden = false;
    button.disabled = true;
    call.upload.addEventListener("progress", (at) => { bar.max = at.total; bar.value = at.loaded; });
    call.addEventListener("load", () => {
      if (call.status < 400) return location.assign(call.responseURL);
      const page = new DOMParser().parseFromString(call.responseText, "text/html");
      document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
      document.getElementById("main").focus();
      upload();
    });
    call.addEventListener("error", () => { bar.hidden = true; button.disabled = false; form.submit(); });
    call.open("POST", form.action);
    call.send(new FormData(form));
  });
})();
