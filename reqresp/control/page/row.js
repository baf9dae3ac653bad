// One row of the list: a request over its reply, or one line. It must not know the list.

import { h, svg } from "./dom.js";
import { Gap } from "./entry.js";
import { clock, counted, pieces } from "./notation.js";

const MOST_BYTES = 200; // of one line
const MOST_FRAMES = 20; // of one reply
const LINE = 19; // pixels, as in style.css
const PADDING = 7;
const SLOW = 5; // milliseconds from which a bar shows how long a reply took
const BAR = 36; // pixels; full at ten seconds
/** What stands in place of a reply that did not come: the journal has such requests when they end. */
export const NO_REPLY = "no reply before the connection ended";

/** How rows are laid out, by the width of the list; as in style.css. */
export const layout = (width) => (width >= 1000 ? "wide" : width <= 440 ? "narrow" : "medium");

const LINES = {
  wide: () => 1,
  medium: (item) => (item.isExchange ? 2 : 1),
  narrow: (item) => (item.isExchange ? 3 : isNote(item) ? 1 : 2),
};

/** Return the height of a row in pixels. */
export const rowHeight = (item, width) => LINE * LINES[layout(width)](item) + PADDING;

/**
 * Return *data* as nodes of text, with escapes dimmed and the places in *marks* marked.
 *
 * @param decorate called with the node and the piece of each character or escape, if it is given.
 */
export function bytes(data, marks = [], decorate = null) {
  const found = [];
  let run = "";
  let isMarked = false;
  const end = () => {
    if (run) found.push(isMarked ? h("mark", {}, run) : document.createTextNode(run));
    run = "";
  };
  for (const piece of pieces(data)) {
    const marked = marks.some(([from, to]) => piece.at < to && piece.at + piece.size > from);
    if (piece.isEscape || decorate) {
      end();
      const node = h(marked ? "mark" : "span", { className: piece.isEscape ? "e" : "" }, piece.text);
      decorate?.(node, piece);
      found.push(node);
      continue;
    }
    if (marked !== isMarked) end();
    isMarked = marked;
    run += piece.text;
  }
  end();
  return found;
}

/** Return a payload, `{ data, size, marks }`, as `bytes` does, shortened to one line. */
export const line = (payload) => [...beginning(payload), ...leftOut([payload])];

function beginning({ data, size, marks = [] }) {
  return size === 0 ? [words("no bytes", "soft")] : bytes(data.subarray(0, MOST_BYTES), marks);
}

// How many bytes of these payloads are not shown, as nodes: marked, if something marked is among them.
function leftOut(payloads) {
  const sum = (numbers) => numbers.reduce((total, it) => total + it, 0);
  const shown = sum(payloads.map((it) => Math.min(it.data.length, MOST_BYTES)));
  const left = sum(payloads.map((it) => it.size)) - shown;
  if (!left) return [];
  const isMarked = payloads.some(({ marks = [] }) => marks.some(([from]) => from >= MOST_BYTES));
  return [h(isMarked ? "mark" : "span", { className: isMarked ? "" : "dim" }, ` … ${counted(left, shown ? "more byte" : "byte")}`)];
}

/** Return the element of a row; `filter` says what is marked. */
export function renderRow(item, filter, selected, isNew) {
  if (item instanceof Gap) return gapRow(item, selected);
  const time = clock(item.at);
  const { word, tone } = item.outcome;
  const cells = item.isExchange ? exchange(item, filter) : one(item, filter);
  return h("div", {
    className: ["row", ...rowClasses(item), isNew ? "new" : ""].join(" "), id: `row-${item.id}`, role: "option",
    "aria-selected": String(item.id === selected), "data-key": String(item.id),
  },
  h("span", { className: "t" }, h("span", { className: "hh" }, time.slice(0, 3)), time.slice(3)),
  h("span", { className: "c" }, item.connection === null ? "" : `#${item.connection}`),
  cells,
  h("span", { className: `r ${tone}`, title: word }, word));
}

function rowClasses(item) {
  const classes = [];
  if (isNote(item)) classes.push("note");
  if (!item.isExchange) classes.push("one");
  if (!item.isExchange && !item.outcome.word) classes.push("bare");
  if (item.isMiss) classes.push("is-miss");
  else if (item.isError) classes.push("is-error");
  else if (item.isFault) classes.push("is-fault");
  return classes;
}

function gapRow(gap, selected) {
  return h("div", {
    className: "row note one gap", id: `row-${gap.id}`, role: "option", "aria-selected": String(gap.id === selected),
    "data-key": gap.id, title: "They came faster than a page can show. Click to load them.",
  }, h("span", { className: "t" }), h("span", { className: "c" }), h("span", { className: "a a1" }, "⋮"),
  h("span", { className: "b" }, `${counted(gap.skipped, "entry", "entries")} skipped; click to load`), h("span", { className: "r" }));
}

function one(item, filter) {
  const [arrow, tone, payload] = item.request !== null ? ["→", "up", item.request] : ["←", "down", item.reply];
  if (isNote(item)) return [arrowCell("a1", "", tone), h("span", { className: "b" }, item.note)];
  return [arrowCell("a1", arrow, tone), payloadCell("b", marked(payload, item, filter))];
}

function exchange(item, filter) {
  const isCut = item.event === "incomplete";
  return [
    arrowCell("a1", "→", "up"),
    payloadCell("b", marked(item.request, item, filter)),
    isCut ? arrowCell("a2", "×", "error") : arrowCell("a2", item.event === "answered" ? "←" : "", "down"),
    isCut ? h("span", { className: "b b2" }, words(item.data.missing, "error")) : replyCell(item, filter),
    h("span", { className: "r r2" }, took(item)),
  ];
}

// What answered: its frames, and the words of steps that send nothing.
function replyCell(item, filter) {
  if (item.event !== "answered") return h("span", { className: "b b2" }, words(NO_REPLY, "soft"));
  const frames = item.frames.slice(0, MOST_FRAMES).map((it) => marked(it, item, filter));
  const present = frames.filter((it) => it.data.length || it.size === 0); // of a long reply, others have only a size
  const shown = present.flatMap((frame, i) => [i ? h("span", { className: "dim" }, " · ") : null, ...beginning(frame)]);
  const rest = leftOut(frames);
  const left = item.frames.length - frames.length;
  if (left > 0) rest.push(words(rest.length ? `, ${counted(left, "frame")}` : ` · … ${counted(left, "more frame")}`, "dim"));
  const ending = item.endings.length ? [words(`${frames.length ? " " : ""}${item.endings.join(", ")}`, "soft")] : [];
  if (!shown.length && !rest.length && !ending.length) shown.push(words("the reply is silence", "soft"));
  return cell("b b2", shown, rest, ending);
}

const payloadCell = (place, payload) => cell(place, beginning(payload), leftOut([payload]));

// Where there is no room, what is shown is cut off first, then what is said of the rest, but not how it ends.
function cell(place, shown, rest, ending = []) {
  if (!rest.length && !ending.length) return h("span", { className: place }, shown);
  const part = (className, kids) => h("span", { className }, kids);
  return part(place, [part("run", shown), part("rest", [part("run", rest), part("ending", ending)])]);
}

/** Return how long a reply took, with the share of faults. */
function took(item) {
  if (item.took === null) return [];
  const tags = item.faults.length ? [h("span", { className: "fault tag" }, item.faults.join(" "))] : [];
  if (item.took < SLOW) return [...tags, " ", item.tookText];
  const width = BAR * Math.min(1, Math.log10(item.took) / 4);
  const part = width * item.faultShare;
  return [...tags, svg("svg", { class: "bars", viewBox: `0 0 ${BAR} 5`, "aria-hidden": "true" },
    svg("rect", { x: BAR - width, width, height: 5 }),
    svg("rect", { class: "part", x: BAR - part, width: part, height: 5 })), item.tookText.padStart(7)];
}

const marked = (payload, item, filter) => ({ ...payload, marks: filter.marks(payload.data, item.id) });
const isNote = (item) => item instanceof Gap || item.isNote;
const words = (text, tone) => h("span", { className: tone }, text);
const arrowCell = (place, arrow, tone) => h("span", { className: `a ${place} ${tone}` }, arrow);
