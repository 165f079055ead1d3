// One job: its plan, its progress, and its result. Server-sent events keep the page up to date.

import { fieldLabel, inWords, valueText } from "./change.js";
import { Chart } from "./chart.js";
import { count, duration, element, moment, numbers, pager, request, say, showProblem } from "./common.js";

export const JOBS = "/fleet/jobs";

const FINAL = new Set(["done", "stopped", "interrupted", "failed"]);
export const isFinal = (state) => FINAL.has(state);
const sum = (report, statuses) => statuses.reduce((total, status) => total + report[status], 0);

const PHASES = {
  listing: "Reading the current settings",
  checking: "Checking that the plan is up to date",
  sending: "Sending the changes",
  settling: "Reading back the unclear changes",
  verifying: "Checking every change",
};

const STATUSES = { failed: "Failed", unknown: "Unknown", pending: "Pending", not_sent: "Not sent", skipped: "Skipped", updated: "Updated", unchanged: "Left alone" };
const LEFT = ["failed", "unknown", "pending", "not_sent"];
const ROWS = 10;

/** Return the state of a job in a word or two, and the CSS class of its color. */
export function shortState({ state, kind: work, report }) {
  const left = report ? sum(report, LEFT) : 0;
  const [kind, label] = {
    planning: ["running", "planning"],
    planned: ["pending", "ready to run"],
    running: ["running", "running"],
    stopping: ["running", "stopping"],
    done: left ? ["failed", `${count(left)} not done`] : ["updated", work === "roll-back" ? "rolled back" : "done"],
    stopped: ["not-sent", report ? `stopped, ${count(left)} left` : "discarded"],
    interrupted: ["pending", "interrupted"],
    failed: ["failed", "failed"],
  }[state] ?? ["not-sent", state];
  return { kind, label };
}

/** Return the CSS class, the title and the details that describe the state of a job. */
function verdict({ state, kind, plan, progress, report, error }) {
  const isBack = kind === "roll-back";
  const all = isBack && report ? numbers(sum(report, ["updated", ...LEFT])) : plan ? numbers(plan.changes) : "";
  const changed = isBack ? "rolled back" : "changed";
  const same = plan?.unchanged ? `${count(plan.unchanged)} already ${plan.unchanged === 1 ? "matches" : "match"}. ` : "";
  switch (state) {
    case "planning":
      return ["running", "Planning", "No changes are sent yet."];
    case "planned":
      return plan.changes ? ["open", `${all} will change`, `${same}Nothing has been sent yet.`] : ["good", "There is nothing to change", same];
    case "running":
      return ["running", PHASES[progress?.phase] ?? "Starting", underWay(progress)];
    case "stopping":
      return ["running", "Stopping", "Waiting for the requests in flight."];
    case "done":
      if (!report || !sum(report, LEFT)) return ["good", `${all} ${changed}`, took(report)];
      return [report.failed ? "bad" : "open", `${count(report.updated)} of ${all} ${changed}`, `${undone(report)}. ${took(report)}`];
    case "stopped":
      if (!report) return ["", "Discarded", "Nothing was sent."];
      return ["open", `Stopped: ${count(report.updated)} of ${all} ${changed}`, `${undone(report)}. ${took(report)}`];
    case "interrupted":
      return ["open", "Interrupted: the service stopped during the run", "Resume reads back the unclear changes before it sends anything."];
    default:
      return ["bad", error?.title ?? "Failed", error?.detail ?? ""];
  }
}

/** Return what is not done, by status: `7 failed, 12 not sent`. */
function undone(report) {
  const left = LEFT.filter((status) => report[status] > 0);
  return left.map((status) => `${count(report[status])} ${STATUSES[status].toLowerCase()}`).join(", ") || "Nothing is left";
}

const took = (report) => (report ? `${count(report.requests)} requests in ${duration(report.elapsed)}.` : "");

function underWay(progress) {
  if (progress?.paused_for > 0) return `Paused for another ${duration(progress.paused_for)}, as the API asked.`;
  if (!progress?.total || !progress.done || progress.phase !== "sending") return "";
  const left = ((progress.total - progress.done) * progress.elapsed) / progress.done;
  return left < 1 ? "Nearly done." : `About ${duration(Math.round(left))} left.`;
}

/**
 * Show a job in a box, and keep it up to date; return a function that stops this.
 * Calls `moved` when numbers may have changed.
 */
export function openJob(id, box, { moved }) {
  const url = `${JOBS}/${encodeURIComponent(id)}`;
  const view = build(box, act);
  let job = null;
  let stream = null;
  let again = 0;
  let isOpen = true;
  let quarter = 0;
  let pressed = null;

  const chart = new Chart(view.chart);

  async function act(verb, button) {
    if (verb === "roll-back" && !confirm(`Roll ${numbers(job.report.updated)} back to the settings before this job?`)) return;
    pressed = button;
    view.buttons.forEach((each) => { each.disabled = true; });
    try {
      // The new state may arrive a moment later, as an event: keep the buttons disabled until then.
      update(await request("POST", `${url}/${verb}`));
      showProblem(view.problem, null);
      if (isOpen && !isFinal(job.state)) listen();
    } catch (problem) {
      showProblem(view.problem, problem);
      view.buttons.forEach((each) => { each.disabled = false; });
    }
  }

  function listen() {
    if (stream && stream.readyState !== EventSource.CLOSED) return;
    clearTimeout(again);
    stream = new EventSource(`${url}/events`);
    const mine = stream;
    mine.onopen = () => { view.link.textContent = "Live"; view.link.className = "link live"; };
    mine.addEventListener("job", (event) => update(JSON.parse(event.data)));
    mine.onerror = () => {
      if (!isOpen || mine !== stream) return;
      view.link.textContent = "Connection lost. The job continues; reconnecting.";
      view.link.className = "link lost";
      // The browser reconnects by itself, except after an error response.
      if (mine.readyState === EventSource.CLOSED) again = setTimeout(begin, 2000);
    };
  }

  async function begin() {
    try {
      const now = await request("GET", url);
      if (!isOpen) return;
      showProblem(view.problem, null);
      update(now);
      if (!isFinal(now.state)) listen();
    } catch (problem) {
      if (!isOpen) return;
      if (!job) { view.kind.textContent = "Job"; view.title.textContent = "This job cannot be shown"; }
      showProblem(view.problem, problem);
      // After a 4xx response (the job is gone), asking again is pointless.
      if (job && !(problem.status >= 400 && problem.status < 500)) again = setTimeout(begin, 2000);
      else view.link.textContent = "";
    }
  }

  function update(now) {
    if (!isOpen) return;
    const before = job;
    job = now;
    const isSame = now.state === before?.state && now.kind === before.kind && Boolean(now.plan) === Boolean(before.plan);
    if (!isSame) changed(before);
    show();
  }

  function changed(before) {
    if (["running", "stopping"].includes(before?.state) || job.state === "running") moved();
    // The changes of a roll-back are known only at its end.
    if (job.plan && (!before?.plan || (job.kind === "roll-back" && isFinal(job.state)))) list(view.changes, 0);
    // Close the stream: the browser would take its end for a lost connection.
    if (isFinal(job.state)) { stream?.close(); view.link.textContent = ""; }
    view.results.box.hidden = true;
    if (isFinal(job.state) && job.report) showResults();
    quarter = 0;
    for (const button of view.buttons) {
      button.hidden = !button.states(job);
      button.disabled = false;
    }
    // If the pressed button is gone, move the focus to the title, near the outcome.
    if (pressed?.hidden) view.title.focus({ preventScroll: true });
    pressed = null;
  }

  function show() {
    const { state, plan, progress, report } = job;
    const isBack = job.kind === "roll-back";
    const [kind, title, more] = verdict(job);
    if (view.verdict.title.textContent !== title) say(title);
    view.kind.textContent = `${isBack ? "Roll-back of the job" : "Job"} of ${moment(job.created_at)}`;
    if (!view.title.textContent) view.title.textContent = plan ? numbers(plan.changes + plan.unchanged) : "A change of numbers";
    view.verdict.box.hidden = false;
    view.verdict.box.className = `verdict ${kind}`;
    view.verdict.title.textContent = title;
    view.verdict.more.textContent = more;
    showMissing(plan);

    const isUnderWay = progress && (state === "running" || state === "stopping");
    const total = !isBack ? plan?.changes ?? 0 : isUnderWay ? progress.total ?? 0 : report ? sum(report, ["updated", ...LEFT]) : 0;
    const has = report && isFinal(state) ? report : progress;
    const isRun = Boolean(has) && state !== "planning" && state !== "planned";
    view.tiles.hidden = !isRun;
    if (isRun) showTiles(has, isUnderWay);

    const parts = isRun && total && (!isUnderWay || progress.phase === "sending" || progress.phase === "settling")
      ? ["updated", "failed", "unknown", "pending", "not_sent"].map((name) => [name, (has[name] ?? 0) / total])
      : [["running", progress?.total ? progress.done / progress.total : 0]];
    view.bar.box.hidden = !isRun && state !== "planning";
    // At the end, changes that are unknown, pending or not sent are not done.
    const done = isUnderWay || parts.length === 1 ? parts : parts.slice(0, 2);
    const share = Math.min(1, done.reduce((sum, [, part]) => sum + part, 0));
    for (const [name, piece] of Object.entries(view.bar.pieces))
      piece.style.width = `${100 * (parts.find(([part]) => part === name)?.[1] ?? 0)}%`;
    const words = parts.length === 1 ? (progress?.total ? `${count(progress.done)} of ${count(progress.total)}` : "")
      : `${count(Math.round(share * total))} of ${count(total)}`;
    view.bar.track.setAttribute("aria-valuenow", Math.round(100 * share));
    view.bar.track.setAttribute("aria-valuetext", words || "beginning");
    view.bar.words.textContent = words;
    view.bar.share.textContent = words ? `${Math.floor(100 * share)} %` : "";
    view.bar.time.textContent = has?.elapsed && isRun ? duration(has.elapsed) : "";
    document.title = isUnderWay ? `${Math.floor(100 * share)} % · Fleet` : `${title} · Fleet`;
    if (isUnderWay && parts.length > 1 && Math.floor(4 * share) > quarter) {
      quarter = Math.floor(4 * share);
      say(`${quarter * 25} %: ${words}`);
    }

    if (isUnderWay) chart.add(progress);
    view.figure.hidden = chart.isEmpty || !isRun;
  }

  function showTiles(has, isUnderWay) {
    const { tiles } = view;
    for (const name of ["updated", "failed", "unknown", "not_sent"]) tiles.set(name, count(has[name]), has[name] === 0);
    tiles.set("requests", count(has.requests));
    const share = has.requests ? (100 * has.rate_limited) / has.requests : 0;
    tiles.set("rate_limited", count(has.rate_limited), has.rate_limited === 0, `${share.toFixed(1)} % of all requests`);
    tiles.show("took", !isUnderWay);
    tiles.show("rate", isUnderWay);
    tiles.show("pending", has.pending > 0);
    tiles.set("took", duration(has.elapsed));
    tiles.set("pending", count(has.pending ?? 0));
    if (isUnderWay) {
      const isFree = job.progress.rate === null;
      tiles.set("rate", isFree ? "none" : `${job.progress.rate.toFixed(job.progress.rate < 10 ? 1 : 0)}/s`, isFree,
        isFree ? "no limit yet" : "used by the client");
    }
  }

  function showMissing(plan) {
    view.missing.hidden = !plan?.missing_count;
    if (view.missing.hidden || view.missing.textContent) return;
    const more = plan.missing_count - plan.missing.length;
    view.missing.textContent = `${numbers(plan.missing_count)} not in the account: ${plan.missing.join(", ")}${more ? `, and ${count(more)} more` : ""}`;
  }

  async function list(part, offset) {
    try {
      const { items, total } = await request("GET", part.url(offset));
      if (!isOpen) return;
      part.box.hidden = total === 0;
      part.rows.replaceChildren(...items.flatMap(part.row));
      pager(part.pages, { offset, limit: ROWS, total, go: (to) => list(part, to) });
      part.after?.(items);
    } catch (problem) {
      if (isOpen) showProblem(view.problem, problem);
    }
  }

  Object.assign(view.changes, {
    url: (offset) => `${url}/changes?offset=${offset}&limit=${ROWS}`,
    row: changeRows,
    after: (items) => { if (items.length) view.title.textContent = inWords(items); },
  });

  function showResults() {
    const { report } = job;
    const part = view.results;
    // Numbers without a change have no result, except in a roll-back: there it tells why a number was left alone.
    const there = Object.keys(STATUSES).filter((status) => report[status] > 0 && (status !== "unchanged" || job.kind === "roll-back"));
    part.row = (result) => element("tr", {},
      element("td", { class: "tight" }, result.number ?? result.id),
      element("td", { class: "count" }, count(result.attempts)),
      element("td", { class: "reason" }, result.reason ?? element("span", { class: "dim" }, result.status === "updated" ? "confirmed" : "none given")));
    const pick = (status) => {
      part.url = (offset) => `${url}/results?status=${status}&offset=${offset}&limit=${ROWS}`;
      for (const button of part.tabs.children) button.setAttribute("aria-pressed", button.value === status);
      list(part, 0);
    };
    part.tabs.replaceChildren(...there.map((status) =>
      element("button", { type: "button", value: status, click: () => pick(status) }, `${STATUSES[status]} ${count(report[status])}`)));
    if (there.length) pick(there[0]);
  }

  begin();
  return () => {
    isOpen = false;
    clearTimeout(again);
    stream?.close();
    box.replaceChildren();
  };
}

function changeRows({ id, number, fields }) {
  return fields.map(({ field, before, after }, at) =>
    element("tr", { class: at < fields.length - 1 && "more" },
      at ? null : element("td", { class: "tight number", rowspan: fields.length }, number ?? id),
      element("td", { class: "field-name" }, fieldLabel(field)),
      element("td", { class: "before" }, valueText(before)),
      element("td", { class: "after" }, valueText(after))));
}

/** Build the view of a job, with all unknown parts hidden; return the parts. */
function build(box, act) {
  const view = {
    kind: element("p", { class: "kind" }, "Job"),
    title: element("h1", { tabindex: -1 }),
    link: element("p", { class: "link", role: "status" }),
    problem: element("div", { class: "problem", role: "alert", hidden: true }),
    missing: element("p", { class: "note missing", hidden: true }),
    chart: element("div", { class: "chart" }),
  };
  const button = (verb, label, states, kind = "") =>
    Object.assign(element("button", { type: "button", class: kind, hidden: true, click: ({ currentTarget }) => act(verb, currentTarget) }, label), { states });
  view.buttons = [
    button("start", "Run", ({ state, plan }) => state === "planned" && plan.changes > 0, "main"),
    button("resume", "Resume", ({ state, resumable }) => isFinal(state) && resumable, "main"),
    button("roll-back", "Roll back", ({ state, kind, report }) => isFinal(state) && kind === "apply" && report?.updated > 0),
    button("cancel", "Discard", ({ state }) => state === "planned"),
    button("cancel", "Cancel", ({ state }) => state === "planning" || state === "running"),
  ];
  view.verdict = { title: element("strong"), more: element("p") };
  view.verdict.box = element("div", { class: "verdict", hidden: true },
    element("div", {}, view.verdict.title, view.verdict.more), element("div", { class: "buttons" }, view.buttons));

  const pieces = Object.fromEntries(["updated", "failed", "unknown", "pending", "not_sent", "running"].map((name) =>
    [name, element("span", { class: name.replace("_", "-") })]));
  const track = element("div", { class: "whole", role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 },
    Object.values(pieces));
  view.bar = { pieces, track, words: element("span"), share: element("strong"), time: element("span") };
  view.bar.box = element("div", { class: "progress", hidden: true }, track,
    element("p", { class: "note" }, view.bar.share, view.bar.words, view.bar.time));

  const values = {};
  const tile = (name, label, note = "") => {
    values[name] = { value: element("span", { class: "value" }), note: element("span", { class: "note" }, note) };
    return (values[name].box = element("li", { class: `tile ${name.replace("_", "-")}` },
      element("span", { class: "label" }, label), values[name].value, values[name].note));
  };
  view.tiles = element("ul", { class: "tiles", hidden: true },
    tile("updated", "Updated", "confirmed by the API"), tile("failed", "Failed", "rejected"),
    tile("unknown", "Unknown", "no clear response"), tile("pending", "Pending", "not in effect yet"), tile("not_sent", "Not sent", "unchanged"),
    tile("requests", "Requests", "including reads"), tile("rate_limited", "Throttled (429)"), tile("rate", "Rate limit"), tile("took", "Took", "in total"));
  view.tiles.show = (name, isShown) => { values[name].box.hidden = !isShown; };
  view.tiles.set = (name, value, isNought = false, note = null) => {
    values[name].value.textContent = value;
    values[name].box.classList.toggle("nought", isNought);
    if (note !== null) values[name].note.textContent = note;
  };

  const key = (kind, label) => element("span", { class: `key ${kind}` }, label);
  view.figure = element("figure", { hidden: true }, view.chart, element("figcaption", {},
    key("speed", "requests per second"), key("allowed", "rate limit"), key("refused", "429 responses"), key("pause", "paused, as the API asked")));

  const part = (kind, title, heads, ...above) => {
    const rows = element("tbody");
    const pages = element("nav", { "aria-label": `Pages: ${title}` });
    const table = element("table", { class: kind }, element("thead", {}, element("tr", {}, heads.map(([label, kind]) => element("th", { scope: "col", class: kind }, label)))), rows);
    const whole = element("section", { hidden: true }, element("h2", {}, title), above, element("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title }, table), pages);
    return { box: whole, rows, pages };
  };
  const tabs = element("div", { class: "tabs", role: "group", "aria-label": "Which results" });
  view.results = { ...part("results", "Results", [["Number"], ["Attempts", "count"], ["Why"]], tabs), tabs };
  view.changes = part("changes", "The plan", [["Number"], ["Field"], ["Before"], ["After"]]);

  box.replaceChildren(
    element("header", {}, element("a", { href: "#", class: "back" }, "Numbers"),
      element("div", { class: "over" }, view.kind, view.link), view.title),
    view.problem, view.verdict.box, view.missing, view.bar.box, view.tiles, view.figure, view.results.box, view.changes.box);
  return view;
}
