// Bytes as text and in hex, with their offsets. It must not know what they mean.

import { h } from "./dom.js";
import { counted, hex } from "./notation.js";
import { bytes } from "./row.js";

const ROWS = 16; // that are shown at first
const MORE = 16; // times as many, each time that more is wanted
const MOST_TEXT = 4096; // bytes of text that are shown at first
const MOST_MORE = 1 << 16; // bytes that are added at once, since each is an element

/**
 * Return how *data* is shown in *view*: text, hex or both.
 *
 * @param ends where slices end, other than the last one; slices alternate their tint.
 * @param marks the places that fit the search.
 * @param columns how many bytes a row of hex has.
 */
export function dump(data, view, { ends = [], marks = [], columns = 16 } = {}) {
  return [
    view === "hex" ? null : textDump(data, ends, marks),
    view === "text" ? null : hexDump(data, ends, marks, columns),
  ];
}

const isOdd = (ends, at) => ends.filter((end) => end <= at).length % 2 === 1;
const isMarked = (marks, at) => marks.some(([from, to]) => from <= at && at < to);

function hexDump(data, ends, marks, columns) {
  const box = h("div", { className: "dump mono", tabIndex: 0, role: "group", "aria-label": "Bytes in hex" });
  const grow = (from, size) => {
    const end = Math.min(data.length, size);
    for (let at = from; at < end; at += columns) box.append(hexRow(data, at, ends, marks, columns));
    if (end < data.length) box.append(more(data.length - end, () => grow(end, grown(size))));
  };
  grow(0, ROWS * columns);
  return box;
}

function hexRow(data, from, ends, marks, columns) {
  const left = [];
  const right = [];
  const row = data.subarray(from, from + columns);
  row.forEach((byte, i) => {
    const at = from + i;
    const isPlain = byte >= 32 && byte < 127;
    const classes = [isPlain ? "" : "z", isOdd(ends, at) ? "odd" : "", isMarked(marks, at) ? "found" : ""];
    const cell = (text) => h("i", { className: classes.join(" ").trim(), "data-i": at }, text);
    left.push(cell(hex(byte)), i === 7 && columns === 16 ? "  " : " ");
    right.push(cell(isPlain ? String.fromCharCode(byte) : "·"));
  });
  const gap = columns === 16 && row.length < 8 ? 1 : 0;
  const blank = " ".repeat((columns - row.length) * 3 + gap + 1);
  return h("div", {}, h("span", { className: "o" }, from.toString(16).padStart(4, "0")), left, blank, right);
}

function textDump(data, ends, marks) {
  const box = h("div", { className: "dump text mono", role: "group", "aria-label": "Bytes as text" });
  const grow = (from, size) => {
    let at = from;
    const end = Math.min(data.length, size);
    while (at < end) {
      const next = data.indexOf(10, at) + 1 || data.length;
      const stop = Math.min(next, Math.max(end, at + 1));
      box.append(textLine(data, at, stop, ends, marks));
      at = stop;
    }
    if (at < data.length) box.append(more(data.length - at, () => grow(at, grown(size))));
  };
  grow(0, MOST_TEXT);
  return box;
}

function textLine(data, from, to, ends, marks) {
  const moved = marks.map(([start, end]) => [start - from, end - from]);
  const decorate = (node, { at, size }) => {
    node.dataset.i = from + at;
    if (size > 1) node.dataset.size = size;
    if (isOdd(ends, from + at)) node.classList.add("odd");
  };
  return h("div", {}, h("span", { className: "o" }, String(from)), h("span", { className: "b" }, bytes(data.subarray(from, to), moved, decorate)));
}

const grown = (size) => size + Math.min(size * (MORE - 1), MOST_MORE);

function more(left, grow) {
  const button = h("button", { className: "link", type: "button", on: () => { button.remove(); grow(); } },
    `Show more; ${counted(left, "byte")} left`);
  return button;
}

/** Mark, in all that *box* shows, the byte that the pointer is on, wherever its offset is shown. */
export function markHovered(box) {
  const unmark = () => {
    for (const it of box.querySelectorAll(".hit")) it.classList.remove("hit", "other");
  };
  box.addEventListener("mouseover", (event) => {
    unmark();
    const { i, size } = event.target.dataset ?? {};
    if (i === undefined) return;
    const side = event.target.closest(".side");
    for (let at = Number(i); at < Number(i) + Number(size ?? 1); at += 1) {
      for (const it of covering(box, at)) {
        it.classList.add("hit");
        it.classList.toggle("other", it.closest(".side") !== side);
      }
    }
  });
  box.addEventListener("mouseleave", unmark);
}

// A character of several bytes covers the offsets of all of them.
function covering(box, at) {
  const found = [...box.querySelectorAll(`[data-i="${at}"]`)];
  for (let before = 1; before < 4; before += 1) {
    for (const it of box.querySelectorAll(`[data-i="${at - before}"][data-size]`)) {
      if (Number(it.dataset.size) > before) found.push(it);
    }
  }
  return found;
}
