// Which entries are shown, and where in their bytes they fit a search. It must not know elements.

import { binary, fromHex, fromPayload, hex, utf8 } from "./notation.js";

export const MODES = ["text", "hex", "regex"];

/** What stands before a regular expression on the server: case is ignored, and a point is any byte. */
export const FLAGS = "(?is)";

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
    return this.flags.size > 0 || this.connection !== null || this.by !== null || this.query !== null;
  }

  /** Whether something is searched for, and can be. */
  get isSearching() {
    return this.query !== null && this.problem === "";
  }

  /** Search for *query* in the way *mode*; what is wrong with it is in `problem`. */
  search(query, mode) {
    this.query = null; // the same search, as the API has it; null: there is none
    this.found = new Map(); // what the server has found, by the id of the entry: the texts that fit
    this.refused = ""; // why the server does not search
    this.problem = "";
    this.pattern = null; // null: only the server searches
    if (query === "") return;
    this.query = { [mode]: query };
    // A pattern can take a browser for ever; RE2, which the server has, takes linear time.
    if (mode === "regex") this.query = { regex: FLAGS + query };
    else this.pattern = pattern(query, mode);
    if (mode === "hex" && this.pattern === null) this.problem = "expected pairs of hex digits, such as 0d 0a";
  }

  /** Keep what the server has found: entries, as the API writes them. */
  keep(lines) {
    for (const { id, matches = [] } of lines) this.found.set(id, matches.map((it) => binary(fromPayload(it))));
  }

  /** Return whether *entry* is shown. */
  fits(entry) {
    if (this.problem) return false;
    if (this.flags.size && ![...this.flags].some((flag) => entry[flag])) return false;
    if (this.connection !== null && entry.connection !== this.connection) return false;
    if (this.by !== null && entry.by !== this.by) return false;
    if (this.query === null || this.found.has(entry.id)) return true;
    return this.pattern !== null && entry.searched.some((text) => this.finds(text));
  }

  finds(text) {
    this.pattern.lastIndex = 0;
    return this.pattern.test(text);
  }

  /** Return the places, `[start, end]`, that fit the search in *data* of the entry with this id. */
  marks(data, id) {
    if (!this.isSearching || data === null) return [];
    const text = binary(data);
    if (this.pattern === null) return (this.found.get(id) ?? []).flatMap((it) => placesOf(it, text));
    const found = [];
    for (const match of text.matchAll(this.pattern)) {
      found.push([match.index, match.index + match[0].length]);
      if (found.length >= MOST_MARKS) break;
    }
    return found;
  }
}

function placesOf(part, text) {
  const found = [];
  for (let at = text.indexOf(part); at >= 0 && found.length < MOST_MARKS; at = text.indexOf(part, at + part.length)) {
    found.push([at, at + part.length]);
  }
  return found;
}

// A pattern for texts with one character for each byte; null: *query* is not what *mode* says.
function pattern(query, mode) {
  const data = mode === "hex" ? fromHex(query) : utf8(query);
  if (data === null) return null;
  return new RegExp(Array.from(data, mode === "hex" ? literal : inEitherCase).join(""), "g");
}

const literal = (byte) => `\\x${hex(byte)}`;
// As the server: of ASCII letters alone.
const inEitherCase = (byte) => (/[a-z]/i.test(String.fromCharCode(byte)) ? `[${literal(byte)}${literal(byte ^ 0x20)}]` : literal(byte));
