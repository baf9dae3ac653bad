// What one connection has sent and received, around one entry. It must not know the list.

import { h } from "./dom.js";
import { counted } from "./notation.js";
import { NO_REPLY, line } from "./row.js";

const MOST = 40; // entries that are shown around the chosen one
const SLOW = 5; // milliseconds from which a wait is shown
const FRAMES = 12; // of one reply

/** Fill *box* with the conversation of the entry; `choose` is called with the id of a clicked one. */
export function drawConversation(box, store, entry, choose) {
  const { entries, before, after } = store.conversation(entry.connection, entry.id, MOST);
  const start = entries[0]?.at ?? 0;
  const lines = entries.flatMap((it) => linesOf(it, it.at - start, it.id === entry.id)
    .map((cells) => h("div", { className: it.id === entry.id ? "now" : "", on: () => choose(it.id) }, cells)));
  const note = (count, where) => count > 0
    && h("div", {}, cell("t"), cell(""), h("span", { className: "b dim" }, `${counted(count, "entry", "entries")} ${where}`), cell("w"));
  box.replaceChildren(...[note(before, "before"), ...lines, note(after, "after")].filter(Boolean));
}

function linesOf(entry, since, isChosen) {
  const found = [];
  const add = (tone, arrow, body, word = "", wordTone = "") => {
    const time = found.length ? "" : since.toFixed(3);
    found.push([cell("t num", time), cell(tone, arrow), h("span", { className: "b" }, body), cell(`w ${wordTone}`, word)]);
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

const cell = (className, text = "") => h("span", { className }, text);
