// Why no rule answered, in the words of `reqresp explain`, with the first byte that differs marked.

import { copyButton, h } from "./dom.js";
import { plain } from "./notation.js";

// As reqresp/script/near_misses.py writes lines that compare: a word, bytes in hex, and text in bars.
const WORD = 5;
const BEFORE = 4; // bytes before the first one that differs

/**
 * Return the section about a miss.
 *
 * @param why the lines that explain it; those that compare bytes are indented.
 * @param near the nearest rules, the last that *why* speaks of.
 * @param explain the whole text of `reqresp explain`.
 * @param columns how many bytes a line has at most; the text that is copied has all.
 */
export function whyNot(why, near, explain, columns) {
  const groups = [];
  for (const line of why) {
    if (line.startsWith(" ")) groups.at(-1).push(line.trimStart());
    else groups.push([line]);
  }
  const first = groups.length - near.length;
  return h("div", { className: "why" },
    h("div", { className: "sect" }, h("h3", { className: "grow miss" }, "No rule fits."),
      explain ? copyButton(() => explain, "btn quiet", { title: "The text of reqresp explain" }) : null),
    groups.map(([head, ...lines], i) => h("div", { className: "near mono", tabIndex: 0, role: "group", "aria-label": plain(head) },
      h("p", {}, plain(head)), lines.map((line) => compared(line, Math.min(BEFORE, near[i - first].at), columns)))));
}

function compared(line, place, columns) {
  const hex = WORD + 3 * place;
  const text = line.indexOf("|") + 1;
  const hexEnd = Math.min(text - 1, WORD + 3 * columns);
  const end = Math.min(line.length - 1, text + columns);
  const isEnd = text + place === line.length - 1; // it ends where the other goes on
  const part = (className, from, to) => h("span", { className }, line.slice(from, to));
  return h("div", {}, part("same", 0, hex), part("diff", hex, hex + 2), part("", hex + 2, hexEnd),
    part("same", text - 1, text + place), part(isEnd ? "" : "diff", text + place, text + place + 1),
    part("", text + place + 1, end), isEnd ? null : "|");
}
