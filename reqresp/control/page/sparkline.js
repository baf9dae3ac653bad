// How many requests or entries came in each second of the last minute, and how many of them went wrong.

import { svg } from "./dom.js";

export const SECONDS = 49;
const STEP = 4; // pixels of a second
const HEIGHT = 20;

export class Sparkline {
  constructor() {
    this.all = new Array(SECONDS).fill(0);
    this.bad = new Array(SECONDS).fill(0);
    this.before = null; // the counts of the last second
    this.began = Date.now() / 1000; // what came before can be filled in
    this.element = svg("svg", { class: "spark", viewBox: `0 0 ${SECONDS * STEP} 22`, preserveAspectRatio: "none", role: "img",
      "aria-label": `Requests in each of the last ${SECONDS} seconds` });
  }

  /** How many came in the last second. */
  get rate() {
    return this.all.at(-1);
  }

  /** Take how many there have been, and how many of them went wrong, once a second. */
  tick(all, bad) {
    const before = this.before ?? { all, bad };
    this.shift(this.all, all - before.all);
    this.shift(this.bad, bad - before.bad);
    this.before = { all, bad };
  }

  /** Count entries that came before it began: those of requests, or all of them. */
  fill(entries, countsAll) {
    const now = Date.now() / 1000;
    for (const entry of entries) {
      const second = SECONDS - 1 - Math.floor(now - entry.at);
      if (entry.at >= this.began || second < 0 || second >= SECONDS) continue;
      if (entry.isExchange || countsAll) this.all[second] += 1;
      if (entry.isMiss || entry.isError) this.bad[second] += 1;
    }
  }

  /** Draw it, with this label for those who do not see it. */
  draw(label) {
    const most = Math.max(5, ...this.all, ...this.bad);
    const bars = [svg("line", { x1: 0, x2: SECONDS * STEP, y1: 21.5, y2: 21.5 })];
    const bar = (count, second, name) => {
      if (!count) return;
      const height = Math.max(1, (count / most) * HEIGHT);
      bars.push(svg("rect", { class: name, x: second * STEP, y: 21 - height, width: 3, height }));
    };
    this.all.forEach((count, second) => {
      bar(count, second, "good");
      bar(Math.min(this.bad[second], Math.max(count, 1)), second, "bad");
    });
    this.element.setAttribute("aria-label", label);
    this.element.replaceChildren(...bars);
  }

  shift(counts, count) {
    counts.shift();
    counts.push(Math.max(0, count)); // a reset makes counts smaller
  }
}
