// The page: the numbers of the account, the form for a change, and the jobs. `#<id>` shows a job (job.js).

import { changeFields, changeOf } from "./change.js";
import { Problem, count, element, moment, numbers, pager, request, say, showProblem } from "./common.js";
import { JOBS, isFinal, openJob, shortState } from "./job.js";

const ROWS = matchMedia("(max-width: 640px)").matches ? 8 : 15;
const byId = (id) => document.getElementById(id);

const account = { numbers: [], total: null, problem: null, loading: 0, read: 0 };
const chosen = new Set();
let matching = [];
let offset = 0;

// --- the account ---

/** Load the numbers page by page. Show each page at once; until a number is loaded again, show its old values. */
async function load() {
  const mine = ++account.loading;
  const fresh = [];
  const old = new Map(account.numbers.map((number) => [number.id, number]));
  account.problem = null;
  account.isWhole = false;
  account.read = 0;
  show();
  try {
    for (let page = 1, pages = 1; page <= pages; page++) {
      const { items, pagination } = await request("GET", `/api/numbers?page=${page}`);
      if (mine !== account.loading) return;
      fresh.push(...items);
      for (const { id } of items) old.delete(id);
      account.read = fresh.length;
      account.total = pagination.total;
      pages = pagination.total_pages;
      account.numbers = [...fresh, ...old.values()];
      show();
    }
    account.numbers = fresh;
    account.total = fresh.length;
    account.isWhole = true;
    const owned = new Set(account.numbers.map((number) => number.id));
    for (const id of chosen) if (!owned.has(id)) chosen.delete(id);
  } catch (problem) {
    if (mine !== account.loading) return;
    account.problem = problem;
  }
  show();
}

const text = (number) => `${number.number} ${number.label ?? ""} ${number.city ?? ""} ${number.id}`.toLowerCase();

function show() {
  const words = byId("filter").value.toLowerCase().replace(/[+()]/g, "").split(/\s+/).filter(Boolean);
  matching = account.numbers.filter((number) => words.every((word) => text(number).includes(word)));
  offset = Math.min(offset, Math.max(0, Math.ceil(matching.length / ROWS) - 1) * ROWS);
  const { isWhole, total } = account;
  byId("loaded").textContent = account.problem ? `${numbers(account.numbers.length)} loaded`
    : isWhole ? `${numbers(total)} in the account`
    : total === null ? "Loading the numbers" : `Loading the numbers: ${count(account.read)} of ${numbers(total)}`;
  byId("numbers-title").closest("section").setAttribute("aria-busy", !isWhole && !account.problem);
  showProblem(byId("numbers-problem"), account.problem);
  if (account.problem) byId("numbers-problem").append(element("button", { type: "button", click: load }, "Try again"));

  const shown = matching.slice(offset, offset + ROWS);
  byId("rows").replaceChildren(...(shown.length ? shown.map(row) : [empty(isWhole)]));
  pager(byId("pages"), { offset, limit: ROWS, total: matching.length, go: (to) => { offset = to; show(); } });
  showChosen();
}

function row(number) {
  const box = element("input", { type: "checkbox", value: number.id, "aria-label": `Choose ${number.number}` });
  box.checked = chosen.has(number.id);
  const about = [number.label, number.city].filter(Boolean).join(" · ");
  const onOff = (on) => element("td", { class: on ? "" : "dim" }, on ? "on" : "off");
  const heard = number.transcription_enabled ? `from ${number.transcription_threshold} s` : "off";
  return element("tr", {},
    element("td", { class: "pick" }, box),
    element("td", {}, number.number, element("span", { class: "under" }, about)),
    onOff(number.sms_enabled),
    onOff(number.call_recording_enabled),
    element("td", { class: number.transcription_enabled ? "" : "dim" }, heard),
    element("td", { class: "url" }, number.call_status_url || element("span", { class: "dim" }, "none")));
}

function empty(isWhole) {
  const said = account.problem ? "" : !isWhole ? "Loading the numbers" : account.total === 0 ? "This account has no numbers."
    : `No number, label, city or id contains “${byId("filter").value}”.`;
  return element("tr", {}, element("td", { class: "empty", colspan: 6 }, said));
}

function showChosen() {
  const shown = matching.slice(offset, offset + ROWS);
  const here = shown.filter((number) => chosen.has(number.id)).length;
  byId("choose-page").checked = here > 0 && here === shown.length;
  byId("choose-page").indeterminate = here > 0 && here < shown.length;
  byId("chosen").textContent = chosen.size ? `${count(chosen.size)} chosen` : "None chosen";
  byId("choose-none").disabled = chosen.size === 0;
  const all = byId("choose-all");
  all.disabled = matching.length === 0 || !account.isWhole;
  const many = account.isWhole ? ` ${count(matching.length)}` : "";
  all.textContent = `Choose ${byId("filter").value.trim() ? "these" : "all"}${many}`;
}

function choose(list, on = true) {
  for (const number of list) on ? chosen.add(number.id) : chosen.delete(number.id);
  for (const box of byId("rows").querySelectorAll("input")) box.checked = chosen.has(Number(box.value));
  showProblem(byId("change-problem"), null);
  showChosen();
}

byId("filter").addEventListener("input", () => { offset = 0; show(); });
byId("choose-all").addEventListener("click", () => choose(matching));
byId("choose-none").addEventListener("click", () => choose(account.numbers, false));
byId("choose-page").addEventListener("change", (event) => choose(matching.slice(offset, offset + ROWS), event.target.checked));
byId("rows").addEventListener("change", ({ target }) => choose([{ id: Number(target.value) }], target.checked));

// --- the change ---

byId("fields").replaceChildren(...changeFields());
byId("change").addEventListener("change", () => showProblem(byId("change-problem"), null));
byId("change").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = event.submitter ?? form.querySelector(".main");
  const set = changeOf(form);
  try {
    if (!chosen.size) throw new Problem({ title: "No number is chosen", detail: "Choose at least one number in the table." });
    if (!Object.keys(set).length) throw new Problem({ title: "Nothing to change", detail: "Set at least one field." });
    button.disabled = true;
    const job = await request("POST", JOBS, {
      changes: [{ ids: [...chosen], set }],
      hold: true,
      batch: form.batch.value || null,
      verify: form.verify.checked,
    });
    location.hash = job.id;
  } catch (problem) {
    showProblem(byId("change-problem"), problem);
  } finally {
    button.disabled = false;
  }
});

// --- the jobs ---

let again = 0;

async function showJobs() {
  clearTimeout(again);
  try {
    const { items } = await request("GET", JOBS);
    byId("jobs").replaceChildren(...items.map(jobLine));
    byId("no-jobs").textContent = "None yet.";
    byId("no-jobs").hidden = items.length > 0;
    if (items.some((job) => !isFinal(job.state) && job.state !== "planned")) again = setTimeout(showJobs, 2000);
  } catch (problem) {
    byId("no-jobs").textContent = `${problem.message}. ${problem.detail}`;
    byId("no-jobs").hidden = false;
    again = setTimeout(showJobs, 5000);
  }
}

function jobLine(job) {
  const { kind, label } = shortState(job);
  return element("li", {},
    element("a", { href: `#${job.id}` }, job.plan ? numbers(job.plan.changes) : "Not planned"),
    element("span", { class: `status ${kind}` }, label),
    element("time", { datetime: job.created_at, class: "note" }, moment(job.created_at)));
}

// --- the view: the account or a job ---

let close = null;
let isStale = true;

function route({ isFirst = false } = {}) {
  close?.();
  close = null;
  const id = location.hash.slice(1);
  byId("account").hidden = Boolean(id);
  byId("job").hidden = !id;
  scrollTo(0, 0);
  if (id) {
    close = openJob(id, byId("job"), { moved: () => { isStale = true; } });
    clearTimeout(again);
  } else {
    document.title = "Fleet";
    if (isStale) load();
    isStale = false;
    showJobs();
  }
  if (!isFirst) (id ? byId("job") : byId("account")).querySelector("h1").focus({ preventScroll: true });
  say("");
}

addEventListener("hashchange", () => route());
route({ isFirst: true });
