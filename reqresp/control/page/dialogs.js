// The dialogs: bytes to push, a question before a reset, the script of a service, a token.

import { ApiError, get, post, replaceScript, servicePath, setToken } from "./api.js";
import { $, copyButton, h, later } from "./dom.js";
import { counted, escape, plain, toPayload, unescape } from "./notation.js";
import { drawCheck, goToLine } from "./problems.js";

const PAUSE = 200; // milliseconds after the last key until a text is checked

const drafts = new Map(); // by the name of a service: its script as edited, and as it was then; not used yet

/** Open a dialog that is removed when it is closed. Return it. */
function open(title, className, ...kids) {
  const id = `title-${Date.now()}`;
  const dialog = h("dialog", { className, "aria-labelledby": id },
    h("div", { className: "bar" }, h("h2", { className: "grow cut", id }, title),
      h("button", { className: "btn", type: "button", on: () => dialog.close() }, "Close")), kids);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Ask for bytes, and push them to a connection. */
export function openPush(service, connection) {
  const area = h("textarea", { spellcheck: false, "aria-label": "Bytes to push, with escapes", className: "short" });
  const status = h("div", { className: "grow check", role: "status" });
  const send = h("button", { className: "btn go", type: "button" }, "Push");
  const read = () => {
    try {
      const data = unescape(area.value);
      drawCheck(status, data.length ? `${counted(data.length, "byte")}: ${escape(data.subarray(0, 40))}` : "no bytes yet", null);
      send.disabled = data.length === 0;
      return data;
    } catch (error) {
      drawCheck(status, "", error);
      send.disabled = true;
      return null;
    }
  };
  send.addEventListener("click", async () => {
    try {
      await post(servicePath(service, `/connections/${connection}/push`), { data: toPayload(read()) });
      dialog.close();
    } catch (error) {
      drawCheck(status, "", error);
    }
  });
  area.addEventListener("input", read);
  const dialog = open(`Push to connection ${connection}`, "push",
    h("p", { className: "soft" }, "The bytes are sent as they are, without a frame. Escapes are those of scripts: ",
      h("code", {}, "\\r \\n \\t \\0 \\\\ \\xNN"), "."),
    area, h("div", { className: "acts" }, status, send));
  read();
  area.focus();
}

/** Ask whether everything is to be reset; call *then* if so. */
export function openReset(then) {
  const go = h("button", { className: "btn go", type: "button", on: () => { dialog.close(); then(); } }, "Reset all");
  const dialog = open("Reset all services?", "ask",
    h("p", {}, "Journals, expectations and added faults are cleared. Scripts and services are as they were at the start: services that were created since are deleted. Open connections are reset. Counters go on."),
    h("div", { className: "acts" }, go));
  go.focus();
}

/** Ask for the token of the control server; call *then* when there is one. */
export function openToken(then) {
  if (document.querySelector("dialog.token")) return;
  const input = h("input", { type: "password", "aria-label": "Token", autocomplete: "off" });
  const use = (event) => {
    event.preventDefault();
    if (!input.value) return;
    setToken(input.value.trim());
    dialog.close();
    then();
  };
  const form = h("form", { className: "acts" }, input, h("button", { className: "btn go" }, "Use"));
  form.addEventListener("submit", use);
  const dialog = open("Token of the control server", "token",
    h("p", { className: "soft" }, "This server demands the token of ", h("code", {}, "--control-token-file"), ". It is kept until this tab is closed."),
    form);
  input.focus();
}

/** Show the script of a service in an editor, with the edits that were not used; each change is checked. */
export async function openScript(service, told) {
  let text;
  try {
    ({ script: text } = await get(servicePath(service, "/script")));
  } catch (error) {
    told.failed(error);
    return;
  }
  new Editor(service, text, told);
}

class Editor {
  constructor(service, text, told) {
    this.service = service;
    const draft = drafts.get(service);
    this.script = draft ? draft.script : text; // the one that is edited; null: the service has none
    this.told = told;
    this.area = h("textarea", { spellcheck: false, value: this.script ?? "", wrap: "off", "aria-label": "Script, in TOML" });
    this.unedited = this.area.value;
    if (draft) this.area.value = draft.edited;
    this.numbers = h("pre", { className: "numbers", "aria-hidden": "true" });
    this.status = h("div", { className: "grow check", role: "status" });
    this.save = h("button", { className: "btn go", type: "button", on: () => this.use() }, "Use this script");
    this.discard = h("button", { className: "btn", type: "button", hidden: !draft, on: () => this.startOver() }, "Discard edits");
    this.dialog = open(`Script of ${plain(service)}`, "editor",
      h("div", { className: "code-area" }, this.numbers, this.area),
      h("div", { className: "acts" }, this.status, copyButton(() => this.area.value, "btn"), this.discard, this.save));
    this.checkSoon = later(PAUSE, () => this.check());
    this.area.addEventListener("input", () => { this.keep(); this.drawNumbers([]); this.checkSoon(); });
    this.area.addEventListener("scroll", () => { this.numbers.scrollTop = this.area.scrollTop; });
    this.drawNumbers([]);
    this.area.setSelectionRange(0, 0);
    this.area.scrollTop = 0;
    this.area.focus({ preventScroll: true });
    this.check();
  }

  // However the dialog is closed, what was typed is shown again.
  keep() {
    const edited = this.area.value;
    this.discard.hidden = edited === this.unedited;
    if (this.discard.hidden) drafts.delete(this.service);
    else drafts.set(this.service, { script: this.script, edited });
  }

  /** Show the script as it is now, without the edits. */
  async startOver() {
    drafts.delete(this.service);
    this.dialog.close();
    await openScript(this.service, this.told);
  }

  drawNumbers(problems) {
    const bad = new Set(problems.map((it) => it.line));
    const count = this.area.value.split("\n").length;
    const nodes = [];
    for (let line = 1; line <= count; line += 1) {
      nodes.push(bad.has(line) ? h("span", { className: "diff error-line" }, String(line)) : String(line), "\n");
    }
    this.numbers.replaceChildren(...nodes);
    this.numbers.scrollTop = this.area.scrollTop;
  }

  async check() {
    const text = this.area.value;
    try {
      const { summary } = await post(servicePath(this.service, "/script/check"), { script: text });
      if (text === this.area.value) this.show(summary, null);
    } catch (error) {
      if (text === this.area.value) this.show("", error);
    }
  }

  show(said, error) {
    this.save.disabled = error !== null;
    drawCheck(this.status, said, error, (line) => goToLine(this.area, line));
    this.drawNumbers(error?.problems ?? []);
  }

  async use() {
    try {
      await replaceScript(this.service, this.script, this.area.value, "copy this text, and discard the edits");
      drafts.delete(this.service);
      this.dialog.close();
      this.told.changed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.show("", error);
    }
  }
}

/** Open the dialog of the keys, which is always there. */
export function openKeys() {
  const dialog = $("keys");
  dialog.querySelector("[data-close]").onclick = () => dialog.close();
  dialog.showModal();
}
