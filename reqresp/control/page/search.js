// A search in the server's journal: it has what the page has not, such as entries that were skipped
// and the ends of long payloads. It must not know elements.

import { get, servicePath } from "./api.js";
import { Gap } from "./entry.js";

const PAGE = 1000; // hits that are asked for at once
const MOST_PAGES = 10;
const AGAIN = 1000; // milliseconds until what came meanwhile is searched, too

export class Search {
  /**
   * @param store the entries that the page has; those that are found are added.
   * @param filter has what is searched for, and gets what is found.
   * @param told functions: `found()`, `failed(error)`.
   */
  constructor(store, filter, told) {
    this.store = store;
    this.filter = filter;
    this.told = told;
    this.running = new AbortController();
    this.searched = null; // the number of the entry before which the server has searched
  }

  /** What is searched, in words; empty: nothing is. */
  get scope() {
    const { filter } = this;
    if (filter.pattern === null) return "";
    if (!this.isNeeded) return "searched: all entries";
    if (filter.refused) return `searched: loaded entries alone; ${filter.refused}`;
    return this.searched === null ? "searching the server" : "searched: all entries, on the server";
  }

  /** Whether the page alone cannot find everything. */
  get isNeeded() {
    return !this.store.isWhole || this.store.entries.some((it) => it instanceof Gap || it.cut > 0);
  }

  /** Search from the beginning, in the journal of the service with this name. */
  start(service) {
    this.stop();
    this.service = service;
    if (service !== null && this.filter.pattern !== null && this.isNeeded) this.run(null, this.running.signal);
  }

  /** Search in what has come since. */
  goOn() {
    if (this.searched === null || this.timer || this.filter.pattern === null) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.run(this.searched - 1, this.running.signal);
    }, AGAIN);
  }

  stop() {
    this.running.abort();
    this.running = new AbortController();
    clearTimeout(this.timer);
    this.timer = null;
    this.searched = null;
  }

  async run(after, signal) {
    const query = new URLSearchParams({ ...this.filter.query, limit: PAGE });
    if (after !== null) query.set("after", after);
    try {
      let next = null;
      for (let page = 0; page < MOST_PAGES; page += 1) {
        const answer = await get(servicePath(this.service, `/entries?${query}`), signal);
        next ??= answer.next;
        this.store.insert(answer.entries);
        for (const { id } of answer.entries) this.filter.found.add(id);
        if (answer.entries.length < PAGE) break;
        if (after === null) query.set("before", answer.entries[0].id);
        else query.set("after", answer.entries.at(-1).id);
      }
      this.searched = next;
    } catch (error) {
      if (signal.aborted) return;
      if (error.status !== 422 && error.status !== 400) this.told.failed(error);
      this.filter.refused = error.message;
    }
    if (!signal.aborted) this.told.found();
  }
}
