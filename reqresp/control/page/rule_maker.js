// "Make a rule of this": TOML that is checked at once, copied, or inserted into the service's script.

import { get, post, replaceScript, servicePath } from "./api.js";
import { choice, copyButton, fill, h, key, later } from "./dom.js";
import { EMPTY } from "./notation.js";
import { drawCheck, goToLine } from "./problems.js";
import { PREDICATES, inserted, places, quoted, ruleToml } from "./rule_toml.js";

const PAUSE = 200; // milliseconds after the last key until the text is checked

export class RuleMaker {
  /**
   * @param service the name of the service.
   * @param entry the entry that a rule is made of.
   * @param when the state in which its request came; null: the first state.
   * @param told functions: `inserted()`.
   */
  constructor(service, entry, when, told) {
    this.service = service;
    this.told = told;
    this.script = null; // the text; null: the service has none
    this.head = ""; // what is before the rule
    this.saved = null; // the whole script with the rule that was inserted
    // What no rule has answered is to be answered: with what, is left open.
    const said = (entry.frames ?? []).map((it) => it.data);
    const frames = said.length || !entry.isMiss ? said : [EMPTY];
    this.make = (kind) => ruleToml(kind, entry.request.data, frames, when);
    this.area = h("textarea", { spellcheck: false, "aria-label": "TOML of the rule" });
    this.status = h("div", { className: "grow check", role: "status" });
    this.where = h("select", { "aria-label": "Where to insert", hidden: true });
    this.insert = h("button", { className: "btn go", type: "button", hidden: true, on: () => this.save() }, "Insert");
    this.element = h("details", { className: "maker", open: entry.isMiss },
      h("summary", { className: "sect" }, h("strong", { className: "grow" }, "Make a rule of this"), key("r")),
      h("div", { className: "acts" }, choice("Predicate", PREDICATES, PREDICATES[0], (kind) => this.use(kind), "mono")),
      h("div", { className: "acts" }, this.area),
      h("div", { className: "acts" }, this.status, this.where, copyButton(() => this.area.value, "btn"), this.insert));
    this.checkSoon = later(PAUSE, () => this.check());
    this.area.addEventListener("input", () => this.checkSoon());
    this.where.addEventListener("change", () => this.check());
    this.element.addEventListener("toggle", () => { if (this.element.open) this.load(); });
    if (this.element.open) this.load();
  }

  open() {
    this.element.open = true;
    this.area.focus();
  }

  use(kind) {
    this.area.value = this.head + this.make(kind);
    this.check();
  }

  async load() {
    if (!this.area.value) this.area.value = this.make(PREDICATES[0]); // now: of large payloads it takes a while
    try {
      const { script, rules } = await get(servicePath(this.service, "/script"));
      this.script = script;
      this.places = places(rules ?? []);
      if (script === null && !this.head) await this.addHead();
    } catch (error) {
      drawCheck(this.status, "", error);
      return;
    }
    fill(this.where, this.places.map((it, i) => h("option", { value: String(i) }, it.label)));
    this.where.hidden = this.insert.hidden = this.script === null;
    await this.check();
  }

  // Where there is no script, what is made is one: it has the framing in which the request came.
  async addHead() {
    const { framing } = await get(servicePath(this.service));
    if (framing === null) return;
    const head = `framing = ${quoted(framing)}\n\n`;
    try {
      await post(servicePath(this.service, "/script/check"), { script: head });
    } catch {
      return; // only a table can say which one it is
    }
    this.head = head;
    this.area.value = head + this.area.value;
  }

  /** The whole script with the rule in it. */
  get text() {
    if (this.script === null) return this.area.value;
    return inserted(this.script, this.area.value, this.places[Number(this.where.value) || 0].line);
  }

  async check() {
    const { text } = this;
    const isShown = () => text === this.text && text !== this.saved;
    try {
      const { summary } = await post(servicePath(this.service, "/script/check"), { script: text });
      if (isShown()) this.show(summary, null);
    } catch (error) {
      if (isShown()) this.show("", error);
    }
  }

  show(summary, error) {
    this.insert.disabled = error !== null;
    const problems = (error?.problems ?? []).map((it) => this.placed(it));
    drawCheck(this.status, summary, error && { message: error.message, problems }, (line) => goToLine(this.area, line));
  }

  // The line of a problem is one of the whole script; the text of the rule has lines of its own.
  placed(problem) {
    const { value } = this.area;
    const before = this.text.slice(0, this.text.indexOf(value.trimEnd())).split("\n").length - 1;
    const line = problem.line - before;
    if (line >= 1 && line <= value.trimEnd().split("\n").length) return { ...problem, line };
    return { ...problem, line: null, path: `script${problem.line == null ? "" : `, line ${problem.line}`}, ${problem.path}` };
  }

  async save() {
    const { text } = this;
    try {
      await replaceScript(this.service, this.script, text, "check the rule, and insert it again");
      this.saved = text;
      this.status.className = "down grow check";
      this.status.textContent = "✓ inserted; new connections are answered by it";
      this.insert.disabled = true;
      this.told.inserted();
    } catch (error) {
      if (error.status === 409) await this.load();
      this.show("", error);
    }
  }
}
