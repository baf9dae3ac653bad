// The rules that a request nearly matches, and the first byte that differs.

import { copyButton, h } from "./dom.js";
import { fromPayload, hex, plain } from "./notation.js";

// As reqresp/script/near_misses.py shows them.
const BEFORE = 4;
const SHOWN = 16;

/** Return the section about *near*; *explain* is the text of `reqresp explain`. */
export function nearMisses(near, request, explain, columns) {
  const title = near.length === 0 ? "No rule fits." : near.length === 1 ? "No rule fits. The nearest:"
    : `No rule fits. The ${near.length === 2 ? "two" : "three"} nearest:`;
  return h("div", { className: "why" },
    h("div", { className: "sect" }, h("h3", { className: "grow miss" }, title),
      explain ? copyButton(() => explain, "btn quiet", { title: "The text of reqresp explain" }) : null),
    near.map((it) => one(it, request, Math.min(SHOWN, columns))));
}

function one(it, request, shown) {
  const place = it.line == null ? "" : `, line ${it.line}`;
  const at = plain(it.difference ?? `byte ${it.at}`); // of JSON, the pointer and both values
  return h("div", { className: "near mono", tabIndex: 0, role: "group", "aria-label": `Compared with ${plain(it.rule)}` },
    h("p", {}, h("code", {}, plain(it.rule)), ` ${it.kind}${place}, differs at ${at}`),
    it.difference ? null : [
      compared("want", fromPayload(it.wanted), it.at, shown), compared("got", request, it.at, shown)]);
}

function compared(label, data, at, shown) {
  const from = Math.max(0, at - BEFORE);
  const cells = [...data.subarray(from, from + shown)];
  if (cells.length <= at - from) cells.push(null); // it ends where the other goes on
  const tone = (i) => (from + i < at ? "same" : from + i === at ? "diff" : "");
  const text = (byte) => (byte === null ? " " : byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".");
  return [
    h("span", { className: "dim" }, label),
    h("span", {}, cells.flatMap((byte, i) => [h("span", { className: tone(i) }, byte === null ? "--" : hex(byte)), " "])),
    h("span", {}, cells.map((byte, i) => h("span", { className: tone(i) }, text(byte)))),
  ];
}
