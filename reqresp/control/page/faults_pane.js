// The faults of a service, a column for each direction: switches, sliders and typed values.

import { ApiError, get, post, request, servicePath } from "./api.js";
import { $, fill, h, keepFocus } from "./dom.js";
import { plain } from "./notation.js";

const TITLES = {
  upstream: ["→ upstream: client to server", "up"],
  downstream: ["← downstream: server to client", "down"],
  connection: ["connections, when they open", ""],
};
const REPLIES = ["← replies", "down"];
const ARROWS = { upstream: "→", downstream: "←", connection: "" };
// Kinds that are offered without asking, in each direction.
const USUAL = { upstream: ["latency", "bandwidth"], downstream: ["latency", "bandwidth", "reset_peer"], connection: ["latency", "reset_peer"] };
// What a slider shows and how far it goes; `scale` is how many of the API's units one is.
const SLIDERS = {
  delay: { label: "delay", unit: "ms", scale: 0.001, max: 2000, first: 200 },
  jitter: { label: "± jitter", unit: "ms", scale: 0.001, max: 1000, first: 0 },
  seconds: { label: "seconds", unit: "s", scale: 1, max: 30, first: 5 },
  rate: { label: "rate", unit: "kB/s", scale: 1000, max: 1024, first: 64 },
  size: { label: "size", unit: "B", scale: 1, max: 1024, first: 16 },
  variation: { label: "± variation", unit: "B", scale: 1, max: 512, first: 0 },
  bytes: { label: "bytes", unit: "B", scale: 1, max: 65536, first: 1 },
  probability: { label: "probability", unit: "%", scale: 0.01, max: 100, first: 100 },
};
const OTHER = { unit: "", scale: 1, max: 100, first: 1 };
// What stands before a value where all faults are said in one line.
const WORDS = { jitter: "± ", variation: "± " };
// Parameters that the API has besides, and that no slider can show.
const NOT_SHOWN = new Set(["name", "kind", "stream", "after", "after_bytes", "for", "shared", "place", "on_connect"]);

export class FaultsPane {
  /** @param told functions: `failed(error)`; `done()`, after a change. */
  constructor(told) {
    this.told = told;
    this.service = null;
    this.faults = []; // those of the server
    this.kinds = {}; // by direction: by kind: by parameter
    this.off = []; // those that were switched off here, as the API writes them
    this.isSending = false;
    this.isHeld = false; // whether a slider is being dragged
    this.isStale = false; // whether the server has others by now
    this.pending = {}; // changes that are not sent yet, by the path of the fault
    $("sides").addEventListener("pointerdown", () => { this.isHeld = true; });
    for (const end of ["pointerup", "pointercancel"]) {
      addEventListener(end, () => {
        this.isHeld = false;
        this.refresh();
      });
    }
  }

  /**
   * Show the faults of the service with this name; null: none.
   *
   * @param isForced whether they are drawn again where nothing has changed.
   */
  async show(service, isForced = false) {
    const isOther = this.service !== service;
    if (isOther) Object.assign(this, { service, off: [], faults: [], kinds: {} });
    let answer;
    try {
      answer = service === null ? { faults: [], kinds: {} } : await get(servicePath(service, "/faults"));
    } catch (error) {
      if (error.status !== 404) this.told.failed(error);
      answer = { faults: [], kinds: {} };
    }
    if (this.service !== service) return;
    // What is being dragged must not be made again, and is newer than what the server has.
    this.isStale = this.isHeld || this.isSending;
    if (this.isStale) return;
    const isSame = JSON.stringify([answer.kinds, answer.faults]) === JSON.stringify([this.kinds, this.faults]);
    if (isSame && !isOther && !isForced) return;
    this.kinds = answer.kinds ?? {};
    this.faults = answer.faults;
    this.off = this.off.filter((it) => !this.faults.some((on) => on.name === it.name));
    this.addUsual();
    this.draw();
  }

  refresh() {
    if (this.isStale && !this.isHeld && !this.isSending) this.show(this.service);
  }

  // What is usual is there to be switched on.
  addUsual() {
    for (const [stream, kinds] of Object.entries(this.kinds)) {
      for (const kind of USUAL[stream] ?? []) {
        const isThere = [...this.faults, ...this.off].some((it) => it.stream === stream && it.kind === kind);
        if (kind in kinds && !isThere) this.off.push(this.first(stream, kind));
      }
    }
  }

  first(stream, kind) {
    const fault = { name: null, stream, kind };
    for (const [name, { default: value }] of Object.entries(this.kinds[stream][kind])) {
      if (NOT_SHOWN.has(name)) continue;
      const slider = SLIDERS[name] ?? OTHER;
      fault[name] = value ?? slider.first * slider.scale;
    }
    return fault;
  }

  draw() {
    this.drawActive();
    const isRelay = !("connection" in this.kinds);
    keepFocus($("sides"), () => fill($("sides"), Object.entries(this.kinds).map(([stream, kinds]) => {
      const [title, tone] = stream === "downstream" && !isRelay ? REPLIES : TITLES[stream] ?? [plain(stream), ""];
      const all = [...this.faults, ...this.off].filter((it) => it.stream === stream);
      return h("div", {}, h("header", {}, h("h3", { className: `cut ${tone}`, title }, title), this.adder(stream, kinds, title)),
        all.map((fault) => this.knobs(fault, title)));
    })));
  }

  drawActive() {
    const parts = this.faults.map((it) => h("span", { className: "fault" }, `${ARROWS[it.stream] ?? ""} ${this.describe(it)}`));
    fill($("active"), parts.length ? parts : h("span", { className: "soft" }, "none"));
  }

  describe(fault) {
    const said = this.parameters(fault).filter(([name, value]) => value && !(name === "probability" && value === 1))
      .map(([name, value]) => {
        const slider = SLIDERS[name] ?? OTHER;
        const word = WORDS[name] ?? (name === "bytes" && fault.kind !== "corrupt" ? "after " : "");
        return `${word}${shown(value, slider)} ${slider.unit}`;
      });
    const [first, ...others] = said;
    return [[plain(fault.kind), first].filter(Boolean).join(" "), ...others].join(", ").replaceAll(", ±", " ±");
  }

  parameters(fault) {
    const shown = Object.entries(fault).filter(([name, value]) => !NOT_SHOWN.has(name) && typeof value === "number");
    const isLast = ([name]) => name === "probability"; // what it does comes first
    return [...shown.filter((it) => !isLast(it)), ...shown.filter(isLast)];
  }

  adder(stream, kinds, title) {
    const select = h("select", { className: "add", "aria-label": `Add a fault: ${title}` },
      h("option", { value: "" }, "+ Add"), Object.keys(kinds).map((kind) => h("option", { value: kind }, kind)));
    // Where arrows choose at once, the first kind would be added by the first of them.
    select.addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow") || event.altKey || !select.showPicker) return;
      event.preventDefault();
      select.showPicker();
    });
    select.addEventListener("change", () => {
      const { value } = select;
      select.value = "";
      if (value) this.add(this.first(stream, value));
    });
    return select;
  }

  /** The rows of one fault: its switch with its first parameter, and its other parameters. */
  knobs(fault, title) {
    const isOn = this.faults.includes(fault);
    const label = `${plain(fault.name ?? fault.kind)}, ${title}`;
    const toggle = h("button", {
      className: "switch", type: "button", role: "switch", "aria-checked": String(isOn), "aria-label": label,
      on: () => (this.faults.includes(fault) ? this.remove(fault) : this.add(fault)),
    });
    const parameters = this.parameters(fault);
    if (!parameters.length) return [h("div", { className: `knob${isOn ? "" : " off"}` }, toggle, h("span", {}, plain(fault.kind)))];
    // Of a fault that is off, the first parameter is enough.
    const rows = isOn ? parameters : parameters.slice(0, 1);
    return rows.map(([name, value], i) => this.knob(fault, name, value, i ? null : toggle, label, isOn));
  }

  knob(fault, name, value, toggle, label, isOn) {
    const slider = SLIDERS[name] ?? { ...OTHER, label: name };
    const { minimum = 0, maximum = null } = this.kinds[fault.stream]?.[fault.kind]?.[name] ?? {};
    const min = shown(minimum, slider);
    const most = maximum === null ? null : shown(maximum, slider);
    const number = shown(value, slider);
    const max = Math.max(slider.max, number);
    const said = `${slider.label} of ${label}`;
    const range = h("input", { type: "range", min, max, step: "any", value: number, "aria-label": said, "aria-valuetext": `${number} ${slider.unit}` });
    const typed = h("input", { type: "number", min, max: most, step: "any", value: number, "aria-label": `${said}, typed` });
    const paint = () => range.style.setProperty("--at", `${((range.value - min) / (range.max - min)) * 100}%`);
    const change = (wanted, isWhole) => {
      const now = isWhole ? Math.round(wanted) : Math.round(wanted * 100) / 100;
      range.max = Math.max(range.max, now);
      range.value = typed.value = now;
      range.setAttribute("aria-valuetext", `${now} ${slider.unit}`);
      typed.setAttribute("aria-invalid", "false");
      paint();
      fault[name] = inUnits(now, slider);
      this.changed(fault, name);
    };
    range.addEventListener("input", () => change(Number(range.value), slider.max > 50));
    typed.addEventListener("change", () => {
      const problem = problemOf(typed, slider.unit);
      if (problem) {
        typed.setAttribute("aria-invalid", "true");
        this.told.failed(new Error(`${name}: ${problem}`));
        return;
      }
      this.told.done();
      change(Number(typed.value), slider.unit === "B");
    });
    paint();
    const text = toggle ? plain(fault.kind) : slider.label;
    const row = h("div", { className: `knob${isOn ? "" : " off"}${toggle ? "" : " more"}`, title: toggle ? `${plain(fault.kind)}: ${slider.label}` : "" },
      toggle ?? h("span", {}), h("span", { className: "cut" }, text), range, h("span", { className: "typed" }, typed, h("span", { className: "dim" }, slider.unit)));
    return row;
  }

  async add(fault) {
    const { name, ...rest } = fault;
    this.off = this.off.filter((it) => it !== fault); // if it fails, what is usual is offered again
    await this.send("POST", "/faults", name === null ? rest : fault);
  }

  async remove(fault) {
    this.off.push({ ...fault });
    await this.send("DELETE", `/faults/${encodeURIComponent(fault.name)}`);
  }

  // A slider moves faster than a server answers: the last value is sent when the one before has arrived.
  async changed(fault, name) {
    this.drawActive();
    if (!this.faults.includes(fault)) return;
    // Another service may be chosen before it is sent.
    const path = servicePath(this.service, `/faults/${encodeURIComponent(fault.name)}`);
    this.pending = { ...this.pending, [path]: { ...this.pending[path], [name]: fault[name] } };
    if (this.isSending) return;
    this.isSending = true;
    try {
      while (Object.keys(this.pending).length) {
        const [[which, values]] = Object.entries(this.pending);
        delete this.pending[which];
        await request("PATCH", which, values);
        this.told.done();
      }
    } catch (error) {
      this.pending = {};
      this.isStale = true;
      this.told.failed(error);
    } finally {
      this.isSending = false;
      this.refresh();
    }
  }

  async send(method, rest, body) {
    const { service } = this;
    try {
      await (method === "POST" ? post(servicePath(service, rest), body) : request(method, servicePath(service, rest)));
      this.told.done();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.told.failed(error);
    }
    await this.show(service, true);
  }
}

const shown = (value, slider) => Math.round((value / slider.scale) * 100) / 100;

/** Return what is wrong with the number in a field, in its unit; empty: nothing. */
function problemOf({ value, min, max, validity }, unit) {
  if (value !== "" && validity.valid) return "";
  const bounds = max === "" ? `>= ${min}` : `from ${min} to ${max}`;
  return `expected ${unit || "a number"} ${bounds}, found ${value || "none"}`;
}

const inUnits = (value, slider) => Math.round(value * slider.scale * 1e6) / 1e6;
