// A rule as TOML, made of a request and its reply, and its place in a script. It must not know
// elements.

import { binary, hex } from "./notation.js";

export const PREDICATES = ["equals", "starts_with", "matches"];

// Characters that TOML's basic strings need escaped.
const ESCAPED = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\" };

/**
 * Return a rule that fits *request*.
 *
 * @param kind one of PREDICATES.
 * @param frames the reply: a list of frames.
 * @param when the state in which the request came; null: the first state.
 */
export function ruleToml(kind, request, frames, when = null) {
  const keys = [];
  if (when !== null) keys.push(["when", quoted(when)]);
  keys.push([kind, predicate(kind, request)]);
  if (frames.length) {
    const payloads = frames.map(payload);
    keys.push(["reply", payloads.length === 1 ? payloads[0] : `[${payloads.join(", ")}]`]);
  } else keys.push(["silent", "true"]);
  const width = Math.max(...keys.map(([name]) => name.length));
  return `[[rule]]\n${keys.map(([name, value]) => `${name.padEnd(width)} = ${value}\n`).join("")}`;
}

function predicate(kind, request) {
  if (kind === "equals") return payload(request);
  if (kind === "starts_with") return payload(request.subarray(0, headSize(request)));
  const head = request.subarray(0, headSize(request));
  // In hex there is no pattern: RE2 knows bytes by their escapes.
  const pattern = `(?s)${Array.from(binary(head), literal).join("")}(?P<rest>.*)`;
  return pattern.includes("'") ? quoted(pattern) : `'${pattern}'`;
}

// Up to the first place where a request usually begins to differ.
function headSize(request) {
  const end = request.findIndex((byte) => byte === 0x20 || byte === 0x3a || byte === 0x3d);
  return end > 0 ? end + 1 : Math.min(request.length, 8);
}

function literal(character) {
  const code = character.charCodeAt(0);
  if (code < 32 || code > 126) return `\\x${hex(code)}`;
  return /[.*+?()[\]{}\\^$|]/.test(character) ? `\\${character}` : character;
}

/** Return *data* as a payload in TOML. */
export function payload(data) {
  const text = textOf(data);
  if (text !== null) return quoted(text);
  return `{ hex = "${Array.from(data, hex).join(" ")}" }`;
}

function textOf(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(data);
    return /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

/** Return *text* as a basic string of TOML, with escapes for what is not printable. */
export function quoted(text) {
  const one = (c) => ESCAPED[c] ?? (/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(c) ? c : codePoint(c));
  return `"${Array.from(text, one).join("")}"`;
}

function codePoint(character) {
  const code = character.codePointAt(0).toString(16);
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

/** Return the places in a script where a rule can be inserted: `{ label, line }`, the likeliest first. */
export function places(rules) {
  const written = rules.filter((it) => /^rule\[\d+\]$/.test(it.path)); // not what answers the unmatched
  const count = written.length;
  const found = [{ label: count ? `last, as rule[${count}]` : "as rule[0]", line: null }];
  for (let place = count - 1; place >= 0; place -= 1) {
    const { line, path } = written[place];
    if (line != null) found.push({ label: place ? `before ${path}` : "first, as rule[0]", line });
  }
  return found;
}

/** Return *script* with *rule* inserted before the table at *line*; null: at the end. */
export function inserted(script, rule, line) {
  const text = rule.endsWith("\n") ? rule : `${rule}\n`;
  if (line === null) {
    const before = script.trimEnd();
    return before ? `${before}\n\n${text}` : text;
  }
  const lines = script.split("\n");
  let place = Math.min(lines.length, line - 1);
  while (place > 0 && !/^\s*\[\[/.test(lines[place] ?? "")) place -= 1;
  // The comment above a rule belongs to it.
  while (place > 0 && /^\s*#/.test(lines[place - 1])) place -= 1;
  return [...lines.slice(0, place), ...text.trimEnd().split("\n"), "", ...lines.slice(place)].join("\n");
}
