import { ago, clock, fileName, foreign, isWeb, make, put, sizeWords, times } from "/words.js";

const at = (id) => document.getElementById(id);
const jobs = new Map();
const rows = new Map();
const GROUPS = {
  all: ["All", () => true],
  person: ["Needs a person", (job) => ["refused", "unsure", "held"].includes(job.state) || (job.state === "published" && job.reason)],
  running: ["In progress", (job) => ["seen", "ready", "working", "publishing", "waiting"].includes(job.state)],
  done: ["Done", (job) => ["published", "excluded", "cancelled"].includes(job.state)],
};
const WITHOUT_FILES = ["seen", "ready", "excluded"];
const ACTIONS = { refuse: "Refused", hold: "A person decides", note: "Noted" };
let group = "all";
let lastId = null;
let refreshing = null;

async function ask(path, headers = {}) {
  const token = sessionStorage.getItem("token");
  const response = await fetch(path, {
    headers: token ? { ...headers, Authorization: `Bearer ${token}` } : headers,
    cache: "no-store",
  });
  if (response.status === 401) throw new Locked();
  return response;
}

class Locked extends Error {}

async function getJson(path) {
  const response = await ask(path);
  if (!response.ok && path !== "/health") throw new Error((await response.json()).detail);
  return response.json();
}

async function refresh() {
  const [health, list, letters] = await Promise.all([getJson("/health"), getJson("/api/jobs?limit=200"), getJson("/api/dead-letters?limit=100")]);
  showHealth(health);
  showLetters(letters.dead_letters, letters.limit);
  jobs.clear();
  for (const job of list.jobs) jobs.set(job.id, job);
  showJobs();
}

function refreshSoon() {
  refreshing ??= setTimeout(async () => {
    refreshing = null;
    try { showHealth(await getJson("/health")); } catch { /* the stream's end says it */ }
  }, 500);
}

async function follow() {
  const response = await ask("/api/events", lastId ? { "Last-Event-ID": lastId } : {});
  if (!response.ok) throw new Error((await response.json()).detail);
  await refresh();
  at("sign-in").hidden = true;
  document.body.classList.remove("locked");
  put(at("live"), "Live");
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const messages = (rest + value).split("\n\n");
    rest = messages.pop();
    messages.forEach(parse);
  }
}

function parse(message) {
  const fields = {};
  for (const line of message.split("\n")) {
    const cut = line.indexOf(":");
    if (cut > 0) fields[line.slice(0, cut)] = line.slice(cut + 1).trim();
  }
  if (fields.id) lastId = fields.id;
  if (fields.event) handle(fields.event, JSON.parse(fields.data));
}

function handle(event, data) {
  if (event === "job") updateJob(data);
  else if (event === "progress") updateProgress(data);
  else if (event === "publication") updatePublication(data);
  else if (event === "step" && data.fate) dropProgress(data.job, data.step);
  else if (event === "reset") refresh();
  else if (event === "daemon") { at("paused").hidden = !data.paused; refreshSoon(); }
  else if (event === "watcher") refreshSoon();
}

function updateJob({ job, before }) {
  const known = jobs.get(job.id);
  const progress = known?.state === job.state ? known.progress : [];
  const next = { ...job, progress, link: job.link ?? known?.link ?? null };
  if (known) jobs.set(job.id, next);
  else {
    const others = [...jobs];
    jobs.clear();
    jobs.set(job.id, next);
    others.slice(0, 199).forEach(([id, other]) => jobs.set(id, other));
  }
  showJobs();
  if (job.state !== before) put(at("announcement"), `${job.name}: ${job.state}`);
  refreshSoon();
}

function updateProgress({ job: id, ...part }) {
  const job = jobs.get(id);
  if (!job) return;
  job.progress = [...job.progress.filter((other) => other.part !== part.part), part];
  showRow(job);
}

function updatePublication({ job: id, name, receipt, notice }) {
  if (!receipt) return;
  if (!notice && jobs.has(id)) jobs.get(id).link ??= receipt.url;
  dropProgress(id, name);
}

function dropProgress(id, part) {
  const job = jobs.get(id);
  if (!job) return;
  job.progress = job.progress.filter((other) => other.part !== part);
  showRow(job);
}

function showHealth(health) {
  const counts = `${health.running} running, ${health.queue} waiting for a slot`;
  at("health").className = health.ok ? "good" : "bad";
  put(at("health-text"), health.ok ? `All is well: ${counts}` : `Something is wrong: ${counts}`);
  at("reasons").hidden = health.reasons.length === 0;
  at("reasons").replaceChildren(...health.reasons.map((reason) => make("li", reason)));
  at("paused").hidden = !health.paused;
  put(at("version"), `vidd ${health.version}, ffmpeg ${health.ffmpeg.version ?? "missing"}, ${sizeWords(health.disk_free)} free; encodes at once: ${health.slots.encodes.size}.`);
  at("watchers").replaceChildren(...Object.entries(health.watchers).map(watcherItem));
  if (Object.keys(health.watchers).length === 0) at("watchers").append(make("li", "None: add a [sources.…] to the settings.", "quiet"));
}

function watcherItem([name, watcher]) {
  const item = make("li", undefined, watcher.up ? "good" : "bad");
  const dot = make("span", undefined, "dot");
  dot.ariaHidden = "true";
  const words = [watcher.kind, watcher.up ? "up" : `down: ${watcher.reason ?? "no reason is known"}`];
  if (watcher.last_event) words.push(`last saw something ${ago(watcher.last_event)}`);
  if (watcher.restarts) words.push(`restarted ${times(watcher.restarts, "time", "times")}`);
  const note = watcher.note ? `; ${watcher.note}` : "";
  item.append(dot, foreign(name, "name"), make("span", ` ${words.join(", ")}${note}`, "quiet"));
  return item;
}

function showLetters(letters, limit) {
  at("letters").hidden = letters.length === 0;
  const words = times(letters.length, "dead letter", "dead letters");
  put(at("letters-title"), letters.length === limit ? `${words} or more` : words);
  at("letters-list").replaceChildren(...letters.slice(0, 20).map((letter) => {
    const item = make("li");
    item.append(foreign(letter.source, "name"), make("span", ` ${ago(letter.at)}: `, "quiet"), foreign(letter.reason), foreign(letter.body.slice(0, 300), "letter"));
    return item;
  }));
}

function showFilters() {
  const buttons = Object.entries(GROUPS).map(([key, [words, holds]]) => {
    const button = at(`group-${key}`) ?? make("button");
    button.id = `group-${key}`;
    button.type = "button";
    button.ariaPressed = String(group === key);
    button.onclick = () => { group = key; showJobs(); };
    put(button, `${words} ${[...jobs.values()].filter(holds).length}`);
    return button;
  });
  if (at("filters").childElementCount === 0) at("filters").append(...buttons);
}

function showJobs() {
  showFilters();
  const shown = [...jobs.values()].filter(GROUPS[group][1]);
  for (const id of rows.keys()) if (!jobs.has(id)) rows.delete(id);
  shown.forEach(showRow);
  const wantedRows = shown.map((job) => rows.get(job.id));
  const present = at("rows").children;
  if (wantedRows.length !== present.length || wantedRows.some((row, index) => present[index] !== row)) at("rows").replaceChildren(...wantedRows);
  at("table").hidden = shown.length === 0;
  at("empty").hidden = shown.length > 0;
  put(at("empty"), jobs.size ? "None of the jobs is of this kind." : "No jobs yet. Put a recording where a watcher looks, or run: vidd submit FILE");
}

function showRow(job) {
  let row = rows.get(job.id);
  if (!row) {
    row = make("tr");
    row.setAttribute("role", "row");
    for (let cell = 0; cell < 5; cell += 1) row.append(make("td"));
    for (const cell of row.children) cell.setAttribute("role", "cell");
    row.children[3].append(make("div", undefined, "about"), filesPart(job.id));
    row.dataset.id = job.id;
    rows.set(job.id, row);
  }
  const [name, pipeline, state, { children: [about, files] }, since] = row.children;
  fill(name, `${job.name}\n${job.talk}\n${job.link}`, () => nameParts(job));
  fill(pipeline, job.pipeline, () => [foreign(job.pipeline)]);
  fill(state, job.state, () => [make("span", job.state, `state ${job.state}`)]);
  state.title = job.meaning;
  fill(about, JSON.stringify([job.reason, job.until, job.state, job.progress]), () => aboutParts(job));
  files.hidden = WITHOUT_FILES.includes(job.state);
  showFiles(files, job);
  since.dataset.since = job.changed;
  since.title = new Date(job.changed).toLocaleString();
  put(since, ago(job.changed));
}

function filesPart(id) {
  const part = make("details", undefined, "files");
  part.append(make("summary", "Files and their check"), make("ul"));
  part.addEventListener("toggle", () => { if (jobs.has(id)) showFiles(part, jobs.get(id)); });
  return part;
}

// Fetched when somebody opens it, and again when the job has changed since.
async function showFiles(part, job) {
  const shows = `${job.state} ${job.changed}`;
  if (!part.open || part.dataset.shows === shows) return;
  part.dataset.shows = shows;
  try {
    const { steps } = await getJson(`/api/jobs/${job.id}`);
    const items = steps.flatMap((step) => step.artifacts).map(fileItem);
    part.lastChild.replaceChildren(...(items.length ? items : [make("li", "No file has been made yet.", "quiet")]));
  } catch (fault) {
    delete part.dataset.shows;
    if (fault instanceof Locked) return lock();
    part.lastChild.replaceChildren(make("li", "The daemon does not answer; open this again.", "quiet"));
  }
}

function fileItem({ role, size, check }) {
  const item = make("li");
  item.append(foreign(role, "name"), " ", foreign(check?.summary ?? sizeWords(size), "quiet"));
  if (check?.why) item.append(foreign(check.lane === "full" ? `Encoded in full: ${check.why}` : check.why, "finding note"));
  for (const { does, sentence } of check?.findings ?? []) item.append(foreign(`${ACTIONS[does]}: ${sentence}`, `finding ${does}`));
  return item;
}

// A cell is rebuilt only when what it shows has changed, so that focus and selection stay.
function fill(cell, shows, parts) {
  if (cell.dataset.shows === shows) return;
  cell.dataset.shows = shows;
  cell.replaceChildren(...parts());
}

function nameParts(job) {
  const parts = [isWeb(job.link) ? linked(job) : fileName(job.name)];
  if (job.talk) parts.push(foreign(job.talk, "talk"));
  return parts;
}

function linked(job) {
  const link = make("a");
  link.href = job.link;
  link.rel = "noreferrer";
  link.append(fileName(job.name));
  return link;
}

function aboutParts(job) {
  const parts = [];
  const running = ["working", "publishing"].includes(job.state) ? job.progress : [];
  for (const part of running) parts.push(...progressParts(part));
  if (job.reason) parts.push(foreign(job.reason));
  if (job.until && job.state === "waiting") parts.push(" ", make("span", `Next try ${clock(job.until)}.`, "quiet whole"));
  if (parts.length === 0 && job.state !== "published") parts.push(make("span", job.meaning, "quiet"));
  if (job.link && !isWeb(job.link)) parts.push(foreign(job.link, "quiet"));
  return parts;
}

function progressParts(part) {
  const words = [];
  if (part.fraction !== null) words.push(`${Math.floor(part.fraction * 100)} %`);
  else words.push(part.unit === "bytes" ? sizeWords(part.done) : `${Math.floor(part.done)} s`);
  if (part.speed) words.push(part.unit === "bytes" ? `${sizeWords(part.speed)}/s` : `${part.speed.toFixed(1)}×`);
  const line = make("span", undefined, "far");
  line.append(foreign(part.part), make("span", ` ${words.join(", ")}`, "quiet"));
  const bar = make("progress");
  bar.max = 1;
  if (part.fraction !== null) bar.value = part.fraction;
  bar.ariaLabel = part.part;
  return [line, bar];
}

setInterval(() => {
  for (const row of rows.values()) put(row.children[4], ago(row.children[4].dataset.since));
}, 30000);

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value);
  connect();
});

async function connect() {
  for (;;) {
    try {
      await follow();
    } catch (fault) {
      if (fault instanceof Locked) return lock();
    }
    put(at("live"), "The daemon does not answer; trying again…");
    at("health").className = "bad";
    put(at("health-text"), "Out of touch");
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

function lock() {
  put(at("sign-in-fault"), sessionStorage.getItem("token") ? "That is not one of its tokens." : "");
  sessionStorage.removeItem("token");
  at("sign-in").hidden = false;
  document.body.classList.add("locked");
  at("token").focus();
  put(at("health-text"), "Locked");
}

connect();
