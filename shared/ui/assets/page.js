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
