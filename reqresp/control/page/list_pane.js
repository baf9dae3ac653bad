// The list of entries: following, pausing, selecting. It must not know where entries come from.

import { $, fill, h, key } from "./dom.js";
import { Gap } from "./entry.js";
import { counted } from "./notation.js";
import { MOST, entriesIn, skippedIn } from "./store.js";
import { layout, renderRow, rowHeight } from "./row.js";
import { VirtualList } from "./virtual_list.js";

const MOST_IN_VIEW = 2 * MOST; // rows, where the first ones stay because they are in view

export class ListPane {
  /**
   * @param store the entries of the service.
   * @param filter which of them are shown.
   * @param search what is searched besides them.
   * @param told functions: `selected(entry, isOpened)`, `gap(gap)`.
   */
  constructor(store, filter, search, told) {
    this.store = store;
    this.filter = filter;
    this.search = search;
    this.told = told;
    this.selected = null; // the id
    this.isFollowing = true;
    this.waiting = 0;
    this.newest = -1; // rows after this one arrive, and are shown so
    this.box = $("rows");
    this.width = this.box.clientWidth;
    this.list = new VirtualList(this.box, {
      key: (item) => item.id,
      height: (item) => rowHeight(item, this.width),
      render: (item) => renderRow(item, this.filter, this.selected, item.id > this.newest),
    });
    this.box.addEventListener("click", (event) => this.clicked(event));
    this.box.addEventListener("scroll", () => { this.isFollowing = this.list.isAtEnd; this.drawFoot(); });
    new ResizeObserver(() => this.resized()).observe(this.box);
    this.drawPause();
  }

  get isPaused() {
    return this.store.frozen !== null;
  }

  get items() {
    return this.list.items;
  }

  /** Show what fits the filter, from the beginning. */
  draw() {
    const wasFollowing = this.isFollowing && !this.isPaused;
    this.list.reset(this.store.shown.filter((it) => this.shows(it)));
    this.waiting = this.isPaused ? this.size(this.store.newer) : 0;
    this.drawPause();
    this.toggle();
    if (wasFollowing) this.follow();
    else if (this.place >= 0) this.list.reveal(this.place, true);
    this.announce();
    this.drawFoot();
  }

  /** Show entries that were added to the store, unless the list is paused. */
  append(added, dropped) {
    if (this.isPaused) {
      this.waiting += this.size(added);
      this.drawPause();
      return;
    }
    const fitting = added.filter((it) => this.shows(it));
    this.newest = Math.max(this.newest, this.store.last - added.length);
    this.list.append(fitting);
    if (dropped) this.dropBefore(this.store.entries[0]);
    this.toggle();
    if (this.isFollowing) this.list.toEnd();
    else this.list.update();
    this.drawFoot();
  }

  /** Show older entries that were added to the store. */
  prepend(added) {
    const wasFollowing = this.isFollowing;
    this.list.prepend(added.filter((it) => this.shows(it)));
    this.toggle();
    if (wasFollowing && !this.isPaused) this.follow();
    this.drawFoot();
  }

  /** Show what was put into a gap, without moving what is before it. */
  filled() {
    const { scrollTop } = this.box;
    this.isFollowing = false;
    this.draw();
    this.box.scrollTop = scrollTop;
    this.list.update();
  }

  pause(isPaused = !this.isPaused) {
    if (isPaused === this.isPaused) return;
    this.store.freeze(isPaused);
    this.waiting = 0;
    this.drawPause();
    if (!isPaused) {
      this.isFollowing = true;
      this.draw();
    }
    this.drawFoot();
  }

  /** Scroll to the newest entry, and stay there. */
  follow() {
    this.isFollowing = true;
    this.list.toEnd();
  }

  /**
   * Select the entry with this id; null: none.
   *
   * @param other the entry itself, in case that it is not in the list.
   */
  select(id, isOpened = false, other = null) {
    const before = this.selected;
    this.selected = id;
    this.list.kept = id;
    for (const it of [before, id]) {
      this.list.rows.get(it)?.setAttribute("aria-selected", String(it === id));
    }
    const { place } = this;
    if (place >= 0) {
      this.list.reveal(place);
      this.list.update();
    }
    this.announce();
    this.told.selected(place >= 0 ? this.items[place] : other, isOpened);
  }

  /** Select the entry *by* places further. */
  step(by) {
    const { items, place } = this;
    if (!items.length) return;
    const next = place < 0 ? items.length - 1 : Math.max(0, Math.min(items.length - 1, place + by));
    this.select(items[next].id);
  }

  /** Select the next miss after the selected entry, or the first one. */
  nextMiss() {
    const { items, place } = this;
    const next = items.find((it, i) => it.isMiss && i > place) ?? items.find((it) => it.isMiss);
    if (next) this.select(next.id);
  }

  get place() {
    return this.selected === null ? -1 : this.list.find(this.selected);
  }

  shows(item) {
    return item instanceof Gap ? !this.filter.isActive : this.filter.fits(item);
  }

  /** Return how many entries *items* stand for, of those that are shown. */
  size(items) {
    const fitting = items.filter((it) => this.shows(it));
    return entriesIn(fitting) + skippedIn(fitting);
  }

  /** Drop what is before the entry *first*; what the reader has scrolled up to stays. */
  dropBefore(first) {
    const kept = this.items.findIndex((it) => it.end >= first.end);
    const gone = kept < 0 ? this.items.length : kept;
    const surplus = Math.max(0, this.items.length - MOST_IN_VIEW);
    this.list.drop(this.isFollowing ? gone : Math.min(gone, Math.max(surplus, this.list.firstInView)));
  }

  clicked(event) {
    const row = event.target.closest(".row");
    if (row === null) return;
    const item = this.items.find((it) => String(it.id) === row.dataset.key);
    if (item instanceof Gap) this.told.gap(item);
    else if (item !== undefined) this.select(item.id, true);
  }

  resized() {
    const width = this.box.clientWidth;
    if (!width) return;
    const hasChanged = layout(width) !== layout(this.width);
    this.width = width;
    if (hasChanged) this.list.measure();
    if (this.isFollowing && !this.isPaused) this.list.toEnd();
    else this.list.update();
  }

  toggle() {
    const isEmpty = this.items.length === 0;
    this.box.hidden = isEmpty;
    $("empty").hidden = !isEmpty;
  }

  announce() {
    if (this.place >= 0) this.box.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  drawPause() {
    const button = $("pause");
    button.setAttribute("aria-pressed", String(this.isPaused));
    if (!this.isPaused) fill(button, "Pause", key("p"));
    else fill(button, h("span", { className: "verb" }, "Resume · "), `${this.waiting.toLocaleString("en")} new`);
  }

  drawFoot() {
    const { shown } = this.store;
    const parts = [counted(entriesIn(this.items), "entry", "entries")];
    if (this.filter.isActive) parts.push(`filtered of ${entriesIn(shown).toLocaleString("en")}`);
    if (this.search.scope) parts.push(this.search.scope);
    parts.push(`${skippedIn(shown).toLocaleString("en")} skipped`);
    parts.push(this.isPaused ? "paused" : this.isFollowing ? "following" : "scrolled up");
    const text = parts.join(" · ");
    if ($("count").textContent === text) return;
    $("count").textContent = $("count").title = text;
  }
}
