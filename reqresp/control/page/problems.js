// What is wrong with a text, as the server has found it. It must not know the text.

import { fill, h } from "./dom.js";
import { counted, plain } from "./notation.js";

/**
 * Show in *box* that a check went well: *said*, or why it did not: *error*.
 *
 * @param goTo called with the number of a line that a problem is in; null: lines cannot be gone to.
 */
export function drawCheck(box, said, error, goTo = null) {
  box.className = error === null ? "down grow check" : "error grow check";
  if (error === null) {
    fill(box, `✓ ${plain(said)}`);
    return;
  }
  const { problems } = error;
  if (!problems?.length) {
    fill(box, `× ${plain(error.message)}`);
    return;
  }
  fill(box, h("p", {}, `× ${counted(problems.length, "problem")}`),
    h("ul", { className: "problems" }, problems.map((it) => h("li", {}, place(it, goTo), plain(it.problem)))));
}

function place(problem, goTo) {
  const text = [problem.line == null ? "" : `line ${problem.line}`, plain(problem.path)].filter(Boolean).join(", ");
  if (!text) return null;
  if (problem.line == null || goTo === null) return `${text}: `;
  return [h("button", { className: "link", type: "button", on: () => goTo(problem.line) }, text), ": "];
}

/** Put the cursor of *area* at the beginning of *line*, and select the line. */
export function goToLine(area, line) {
  const lines = area.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, it) => sum + it.length + 1, 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  const height = area.scrollHeight / Math.max(1, lines.length);
  area.scrollTop = Math.max(0, (line - 4) * height);
}
