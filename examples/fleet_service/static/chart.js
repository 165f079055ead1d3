// The chart of a run: requests per second, the rate limit, 429 responses, and pauses.

import { duration } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 40, RIGHT = 4, TOP = 12, HEIGHT = 130, GAP = 14, STRIP = 26, FOOT = 20;
const BOTTOM = TOP + HEIGHT + GAP + STRIP;
const STEPS = [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10];
const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800];
const BEGINNING = { elapsed: 0, requests: 0, rate_limited: 0, rate: null, paused_for: 0 };

export class Chart {
  #box;
  #samples = [];
  #planned = false;

  constructor(box) {
    this.#box = box;
    new ResizeObserver(() => this.#plan()).observe(box);
  }

  /** Record the progress of the run (a FleetProgress). */
  add(now) {
    // A resumed run counts from zero again.
    if (this.#samples.length && now.elapsed < this.#samples.at(-1).elapsed) this.#samples = [];
    if (!this.#samples.length && now.elapsed < 2) this.#samples.push(BEGINNING);
    this.#samples.push(now);
    if (this.#samples.length > 4000) this.#samples = this.#samples.filter((_, at) => at % 2);
    this.#plan();
  }

  get isEmpty() {
    return !this.#samples.length || this.#samples.at(-1).elapsed <= this.#samples[0].elapsed;
  }

  #plan() {
    if (this.#planned || this.isEmpty) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#draw();
    });
  }

  #draw() {
    const width = Math.max(260, this.#box.clientWidth);
    const first = this.#samples[0].elapsed;
    const last = this.#samples.at(-1).elapsed;
    const end = Math.max(5, last);
    const bars = this.#bars(first, last);
    const fastest = Math.max(...bars.map((bar) => bar.speed));
    const rates = bars.map((bar) => bar.rate).filter((rate) => rate !== null);
    // A limit far above the speed would flatten the chart.
    const top = nice(Math.max(fastest, ...rates.filter((rate) => rate <= 1.5 * fastest), 4));
    const most = Math.max(...bars.map((bar) => bar.refused), 1);
    const x = (at) => (LEFT + ((width - LEFT - RIGHT) * at) / end).toFixed(1);
    const y = (speed) => (TOP + HEIGHT * (1 - Math.min(1, speed / top))).toFixed(1);

    const drawn = [];
    for (const [from, to] of this.#pauses(last))
      drawn.push(shape("rect", { class: "pause", x: x(from), y: TOP, width: Math.max(1, x(to) - x(from)), height: BOTTOM - TOP }));
    for (const speed of [0, top / 2, top]) {
      drawn.push(shape("path", { class: "grid", d: `M${LEFT} ${y(speed)}H${width - RIGHT}` }));
      drawn.push(shape("text", { x: LEFT - 8, y: Number(y(speed)) + 4, "text-anchor": "end" }, speed.toLocaleString("en")));
    }
    drawn.push(shape("path", { class: "grid", d: `M${LEFT} ${BOTTOM}H${width - RIGHT}` }));
    const total = this.#samples.at(-1).rate_limited;
    drawn.push(shape("text", { x: LEFT - 8, y: BOTTOM, "text-anchor": "end" }, "429"));
    if (total) drawn.push(shape("text", { x: LEFT - 8, y: BOTTOM - STRIP + 8, "text-anchor": "end" }, most.toLocaleString("en")));
    const step = TICKS.find((tick) => end / tick <= width / 90) ?? end;
    for (let at = 0; at <= end; at += step) {
      const anchor = at === 0 ? "start" : x(at) > width - 30 ? "end" : "middle";
      drawn.push(shape("path", { class: "grid", d: `M${x(at)} ${BOTTOM}v4` }));
      drawn.push(shape("text", { x: x(at), y: BOTTOM + 17, "text-anchor": anchor }, at < 60 ? `${at} s` : duration(at)));
    }
    const line = outline(bars, x, (bar) => y(bar.speed));
    drawn.push(shape("path", { class: "done", d: `M${x(bars[0].from)} ${y(0)}L${line.slice(1)}V${y(0)}Z` }));
    drawn.push(shape("path", { class: "edge", d: line }));
    for (const run of unbroken(bars, (bar) => bar.rate !== null && bar.rate <= top))
      drawn.push(shape("path", { class: "allowed", d: outline(run, x, (bar) => y(bar.rate)) }));
    for (const bar of bars.filter(({ refused }) => refused > 0)) {
      const tall = Math.max(3, (STRIP * bar.refused) / most);
      drawn.push(shape("rect", { class: "refused", x: x(bar.from), y: BOTTOM - tall, width: Math.max(2, x(bar.to) - x(bar.from) - 1), height: tall }));
    }
    const svg = shape("svg", { width, height: BOTTOM + FOOT, viewBox: `0 0 ${width} ${BOTTOM + FOOT}`, role: "img",
      "aria-label": `At most ${Math.round(fastest)} requests per second; ${total} responses were 429` });
    svg.append(...drawn);
    this.#box.replaceChildren(svg);
  }

  /** Divide the time into steps wide enough to see. */
  #bars(first, last) {
    let size = 0.5;
    while ((last - first) / size > 120) size *= 2;
    const bars = [];
    for (let from = first; from < last; from += size) {
      const to = Math.min(from + size, last);
      // The rest at the end is too short to measure a speed.
      if (to - from < size * 0.4 && bars.length) break;
      bars.push({ from, to,
        speed: (this.#at(to, "requests") - this.#at(from, "requests")) / (to - from),
        refused: this.#before(to).rate_limited - this.#before(from).rate_limited,
        rate: this.#before(to).rate });
    }
    return bars;
  }

  #before(at) {
    return this.#samples[Math.max(0, this.#after(at) - 1)];
  }

  /** Return a count at a moment between two samples. */
  #at(at, name) {
    const next = this.#after(at);
    if (next >= this.#samples.length) return this.#samples.at(-1)[name];
    const a = this.#samples[Math.max(0, next - 1)], b = this.#samples[next];
    return b.elapsed > a.elapsed ? a[name] + ((b[name] - a[name]) * (at - a.elapsed)) / (b.elapsed - a.elapsed) : a[name];
  }

  #after(at) {
    let low = 0, high = this.#samples.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#samples[middle].elapsed > at) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #pauses(last) {
    const pauses = [];
    for (const { elapsed, paused_for: seconds } of this.#samples) {
      if (!(seconds > 0)) continue;
      const end = Math.min(elapsed + seconds, last);
      if (pauses.length && elapsed <= pauses.at(-1)[1] + 0.3) pauses.at(-1)[1] = Math.max(end, pauses.at(-1)[1]);
      else pauses.push([elapsed, end]);
    }
    return pauses;
  }
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function outline(bars, x, height) {
  return `M${x(bars[0].from)} ${height(bars[0])}` + bars.map((bar) => `V${height(bar)}H${x(bar.to)}`).join("");
}

function unbroken(bars, holds) {
  const runs = [];
  let last = null;
  for (const bar of bars) {
    if (holds(bar)) last === null ? runs.push((last = [bar])) : last.push(bar);
    else last = null;
  }
  return runs;
}

function nice(largest) {
  const power = 10 ** Math.floor(Math.log10(largest));
  return power * STEPS.find((step) => step * power >= largest);
}
