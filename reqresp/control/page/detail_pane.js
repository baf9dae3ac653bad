// One entry: facts, near misses, bytes, conversation, rule maker. It scrolls, and has no tabs.

import { get, servicePath } from "./api.js";
import { Conversation } from "./conversation.js";
import { $, choice, copyButton, fill, h, keepFocus, key, later } from "./dom.js";
import { dump, markHovered } from "./dump.js";
import { Entry } from "./entry.js";
import { clock, counted, duration, escape, payloadOf, plain } from "./notation.js";
import { whyNot } from "./near.js";
import { RuleMaker } from "./rule_maker.js";

const VIEWS = ["text", "hex", "both"];
const MOST_SLICES = 256; // as MAX_SLICES in reqresp/steps.py
const NARROW = 560; // pixels, below which a row of hex has eight bytes

export class DetailPane {
  /**
   * @param told functions: `step(by)`, `choose(entry)`, `back()`, `only(connection)`, `by(rule)`, `push(connection)`,
   *   `end(connection, how)`, `inserted()`, `failed(error)`.
   */
  constructor(filter, told) {
    this.filter = filter;
    this.told = told;
    this.box = $("detail");
    this.view = VIEWS[0];
    this.entry = null;
    this.maker = null;
    this.talk = null;
    this.open = new Set(); // the numbers of the open connections
    this.loading = new AbortController();
    markHovered(this.box);
    this.resize = later(100, () => { this.drawWhy(); this.drawBytes(); });
    new ResizeObserver(() => { if (this.entry && this.columns !== this.drawnColumns) this.resize(); }).observe(this.box);
  }

  get columns() {
    return this.box.clientWidth < NARROW ? 8 : 16;
  }

  /** Show *entry* of the service with this name; null: nothing. */
  show(service, entry) {
    this.loading.abort();
    this.loading = new AbortController();
    this.entry = entry; // as the list has it: with the first bytes alone
    this.whole = entry;
    this.service = service;
    this.more = {};
    this.maker = null;
    const { signal } = this.loading;
    const hasTalk = entry !== null && entry.connection !== null;
    this.talk = hasTalk ? new Conversation(service, entry, signal, this.told) : null;
    keepFocus(this.box, () => (entry === null ? this.drawNothing() : this.drawAll()));
    if (entry === null) return;
    this.load(signal);
    this.talk?.load();
  }

  drawNothing() {
    fill(this.box, h("div", { className: "head bar" }, this.back(), h("span", { className: "soft grow" }, "No entry selected")),
      h("div", { className: "empty" }, h("div", {}, h("p", { className: "soft" },
        "Select an entry to see its bytes, the rule that answered, the faults that were injected, and the conversation. ",
        key("j"), " and ", key("k"), " move."))));
  }

  drawAll() {
    const { entry } = this;
    this.facts = h("dl", { className: "facts num" });
    this.why = h("div", { hidden: true });
    this.bytes = h("div", { className: "bytes" });
    this.making = h("div", {});
    const arrow = (text, label, by) => h("button", { className: "btn quiet", type: "button", "aria-label": label, on: () => this.told.step(by) }, text);
    fill(this.box,
      h("div", { className: "head bar" }, this.back(), h("h2", { className: "cut grow" }, this.title),
        arrow("↑", "Previous entry", -1), arrow("↓", "Next entry", 1)),
      h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Details" },
        this.facts, this.why, this.bytes, this.talk && [this.connectionBar(), this.talk.element], this.making));
    this.drawFacts();
    this.drawBytes();
  }

  /** The rest of what the server knows. */
  async load(signal) {
    const { entry } = this;
    try {
      this.more = await get(servicePath(this.service, `/entries/${entry.id}`), signal);
      this.whole = new Entry(this.more);
    } catch (error) {
      if (signal.aborted) return;
      this.more = { problem: error.status === 404 ? "the journal does not have it any more" : error.message };
    }
    if (signal.aborted) return;
    this.drawFacts();
    this.drawWhy();
    this.drawBytes();
    if (entry.request !== null && entry.isExchange && entry.event !== "incomplete" && !this.whole.isCut) {
      this.maker = new RuleMaker(this.service, this.whole, this.when, { inserted: () => this.told.inserted() });
      fill(this.making, this.maker.element);
    }
  }

  /** The state that a rule of this needs to name; null: none. */
  get when() {
    const { state, start } = this.more;
    return state == null || state === (start ?? "start") ? null : state;
  }

  get title() {
    const { entry } = this;
    if (entry.isNote) return entry.note[0].toUpperCase() + entry.note.slice(1);
    if (entry.event === "passed") return `Passed ${entry.request === null ? "to the client" : "to the service"} on connection ${entry.connection}`;
    if (entry.event === "sent") return `Sent on connection ${entry.connection}`;
    if (entry.event === "incomplete") return `Unfinished request on connection ${entry.connection}`;
    return `Request ${entry.data.number} on connection ${entry.connection}`;
  }

  drawFacts() {
    const { entry, more } = this;
    const fact = (word, value, tone = "", isLong = false) => (value == null || value === "" ? null
      : h("div", { className: isLong ? "long" : "" }, h("dt", {}, word), h("dd", { className: tone }, value)));
    const state = more.state == null ? null : [plain(more.state), more.rule?.goto ? ` → ${plain(more.rule.goto)}` : ""];
    fill(this.facts,
      fact("At", clock(entry.at)),
      entry.event === "answered" ? fact("Answered by", this.answeredBy(), entry.isMiss ? "miss" : "") : fact("Sent by", entry.by),
      fact("State", state),
      fact("Took", this.tookText()),
      fact("Peer", entry.event === "connected" || entry.data.peer === undefined ? null : plain(entry.data.peer)),
      fact(entry.faults.length > 1 ? "Faults" : "Fault", entry.faults.join(", "), "fault", true),
      fact("Problem", entry.event === "incomplete" ? plain(entry.data.missing) : entry.isError ? plain(entry.data.reason) : null, "error", true),
      fact("Note", more.problem ? plain(more.problem) : null, "", true));
  }

  answeredBy() {
    const { entry } = this;
    const { rule } = this.more;
    if (entry.isMiss && rule === null) return "no rule (the script has no unmatched)";
    const name = rule?.name ? plain(rule.name) : entry.by;
    if (!name) return "the responder";
    const link = h("button", { className: "link mono", type: "button", title: "Show what this answered", on: () => this.told.by(entry.by) }, name);
    if (!rule) return link;
    const line = rule.line == null ? "" : `, line ${rule.line}`;
    return [link, entry.isMiss ? line : ` ${rule.kind}${line}`];
  }

  tookText() {
    const { entry } = this;
    if (entry.took === null) return null;
    const waits = [["rule", entry.waited], ["faults", entry.delayed]].filter(([, time]) => time >= 1)
      .map(([who, time]) => `${who} ${duration(time)}`);
    return duration(entry.took) + (waits.length ? `, of which ${waits.join(", ")}` : "");
  }

  drawWhy() {
    const { why = [], near = [], explain = "" } = this.more;
    this.why.hidden = !this.entry.isMiss;
    if (this.entry.isMiss) fill(this.why, whyNot(why, near, explain, this.columns));
  }

  /** The bytes of the wire: as the server frames them, or as the entry has them. */
  drawBytes() {
    const { entry } = this;
    if (entry === null) return;
    this.drawnColumns = this.columns;
    const wire = this.more.wire ?? {};
    const sides = [];
    const request = wire.request != null ? payloadOf(wire.request) : this.whole.request;
    const reply = wire.reply != null ? payloadOf(wire.reply) : this.whole.reply;
    const ends = wire.reply != null ? entry.sliceEnds : []; // they are those of the wire
    const [from, to] = entry.event === "passed" ? ["From the client", "From the service"]
      : ["Request", entry.request === null ? "Sent" : "Reply"];
    if (request !== null) sides.push(this.side("→", "up", from, request, []));
    if (reply !== null) sides.push(this.side("←", "down", to, reply, ends));
    const views = choice("View of the bytes", VIEWS, this.view, (view) => { this.view = view; this.drawBytes(); });
    keepFocus(this.bytes, () => fill(this.bytes, sides.length
      ? [h("div", { className: "sect" }, h("h3", { className: "grow" }, "Bytes"), views, key("v")), sides] : null));
  }

  side(arrow, tone, word, { data, size }, ends) {
    const count = `${ends.length + 1}${ends.length + 1 === MOST_SLICES ? " or more" : ""}`;
    const isWhole = data.length === size;
    const slices = ends.length ? ` in ${count} slices` : "";
    const text = `${counted(size, "byte")}${slices}${isWhole ? "" : `, of which the first ${data.length.toLocaleString("en")} are shown`}`;
    return h("div", { className: "side" },
      h("header", {}, h("span", { className: tone }, `${arrow} ${word}`), h("span", { className: "dim num grow" }, text),
        size && isWhole ? copyButton(() => escape(data), "link soft", { "aria-label": `Copy: ${word}` }) : null),
      size ? dump(data, this.view, { ends, marks: this.filter.marks(data, this.entry.id), columns: this.columns })
        : h("p", { className: "soft" }, "No bytes."));
  }

  connectionBar() {
    const { connection } = this.entry;
    const button = (text, on, ...more) => h("button", { className: "btn quiet", type: "button", on }, text, more);
    this.ends = [
      button("Push…", () => this.told.push(connection)),
      button("Close", () => this.told.end(connection, "close")),
      button("Reset", () => this.told.end(connection, "reset")),
    ];
    this.drawEnds();
    return h("div", { className: "sect" }, h("h3", { className: "grow" }, `Conversation of #${connection}`), this.ends,
      button("Filter", () => this.told.only(connection), key("c")));
  }

  /** Offer to end the connection while it is among these, the open ones. */
  setOpen(connections) {
    this.open = new Set(connections.map((it) => it.number));
    if (this.talk !== null) this.drawEnds();
  }

  drawEnds() {
    for (const it of this.ends) it.hidden = !this.open.has(this.entry.connection);
  }

  /** Show the next view of the bytes. */
  nextView() {
    this.view = VIEWS[(VIEWS.indexOf(this.view) + 1) % VIEWS.length];
    this.drawBytes();
  }

  back() {
    return h("button", { className: "btn back", type: "button", on: () => this.told.back() }, "← List");
  }
}
