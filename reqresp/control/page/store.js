// The entries of one service that the page has, the oldest first, and gaps where some are missing. It
// must not know elements.

import { Entry, Gap } from "./entry.js";

/** The most entries that are kept: as many as the server's journal keeps. */
export const MOST = 10_000;

const FLAGS = ["isMiss", "isFault", "isError"];

export class Store {
  constructor() {
    this.clear();
  }

  clear() {
    this.entries = [];
    this.counts = { isMiss: 0, isFault: 0, isError: 0 };
    this.skipped = 0; // entries that are in gaps
    this.isWhole = false; // whether all older entries are loaded
  }

  /** The id of the last entry; -1: there is none. */
  get last() {
    const last = this.entries.at(-1);
    return last === undefined ? -1 : last instanceof Gap ? last.end : last.id;
  }

  /** The id of the first entry; null: there is none. */
  get first() {
    return this.entries.find((it) => it instanceof Entry)?.id ?? null;
  }

  /** Add what came, and say how many are missing before it. Return what was added. */
  append(lines, skipped) {
    const last = this.last;
    const added = lines.filter((line) => line.id > last).map((line) => new Entry(line));
    if (skipped) added.unshift(new Gap(added.length ? added[0].id - skipped - 1 : last, skipped));
    this.entries.push(...added);
    this.count(added, 1);
    return added;
  }

  /** Add entries that are older than all. Return what was added. */
  prepend(lines) {
    const first = this.first ?? Infinity;
    const added = lines.filter((line) => line.id < first).map((line) => new Entry(line));
    this.entries = [...added, ...this.entries];
    this.count(added, 1);
    return added;
  }

  /** Put the first entries into a gap; what is behind them stays a gap. */
  fill(gap, lines) {
    const place = this.entries.indexOf(gap);
    if (place < 0) return;
    const found = within(gap, lines);
    const last = found.at(-1)?.id ?? gap.end;
    this.replace(place, last < gap.end ? [...found, new Gap(last, gap.end - last)] : found);
  }

  /** Put entries into the gaps where they are missing; gaps stay before and behind each. */
  insert(lines) {
    for (let place = this.entries.length - 1; place >= 0; place -= 1) {
      const gap = this.entries[place];
      if (!(gap instanceof Gap)) continue;
      const items = [];
      let after = gap.after;
      for (const entry of within(gap, lines)) {
        if (entry.id - 1 > after) items.push(new Gap(after, entry.id - 1 - after));
        items.push(entry);
        after = entry.id;
      }
      if (!items.length) continue;
      if (after < gap.end) items.push(new Gap(after, gap.end - after));
      this.replace(place, items);
    }
  }

  replace(place, items) {
    this.count([this.entries[place]], -1);
    this.count(items, 1);
    this.entries.splice(place, 1, ...items);
  }

  /** Drop the oldest that are too many; return how many entries and gaps were dropped. */
  trim() {
    const surplus = Math.max(0, this.entries.length - MOST);
    if (surplus) this.count(this.entries.splice(0, surplus), -1);
    return surplus;
  }

  /** Return the entries of a connection around the one with this id, and how many are not among them. */
  conversation(connection, id, most) {
    const all = this.entries.filter((it) => it.connection === connection);
    const place = Math.max(0, all.findIndex((it) => it.id === id));
    const start = Math.max(0, Math.min(place - (most >> 1), all.length - most));
    return { entries: all.slice(start, start + most), before: start, after: Math.max(0, all.length - start - most) };
  }

  count(items, sign) {
    for (const item of items) {
      if (item instanceof Gap) this.skipped += sign * item.skipped;
      for (const flag of FLAGS) if (item[flag]) this.counts[flag] += sign;
    }
  }
}

/** Return the entries of *lines* that are missing in *gap*. */
function within(gap, lines) {
  return lines.filter((line) => line.id > gap.after && line.id <= gap.end).map((line) => new Entry(line));
}
