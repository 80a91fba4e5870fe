// Keeps a page up to date that the server has drawn whole, and adds keys. Without it the page can be read and acted on, too.

import { ago } from "/words.js";

const at = (id) => document.getElementById(id);

function showTimes(root) {
  const now = new Date();
  for (const element of root.querySelectorAll("time")) {
    const { words, whole } = ago(new Date(element.dateTime), now);
    if (element.textContent !== words) element.textContent = words;
    if (element.title !== whole) element.title = whole;
  }
}

// Makes `present` like `wanted`, and leaves alone what is alike: focus, selection, ticks, open details, a playing video.
function match(present, wanted) {
  const keyed = new Map([...present.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  let place = present.firstChild;
  for (const next of [...wanted.childNodes]) {
    const known = next.nodeType === 1 && next.dataset.key ? keyed.get(next.dataset.key) : place;
    if (known && alike(known, next)) {
      if (known === place) place = place.nextSibling;
      else present.insertBefore(known, place);
      update(known, next);
    } else present.insertBefore(next, place);
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

function alike(known, next) {
  return known.nodeType === next.nodeType && known.nodeName === next.nodeName
    && (known.nodeType !== 1 || (known.dataset.key ?? "") === (next.dataset.key ?? ""));
}

function update(known, next) {
  if (known.nodeType !== 1) {
    if (known.data !== next.data) known.data = next.data;
    return;
  }
  if (known.nodeName === "TIME" && known.dateTime === next.dateTime) return;
  const kept = known.nodeName === "DETAILS" ? ["open"] : [];
  for (const { name } of [...known.attributes]) if (!next.hasAttribute(name) && !kept.includes(name)) known.removeAttribute(name);
  for (const { name, value } of next.attributes) {
    if (known.getAttribute(name) !== value && !kept.includes(name)) known.setAttribute(name, value);
  }
  match(known, next);
}

function follow(view) {
  const stream = new EventSource(`/live?view=${encodeURIComponent(view)}&version=${document.body.dataset.version}`);
  stream.addEventListener("open", () => say(""));
  stream.addEventListener("parts", (event) => {
    document.body.dataset.version = event.lastEventId;
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
      const wanted = document.createElement("template");
      wanted.innerHTML = html;
      match(at(id), wanted.content);
      showTimes(at(id));
    }
  });
  stream.addEventListener("error", () => {
    say("vidd does not answer. Trying again…");
    if (stream.readyState !== EventSource.CLOSED) return;
    setTimeout(() => follow(view), 3000);
  });
  addEventListener("pagehide", () => stream.close());
}

function say(words) {
  if (at("live").textContent !== words) at("live").textContent = words;
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.getClientRects().length);
  const index = rows.indexOf(document.activeElement);
  const next = rows[index < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(Math.max(index + by, 0), rows.length - 1)];
  next?.focus();
}

const KEYS = {
  "/": () => at("text")?.select(),
  j: () => step(1),
  k: () => step(-1),
  o: () => document.activeElement.matches("[data-row]") && document.activeElement.click(),
  x: () => document.activeElement.closest("li")?.querySelector("input[type=checkbox]")?.click(),
  u: () => document.querySelector("[data-back]")?.click(),
  "?": () => at("help")?.showModal(),
};

addEventListener("keydown", (event) => {
  const busy = event.target.closest?.("input:not([type=checkbox]), textarea, select, dialog[open]");
  if (busy || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});

for (const opener of document.querySelectorAll("[data-help]")) {
  opener.hidden = false;
  opener.addEventListener("click", KEYS["?"]);
}
for (const select of document.querySelectorAll(".filters select")) select.addEventListener("change", () => select.form.requestSubmit());

showTimes(document);
setInterval(() => showTimes(document), 30000);
if (document.body.dataset.live) follow(document.body.dataset.live);
