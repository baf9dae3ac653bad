// How bytes are written for people: the escapes of scripts. It must not know what the bytes mean.
// The same rules as reqresp/_text.py: a printable character stands for itself, except a backslash.

const NAMED = { 0: "\\0", 9: "\\t", 10: "\\n", 13: "\\r", 92: "\\\\" };
const ESCAPES = { 0: 0, t: 9, n: 10, r: 13, "\\": 92 };
// As str.isprintable of Python: no control, no invisible character, none that turns the direction.
const PRINTABLE = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const EMPTY = new Uint8Array();

/** Return the bytes of a payload of the API: a text, or `base64`, `hex` or `text` in an object. */
export function fromPayload(payload) {
  if (payload == null) return EMPTY;
  if (typeof payload === "string") return encoder.encode(payload);
  if (payload.base64 != null) return fromBinary(atob(payload.base64));
  if (payload.hex != null) return fromHex(payload.hex);
  return encoder.encode(payload.text ?? "");
}

function fromBinary(text) {
  const data = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at += 1) data[at] = text.charCodeAt(at);
  return data;
}

/** Return a payload of the API as `{ data, size }`: its bytes, or the first ones, and how many there are in all. */
export function payloadOf(payload) {
  const data = fromPayload(payload);
  return { data, size: payload?.truncated ? payload.size : data.length };
}

/** Return a payload of the API. */
export const toPayload = (data) => ({ hex: [...data].map(hex).join("") });

export const utf8 = (text) => encoder.encode(text);

export const hex = (byte) => byte.toString(16).padStart(2, "0");

/** Return the bytes of pairs of hex digits, as the API reads them: with spaces after each; null: it is something else. */
export function fromHex(text) {
  if (!/^([0-9a-f]{2} *)+$/i.test(text)) return null;
  return Uint8Array.from(text.match(/[0-9a-f]{2}/gi), (pair) => parseInt(pair, 16));
}

/** Return a string with a character for each byte, so that bytes can be searched as text. */
export function binary(data) {
  let text = "";
  for (let at = 0; at < data.length; at += 8192) {
    text += String.fromCharCode(...data.subarray(at, at + 8192));
  }
  return text;
}

/** Return the bytes of several arrays, joined. */
export function joined(parts) {
  const data = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part, at);
    at += part.length;
  }
  return data;
}

/**
 * Return *data* as pieces of text, `{ text, at, size, isEscape }`: each a character or an escape.
 *
 * A piece is never part of a character, so each has its own place in the bytes.
 */
export function pieces(data) {
  const found = [];
  for (let at = 0; at < data.length;) {
    const size = characterSize(data, at);
    const text = size === 0 ? null : printable(data, at, size);
    if (text != null) {
      found.push({ text, at, size, isEscape: false });
      at += size;
      continue;
    }
    for (const end = at + Math.max(1, size); at < end; at += 1) {
      found.push({ text: NAMED[data[at]] ?? `\\x${hex(data[at])}`, at, size: 1, isEscape: true });
    }
  }
  return found;
}

function printable(data, at, size) {
  if (size === 1) {
    const byte = data[at];
    return byte >= 32 && byte < 127 && byte !== 92 ? String.fromCharCode(byte) : null;
  }
  const text = decoder.decode(data.subarray(at, at + size));
  return PRINTABLE.test(text) ? text : null;
}

/** Return how many bytes the character of UTF-8 at *at* has; 0: there is none. */
function characterSize(data, at) {
  const first = data[at];
  if (first < 0x80) return 1;
  const size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || at + size > data.length) return 0;
  try {
    decoder.decode(data.subarray(at, at + size));
    return size;
  } catch {
    return 0;
  }
}

/** Return *data* as one line of text, which `unescape` reads. */
export const escape = (data) => pieces(data).map((it) => it.text).join("");

/** Return *text* from outside, such as a name, with escapes for what is not printable. */
export function plain(text) {
  const one = (c) => (PRINTABLE.test(c) ? c : escape(encoder.encode(c)));
  return Array.from(String(text ?? ""), one).join("");
}

/**
 * Return the bytes of *text* with the escapes of scripts.
 *
 * @throws {Error} a backslash starts another escape.
 */
export function unescape(text) {
  const parts = [];
  const pattern = /\\x([0-9a-fA-F]{2})|\\([^])?|[^\\]+/gu;
  for (const [whole, digits, letter] of text.matchAll(pattern)) {
    if (whole[0] !== "\\") parts.push(encoder.encode(whole));
    else if (digits) parts.push([parseInt(digits, 16)]);
    else if (letter in ESCAPES) parts.push([ESCAPES[letter]]);
    else throw new Error(`unknown escape ${whole}; expected one of: \\r, \\n, \\t, \\0, \\\\, \\xNN`);
  }
  return joined(parts.map((part) => Uint8Array.from(part)));
}

/** Return how long *milliseconds* are, for people. */
export function duration(milliseconds) {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)} s`;
  if (milliseconds < 0.1) return "< 0.1 ms";
  return `${milliseconds >= 10 ? Math.round(milliseconds) : milliseconds.toFixed(1)} ms`;
}

/** Return the time of day at *seconds* since the epoch, with milliseconds. */
export function clock(seconds) {
  const date = new Date(seconds * 1000);
  const two = (number) => String(number).padStart(2, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
    + `.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Return *count* with its noun. */
export const counted = (count, noun, nouns = `${noun}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? noun : nouns}`;
