// The search field and the chips. It must not know how entries are filtered.

import { $, fill, h, later } from "./dom.js";
import { MODES } from "./filter.js";

const CHIPS = [["isMiss", "Misses", "miss"], ["isFault", "Faults", "fault"], ["isError", "Errors", "error"]];
const PAUSE = 80; // milliseconds after the last key until a search begins
const HINTS = { text: "Search requests and replies", hex: "Search bytes, such as 0d 0a", regex: "Search a regular expression" };

export class FiltersPane {
  /**
   * @param changed called when other entries are to be shown.
   * @param searched called when something else is searched for.
   */
  constructor(filter, changed, searched) {
    this.filter = filter;
    this.changed = changed;
    this.searched = searched;
    this.input = $("search");
    this.mode = $("mode");
    fill(this.mode, MODES.map((mode) => h("option", {}, mode)));
    this.chips = CHIPS.map(([flag, word, tone]) => {
      const count = h("b", {});
      const button = h("button", { className: "btn chip num", type: "button", on: () => this.toggle(flag) }, word, " ", count);
      return { flag, tone, count, button };
    });
    this.others = h("span", { className: "bar others" });
    fill($("chips"), this.chips.map((it) => it.button), this.others);
    const search = later(PAUSE, () => this.search());
    this.input.addEventListener("input", search);
    this.mode.addEventListener("change", () => this.search());
  }

  search() {
    this.filter.search(this.input.value, this.mode.value);
    this.searched();
  }

  toggle(flag) {
    const { flags } = this.filter;
    if (!flags.delete(flag)) flags.add(flag);
    this.changed();
  }

  /** Show all entries. */
  clear() {
    this.filter.clear();
    this.input.value = "";
    this.mode.value = MODES[0];
    this.searched();
  }

  /** Show the filter, and how many entries of each kind there are. */
  draw(counts) {
    this.input.placeholder = HINTS[this.mode.value];
    this.input.setAttribute("aria-invalid", String(this.filter.problem !== ""));
    for (const { flag, tone, count, button } of this.chips) {
      button.setAttribute("aria-pressed", String(this.filter.flags.has(flag)));
      count.textContent = counts[flag].toLocaleString("en");
      count.className = counts[flag] ? tone : "";
    }
    const { connection, by } = this.filter;
    const others = [["connection", connection === null ? null : `#${connection}`], ["by", by]].filter(([, word]) => word !== null);
    const words = others.map(([, word]) => word).join("\n");
    if (words === this.words) return;
    this.words = words;
    fill(this.others, others.map(([name, word]) => h("button", {
      className: "btn chip mono", type: "button", "aria-pressed": "true", "aria-label": `Remove the filter ${word}`,
      on: () => { this.filter[name] = null; this.changed(); },
    }, `${word} ×`)));
  }
}
