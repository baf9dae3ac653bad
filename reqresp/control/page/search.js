// A search in the server's journal: it has what the page has not, such as entries that were skipped
// and the ends of long payloads. It must not know elements.

import { get, servicePath } from "./api.js";
import { Gap } from "./entry.js";
import { FLAGS } from "./filter.js";
import { plain } from "./notation.js";

const PAGE = 1000; // hits that are asked for at once
const MOST_PAGES = 10;
const AGAIN = 1000; // milliseconds until what came meanwhile is searched, too

export class Search {
  /**
   * @param store the entries that the page has; those that are found are added.
   * @param filter has what is searched for, and gets what is found.
   * @param told functions: `found()`, when other entries fit; `failed(error)`.
   */
  constructor(store, filter, told) {
    this.store = store;
    this.filter = filter;
    this.told = told;
    this.running = new AbortController();
    this.work = Promise.resolve(); // one run after another
    this.timer = null;
    this.searched = null; // the number of the entry before which the server has searched
  }

  /** What is searched, in words; empty: nothing is. */
  get scope() {
    const { filter } = this;
    if (!filter.isSearching) return "";
    if (!this.isNeeded) return "searched: all entries";
    if (filter.refused) return `searched: loaded entries alone; ${filter.refused}`;
    return this.searched === null ? "searching the server" : "searched: all entries, on the server";
  }

  /** Whether the page alone cannot find everything. */
  get isNeeded() {
    return this.filter.pattern === null || !this.store.isWhole || this.store.entries.some((it) => it instanceof Gap || it.isCut);
  }

  /** Search from the beginning, in the journal of the service with this name. */
  start(service) {
    this.stop();
    this.service = service;
    const isHere = !this.filter.isSearching || this.filter.pattern !== null;
    if (isHere) this.told.found(); // else what is shown stays until the server answers
    if (service !== null && this.filter.isSearching && this.isNeeded) this.work = this.run(this.running.signal);
  }

  /** Search in what has come since. */
  goOn() {
    if (this.timer || !this.filter.isSearching || !this.isNeeded) return;
    const { signal } = this.running;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.work = this.work.then(() => this.run(signal));
    }, AGAIN);
  }

  stop() {
    this.running.abort();
    this.running = new AbortController();
    clearTimeout(this.timer);
    this.timer = null;
    this.searched = null;
    this.work = Promise.resolve();
  }

  async run(signal) {
    if (signal.aborted || !this.filter.isSearching) return;
    const after = this.searched === null ? null : this.searched - 1;
    const query = new URLSearchParams({ ...this.filter.query, limit: PAGE });
    if (after !== null) query.set("after", after);
    try {
      let next = null;
      let count = 0;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const answer = await get(servicePath(this.service, `/entries?${query}`), signal);
        next ??= answer.position;
        this.store.insert(answer.entries);
        this.filter.keep(answer.entries);
        count += answer.entries.length;
        if (answer.entries.length < PAGE) break;
        if (after === null) query.set("before", answer.entries[0].id);
        else query.set("after", answer.entries.at(-1).id);
      }
      this.searched = next;
      this.filter.refused = "";
      if (count === 0 && after !== null) return;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status !== 422) this.told.failed(error);
      if (this.filter.pattern === null) this.filter.problem = plain(error.message).replaceAll(FLAGS, "");
      else this.filter.refused = error.message;
    }
    if (!signal.aborted) this.told.found();
  }
}
