// Shared by all parts of the page: elements, requests, and text.

/** Make an element. Its children are text or elements, never HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** An error response of the service: problem details (RFC 9457), or a validation error of FastAPI. */
export class Problem extends Error {
  constructor({ title, detail = "" }, status = 0) {
    super(title ?? "The request is not valid");
    this.status = status;
    this.detail = Array.isArray(detail) ? detail.map(({ loc, msg }) => `${loc.slice(1).join(".")}: ${msg}.`).join(" ") : detail;
  }
}

/** Send a request; return the JSON of the response, or throw a Problem. */
export async function request(method, url, body) {
  const options = { method, headers: { Accept: "application/json" } };
  // The service takes a POST only as JSON, so that no page of another site can send one.
  if (method === "POST") options.headers["Content-Type"] = "application/json";
  if (body !== undefined) options.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Problem({ title: "The service does not answer", detail: "It may have stopped. Try again in a moment." });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  throw new Problem(answer ?? { title: `The service answered ${response.status}` }, response.status);
}

/** Show a problem in its box; null hides the box. */
export function showProblem(box, problem) {
  box.hidden = !problem;
  if (!problem) return box.replaceChildren();
  box.replaceChildren(element("strong", {}, problem.message), problem.detail ? element("p", {}, problem.detail) : "");
}

/** Announce a text to screen readers. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

/** Fill the controls of a list: its position, and buttons for the previous and the next page. */
export function pager(box, { offset, limit, total, go }) {
  const button = (label, to, off) => element("button", { type: "button", disabled: off, click: () => go(to) }, label);
  const held = box.contains(document.activeElement) && document.activeElement.textContent;
  box.hidden = total <= limit && offset === 0;
  box.replaceChildren(
    element("span", { class: "note" }, `${count(offset + 1)} to ${count(Math.min(offset + limit, total))} of ${count(total)}`),
    button("Previous", offset - limit, offset === 0),
    button("Next", offset + limit, offset + limit >= total),
  );
  // The buttons are new: keep the focus on the one that the user pressed.
  if (held) [...box.querySelectorAll("button:enabled")].sort((a) => (a.textContent === held ? -1 : 1))[0]?.focus();
}

export const count = (number) => number.toLocaleString("en");

export const numbers = (many) => `${count(many)} number${many === 1 ? "" : "s"}`;

export function duration(seconds) {
  if (seconds < 10 && !Number.isInteger(seconds)) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export const moment = (iso) =>
  new Date(iso).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
