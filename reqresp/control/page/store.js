// The entries of one service that the page has, the oldest first, and gaps where some are missing. It
// must not know elements.

import { Entry, Gap } from "./entry.js";

/** The most entries that are kept: as many as the server's journal keeps. */
export const MOST = 10_000;

const FLAGS = ["isMiss", "isFault", "isError"];

export class Store {
  constructor() {
    this.frozen = null; // the entries and gaps that there were at a pause; null: it is none
    this.clear();
  }

  clear() {
    this.entries = [];
    this.counts = { isMiss: 0, isFault: 0, isError: 0 };
    this.isWhole = false; // whether all older entries are loaded
  }

  /** Keep what there is now to be shown, or let it go. */
  freeze(isFrozen) {
    this.frozen = isFrozen ? [...this.entries] : null;
  }

  /** The entries and gaps that are shown. */
  get shown() {
    return this.frozen ?? this.entries;
  }

  /** Those that came after a pause. */
  get newer() {
    const last = lastOf(this.shown);
    return this.entries.filter((it) => it.end > last);
  }

  /** The id of the last entry; -1: there is none. */
  get last() {
    return lastOf(this.entries);
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
    if (this.frozen !== null) this.frozen = [...added, ...this.frozen];
    this.count(added, 1);
    return added;
  }

  /** Put the first entries into a gap; what is behind them stays a gap. Return these entries. */
  fill(gap, lines) {
    const found = within(gap, lines);
    const last = found.at(-1)?.id ?? gap.end;
    this.replace(gap, last < gap.end ? [...found, new Gap(last, gap.end - last)] : found);
    return found;
  }

  /** Put entries into the gaps where they are missing; gaps stay before and behind each. */
  insert(lines) {
    const gaps = [...this.entries, ...this.frozen ?? []].filter((it) => it instanceof Gap);
    for (const gap of new Set(gaps)) {
      const items = [];
      let after = gap.after;
      for (const entry of within(gap, lines)) {
        if (entry.id - 1 > after) items.push(new Gap(after, entry.id - 1 - after));
        items.push(entry);
        after = entry.id;
      }
      if (!items.length) continue;
      if (after < gap.end) items.push(new Gap(after, gap.end - after));
      this.replace(gap, items);
    }
  }

  // A gap may be among the entries, among those of a pause, or both.
  replace(gap, items) {
    for (const list of [this.entries, this.frozen ?? []]) {
      const place = list.indexOf(gap);
      if (place < 0) continue;
      list.splice(place, 1, ...items);
      if (list === this.entries) this.count(items, 1);
    }
  }

  /** Drop what was before the entry with the number *first*, unless it is shown in a pause. */
  forget(first) {
    const dropped = this.entries.findIndex((it) => it.end >= first);
    this.count(this.entries.splice(0, dropped < 0 ? this.entries.length : dropped), -1);
    this.isWhole = true;
  }

  /** Drop the oldest that are too many; return how many entries and gaps were dropped. */
  trim() {
    const surplus = Math.max(0, this.entries.length - MOST);
    if (surplus) this.count(this.entries.splice(0, surplus), -1);
    return surplus;
  }

  count(items, sign) {
    for (const item of items) {
      for (const flag of FLAGS) if (item[flag]) this.counts[flag] += sign;
    }
  }
}

const lastOf = (items) => items.at(-1)?.end ?? -1;

/** Return how many entries are in the gaps among *items*. */
export const skippedIn = (items) => items.reduce((sum, it) => sum + (it instanceof Gap ? it.skipped : 0), 0);

/** Return how many of *items* are entries. */
export const entriesIn = (items) => items.reduce((sum, it) => sum + (it instanceof Gap ? 0 : 1), 0);

/** Return the entries of *lines* that are missing in *gap*. */
function within(gap, lines) {
  return lines.filter((line) => line.id > gap.after && line.id <= gap.end).map((line) => new Entry(line));
}
