// What an entry of the journal means: its bytes, what came of it, and how long it took. It must not
// know elements. Everything is computed when it is first asked for: few of many entries are shown.

import { binary, duration, joined, payloadOf, plain } from "./notation.js";

// What one line says of the entries without an exchange.
const NOTES = {
  connected: (e) => `connected from ${e.peer}`,
  refused: (e) => `refused ${e.peer}: ${e.reason}`,
  failed: (e) => `failed: ${reason(e)}`,
  faulted: (e) => `the fault ${e.faults.join(", ")} affects ${e.stream}`,
  upstream_opened: () => "connected upstream",
  upstream_failed: (e) => `no connection upstream: ${reason(e)}`,
  upstream_ended: (e) => ended("upstream", e),
  disconnected: (e) => ended("", e),
  changed: (e) => e.what,
};
// As reqresp/control/_find.py has them.
const FAILURES = new Set(["refused", "failed", "incomplete", "unanswered", "upstream_failed"]);
// What Twisted says of a connection's end, and what it is called here.
const ENDS = [
  [/closed cleanly|^Connection done/, "closed"],
  [/aborted locally/, "reset by reqresp"],
  [/non-clean|reset by peer/, "lost or reset by the other side"],
];
// What the steps of a reply are called that send nothing.
const ENDINGS = {
  close: "close", half_close: "half-close", abort: "reset", hang: "hang", stop_reading: "stop reading",
};

const reason = (e) => e.reason.replace(/\.$/, "");

function ended(who, e) {
  const word = ENDS.find(([pattern]) => pattern.test(e.reason))?.[1] ?? `lost: ${reason(e)}`;
  return who ? `${who} ${word}` : word;
}

/** The number of rows in a list that stand for entries which it does not have. */
export class Gap {
  constructor(after, skipped) {
    this.id = `gap-${after}`;
    this.after = after;
    this.skipped = skipped;
    this.isMiss = this.isFault = this.isError = false;
    this.connection = null;
  }

  /** The id of the last entry that is missing. */
  get end() {
    return this.after + this.skipped;
  }
}

/** An entry. */
export class Entry {
  /** @param data the entry, as the API writes it. */
  constructor(data) {
    this.data = data;
    this.id = data.id;
    this.event = data.event;
    this.at = data.at;
    this.connection = data.connection ?? null;
    this.isMiss = data.miss === true;
    this.isFault = Boolean(data.faults?.length) || data.event === "faulted";
    this.isError = FAILURES.has(data.event);
  }

  /** The id of the last entry that it stands for: itself. */
  get end() {
    return this.id;
  }

  /** Whether a request came, with or without a reply. */
  get isExchange() {
    return this.event === "answered" || this.event === "unanswered" || this.event === "incomplete";
  }

  /** Whether it is one line of words. */
  get isNote() {
    return this.event in NOTES || this.isEnd;
  }

  /** Whether it says that a direction of a relay has ended. */
  get isEnd() {
    return this.event === "passed" && this.data.eof === true;
  }

  get note() {
    if (this.isEnd) return this.data.stream === "upstream" ? "the client ended its side" : "the service ended its side";
    return plain(NOTES[this.event]?.(this.data) ?? this.event);
  }

  /** What the client sent, as rules see it: `{ data, size }` of `payloadOf`; null: nothing. */
  get request() {
    return this.once("request", () => {
      if (this.event === "passed") return this.data.stream === "upstream" ? payloadOf(this.data.data) : null;
      return this.isExchange ? payloadOf(this.data.request) : null;
    });
  }

  /** What the client was sent, as rules say it: a list of frames, each as `request`; null: nothing. */
  get frames() {
    return this.once("frames", () => {
      if (this.event === "sent") return [payloadOf(this.data.data)];
      if (this.event === "passed") return this.data.stream === "downstream" ? [payloadOf(this.data.data)] : null;
      if (this.event !== "answered") return null;
      return this.data.steps.flatMap((step) => [step.send, step.forward])
        .filter((it) => it != null && it !== true).map(payloadOf);
    });
  }

  /** The frames as one. */
  get reply() {
    return this.once("reply", () => (this.frames === null ? null : {
      data: joined(this.frames.map((it) => it.data)),
      size: this.frames.reduce((sum, it) => sum + it.size, 0),
    }));
  }

  /** Whether request or reply have more bytes than it has. */
  get isCut() {
    const replies = (this.data.steps ?? []).flatMap((step) => [step.send, step.forward]);
    return [this.data.request, this.data.data, ...replies].some((it) => it?.truncated === true);
  }

  /** The words of the steps that send nothing, such as `close`. */
  get endings() {
    return (this.data.steps ?? []).flatMap((step) => Object.keys(step)).map((key) => ENDINGS[key])
      .filter(Boolean);
  }

  /** What answered: a rule, a responder, or `greeting` and `push`. */
  get by() {
    return plain(this.data.by ?? "");
  }

  get outcome() {
    if (this.isMiss) return { word: "miss", tone: "miss" };
    if (this.isError) return { word: this.event.replace("_", " "), tone: "error" };
    if (this.event === "changed") return { word: "control", tone: "" };
    if (this.event === "sent") return { word: this.by, tone: "" };
    if (this.event === "faulted") return { word: "fault", tone: "fault" };
    return { word: this.by, tone: "" };
  }

  /** Milliseconds from the request to the end of its reply; null: unknown. */
  get took() {
    return this.data.sent == null ? null : Math.max(0, (this.data.sent - this.at) * 1000);
  }

  /** Milliseconds that the rule itself waits. */
  get waited() {
    return (this.data.steps ?? []).reduce((sum, step) => sum + (step.wait ?? 0), 0) * 1000;
  }

  get faults() {
    return (this.data.faults ?? []).map(plain);
  }

  /** Milliseconds that faults have it wait; the time of a service that it was forwarded to is none. */
  get delayed() {
    return (this.data.delayed ?? 0) * 1000;
  }

  /** The share of the time that faults took, from 0 to 1. */
  get faultShare() {
    return this.took ? Math.min(1, this.delayed / this.took) : 0;
  }

  /** Where the pieces end in which faults have it sent, without the last one. */
  get sliceEnds() {
    let end = 0;
    return (this.data.slices ?? []).slice(0, -1).map((size) => (end += size));
  }

  get tookText() {
    return this.took === null ? "" : duration(this.took);
  }

  /** What is searched, as the server does: request and reply, with a character for each byte. */
  get searched() {
    return this.once("searched", () => [this.request, this.reply].map((it) => (it === null ? "" : binary(it.data))));
  }

  once(name, compute) {
    const value = compute();
    Object.defineProperty(this, name, { value });
    return value;
  }
}
