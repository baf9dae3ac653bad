// What one connection has sent and received, around one entry. The server is asked for it: the list may
// lack some, since it skips entries in a flood and shows a part of them. It must not know the list.

import { get, servicePath } from "./api.js";
import { h, keepFocus } from "./dom.js";
import { Entry } from "./entry.js";
import { counted } from "./notation.js";
import { NO_REPLY, line } from "./row.js";

const MOST = 20; // entries before the chosen one, and after it
const SLOW = 5; // milliseconds from which a wait is shown
const FRAMES = 12; // of one reply

export class Conversation {
  /**
   * @param entry the chosen one, of a connection of the service with the name *service*.
   * @param signal aborts what is asked for.
   * @param told functions: `choose(entry)`, `failed(error)`.
   */
  constructor(service, entry, signal, told) {
    this.path = servicePath(service, "/entries");
    this.entry = entry;
    this.signal = signal;
    this.told = told;
    this.before = [];
    this.after = [];
    this.next = entry.id + 1; // the number of the first entry that was not looked at
    this.isLoading = false;
    this.isStale = false; // whether more may have come since it was asked for
    this.element = h("div", { className: "talk" });
    this.draw();
  }

  /** Show what was before the entry, and after it. */
  async load() {
    try {
      this.before = (await this.fetch({ before: this.entry.id })).found;
    } catch (error) {
      this.failed(error);
    }
    await this.goOn();
  }

  /** Show what has come since. */
  async goOn() {
    this.isStale = true;
    if (this.isLoading) return;
    this.isLoading = true;
    try {
      while (this.isStale && this.after.length <= MOST) {
        this.isStale = false;
        const { found, position } = await this.fetch({ after: this.next - 1 });
        this.after.push(...found);
        this.next = position;
        this.draw();
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.isLoading = false;
    }
  }

  // One more than is shown says that there are more.
  async fetch(where) {
    const query = new URLSearchParams({ connection: this.entry.connection, limit: MOST + 1, ...where });
    const { entries, position } = await get(`${this.path}?${query}`, this.signal);
    return { found: entries.map((it) => new Entry(it)), position };
  }

  failed(error) {
    if (!this.signal.aborted && error.status !== 404) this.told.failed(error);
  }

  draw() {
    const shown = [...this.before.slice(-MOST), this.entry, ...this.after.slice(0, MOST)];
    const lines = shown.flatMap((it) => linesOf(it, it.at - shown[0].at, it === this.entry)
      .map((cells) => h("div", { className: it === this.entry ? "now" : "", on: () => this.told.choose(it) }, cells)));
    if (this.before.length > MOST) lines.unshift(note("earlier entries are not shown"));
    if (this.after.length > MOST) lines.push(note("later entries are not shown"));
    keepFocus(this.element, () => this.element.replaceChildren(...lines));
  }
}

const note = (text) => h("div", {}, cell("t"), cell(""), h("span", { className: "b dim" }, text), cell("w"));

function linesOf(entry, since, isChosen) {
  const found = [];
  const add = (tone, arrow, body, word = "", wordTone = "") => {
    found.push([found.length ? cell("t") : timeOf(entry, since, isChosen), cell(tone, arrow), h("span", { className: "b" }, body), cell(`w ${wordTone}`, word)]);
  };
  const { word, tone } = entry.outcome;
  if (entry.isNote) {
    add("", "", h("span", { className: entry.isError ? "error" : entry.isFault ? "fault" : "dim" }, entry.note));
    return found;
  }
  if (entry.request !== null) add("up", "→", line(entry.request), word, tone);
  if (entry.took > SLOW) {
    const why = entry.faults.length ? ` ${entry.faults.join(", ")}` : "";
    add("", "", h("span", { className: why ? "fault" : "dim" }, `(${(entry.took / 1000).toFixed(3)} s)${why}`));
  }
  const frames = entry.frames ?? [];
  const most = isChosen ? FRAMES : FRAMES / 3;
  frames.slice(0, most).forEach((frame) => add("down", "←", line(frame), entry.request === null ? word : ""));
  if (frames.length > most) add("", "", h("span", { className: "dim" }, `${counted(frames.length - most, "more frame")}`));
  if (entry.endings.length) add("", "", h("span", { className: "dim" }, entry.endings.join(", ")));
  if (entry.event === "incomplete") add("error", "×", h("span", { className: "error" }, entry.data.missing));
  if (entry.event === "unanswered") add("", "", h("span", { className: "dim" }, NO_REPLY));
  if (entry.event === "answered" && !frames.length && !entry.endings.length) {
    add("", "", h("span", { className: "dim" }, "the reply is silence"));
  }
  return found;
}

// A button, by which keys choose the entry; the rest of the line is text that can be marked.
function timeOf(entry, since, isChosen) {
  const time = since.toFixed(3);
  return h("button", {
    className: "link t num", type: "button", "aria-label": `${time} s: show this entry`, "data-key": `talk-${entry.id}`,
    "aria-current": isChosen ? "true" : null,
  }, time);
}

const cell = (className, text = "") => h("span", { className }, text);
