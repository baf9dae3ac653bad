// How many requests or entries came in each second of the last minute, and how many of them went wrong: in
// colour, and with the sign that stands before the word, too.

import { svg } from "./dom.js";

export const SECONDS = 49;
/** What stands for misses and errors, in words and on the bars. */
export const SIGNS = { miss: "○", error: "×" };
const KINDS = ["all", "miss", "error"]; // of what is counted
const STEP = 4; // pixels of a second
const FOOT = 21; // where bars begin
const HEIGHT = 12; // of the highest bar, with room for two signs above it
const SIGN = 4; // pixels that a sign takes

export class Sparkline {
  constructor() {
    this.restart();
    this.element = svg("svg", { class: "spark", viewBox: `0 0 ${SECONDS * STEP} 22`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Requests in each of the last ${SECONDS} seconds` });
  }

  /** Forget what has come so far. */
  restart() {
    this.counts = Object.fromEntries(KINDS.map((kind) => [kind, new Array(SECONDS).fill(0)]));
    this.before = null; // the totals of the last second
    this.began = Date.now() / 1000; // what came before can be filled in
  }

  /** How many came in the last second. */
  get rate() {
    return this.counts.all.at(-1);
  }

  /** Return how many of a kind, `all`, `miss` or `error`, came in all seconds. */
  sum(kind) {
    return this.counts[kind].reduce((sum, count) => sum + count, 0);
  }

  /** Take the totals of each kind, once a second. */
  tick(totals) {
    const before = this.before ?? totals;
    for (const kind of KINDS) {
      this.counts[kind].shift();
      this.counts[kind].push(Math.max(0, totals[kind] - before[kind])); // a reset makes totals smaller
    }
    this.before = totals;
  }

  /** Count entries that came before it began: those of requests, or all of them. */
  fill(entries, countsAll) {
    const now = Date.now() / 1000;
    for (const entry of entries) {
      const second = SECONDS - 1 - Math.floor(now - entry.at);
      if (entry.at >= this.began || second < 0 || second >= SECONDS) continue;
      if (entry.isExchange || countsAll) this.counts.all[second] += 1;
      if (entry.isMiss) this.counts.miss[second] += 1;
      if (entry.isError) this.counts.error[second] += 1;
    }
  }

  /** Draw it, with this label for those who do not see it. */
  draw(label) {
    const { all, miss, error } = this.counts;
    const most = Math.max(5, ...all, ...miss, ...error);
    const found = [svg("line", { x1: 0, x2: SECONDS * STEP, y1: 21.5, y2: 21.5 })];
    for (let second = 0; second < SECONDS; second += 1) {
      const total = Math.max(all[second], miss[second], error[second]);
      if (total) found.push(...column(second * STEP, total, miss[second], error[second], most));
    }
    this.element.setAttribute("aria-label", label);
    this.element.replaceChildren(...found);
  }
}

// A bar of *total*, with its misses above its errors, and a sign above it for each of them that there are.
function column(x, total, misses, errors, most) {
  const height = (count) => Math.max(1, (count / most) * HEIGHT);
  const bar = (count, name) => svg("rect", { class: name, x, y: FOOT - height(count), width: 3, height: height(count) });
  const found = [bar(total, "good")];
  if (misses) found.push(bar(Math.min(total, misses + errors), "miss"));
  if (errors) found.push(bar(errors, "error"));
  let y = FOOT - height(total) - SIGN / 2 - 0.5;
  if (misses) {
    found.push(svg("circle", { class: "sign miss", cx: x + 1.5, cy: y, r: 1.2 }));
    y -= SIGN;
  }
  if (errors) found.push(svg("path", { class: "sign error", d: `M${x} ${y - 1.5}l3 3m0 -3l-3 3` }));
  return found;
}
