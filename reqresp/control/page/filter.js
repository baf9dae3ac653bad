// Which entries are shown, and where in their bytes they fit a search. It must not know elements.

import { binary, fromHex, plain, utf8 } from "./notation.js";

export const MODES = ["text", "hex", "regex"];

const MOST_MARKS = 200; // of one text

export class Filter {
  constructor() {
    this.clear();
  }

  clear() {
    this.flags = new Set(); // of isMiss, isFault, isError
    this.connection = null;
    this.by = null;
    this.search("", "text");
  }

  get isActive() {
    return this.flags.size > 0 || this.connection !== null || this.by !== null || this.pattern !== null
      || this.problem !== "";
  }

  /** Search for *query* in the way *mode*; what is wrong with it is in `problem`. */
  search(query, mode) {
    this.query = {}; // the same search, as the API has it
    this.found = new Set(); // the ids of entries that the server has found
    this.refused = ""; // why the server does not search
    this.problem = "";
    this.pattern = null;
    if (query === "") return;
    this.query = { [mode]: mode === "regex" ? `(?is)${query}` : query };
    try {
      this.pattern = pattern(query, mode);
    } catch (error) {
      this.problem = plain(error.message);
    }
  }

  /** Return whether *entry* is shown. */
  fits(entry) {
    if (this.problem) return false;
    if (this.flags.size && ![...this.flags].some((flag) => entry[flag])) return false;
    if (this.connection !== null && entry.connection !== this.connection) return false;
    if (this.by !== null && entry.by !== this.by) return false;
    if (this.pattern === null) return true;
    return this.found.has(entry.id) || entry.searched.some((text) => this.finds(text));
  }

  finds(text) {
    this.pattern.lastIndex = 0;
    return this.pattern.test(text);
  }

  /** Return the places, `[start, end]`, that fit the search in *data*. */
  marks(data) {
    if (this.pattern === null || data === null) return [];
    const found = [];
    for (const match of binary(data).matchAll(this.pattern)) {
      if (match[0].length) found.push([match.index, match.index + match[0].length]);
      if (found.length >= MOST_MARKS) break;
    }
    return found;
  }
}

// A pattern for texts with one character for each byte, as patterns of scripts match bytes.
function pattern(query, mode) {
  if (mode === "regex") return new RegExp(binary(utf8(query)), "gis");
  const data = mode === "hex" ? fromHex(query) : utf8(query);
  if (data === null) throw new Error("expected pairs of hex digits, such as 0d 0a");
  const literal = Array.from(data, (byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
  return new RegExp(literal, mode === "hex" ? "g" : "gi");
}
