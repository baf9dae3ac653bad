// The strip that says what went wrong last, until something goes well. It must not know what failed.

import { $ } from "./dom.js";
import { plain } from "./notation.js";

export class Trouble {
  constructor() {
    $("dismiss").addEventListener("click", () => this.clear());
  }

  /** Say what *error* says. */
  show({ message, problems = [] }) {
    // The message has the first problem, and how many there are besides.
    const all = problems.map((it) => `${it.path}: ${it.problem}`).join("; ");
    this.say(plain(problems.length > 1 ? all : message));
  }

  clear() {
    this.say("");
  }

  say(text) {
    $("trouble").textContent = text;
    $("dismiss").hidden = text === "";
  }
}
