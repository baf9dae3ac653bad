// What stands in place of the list when it is empty: how to send the first request, or why there is
// nothing.

import { $, copyButton, fill, h } from "./dom.js";
import { plain } from "./notation.js";
import { address } from "./services_pane.js";

// The first request in each framing, as printf and as Python write it.
const FIRST = { line: "hello\\r\\n", resp: "PING\\r\\n", netstring: "5:hello,", chunk: "hello", raw: "hello" };
const BINARY = {
  int8: "\\x05hello", int16: "\\x00\\x05hello", int32: "\\x00\\x00\\x00\\x05hello",
  "int16:little": "\\x05\\x00hello", "int32:little": "\\x05\\x00\\x00\\x00hello",
};
// A delimiter that means the same between the quotes of a shell, in printf and in Python.
const DELIMITER = /^delimiter:((?:\\[rnt]|\\0(?!\d)|\\x[0-9a-f]{2}|[\w .,:;|#-])+)$/;
// A path that needs no quotes.
const PATH = /^[\w./-]+$/;

/**
 * Show why there is nothing to show.
 *
 * @param told functions: `enable()`, `clear()`.
 */
export function drawEmpty(service, filter, isFiltered, told) {
  fill($("empty"), h("div", {}, content(service, filter, isFiltered, told)));
}

function content(service, filter, isFiltered, told) {
  if (service === null) return [h("h3", {}, "No services"), h("p", { className: "soft" }, "This process has no service. Create one with POST /api/services.")];
  const name = plain(service.name);
  if (filter.problem) return [h("h3", {}, "The search cannot be read"), h("p", { className: "error" }, filter.problem)];
  if (isFiltered) {
    return [h("h3", {}, "Nothing fits these filters"), h("p", {}, h("button", { className: "btn", type: "button", on: told.clear }, "Clear filters"))];
  }
  if (!service.enabled) {
    return [h("h3", {}, `${name} is disabled`),
      h("p", { className: "soft" }, "Connections are refused until it is enabled. Its script and its counters are kept."),
      h("p", {}, h("button", { className: "btn go", type: "button", on: told.enable }, `Enable ${name}`))];
  }
  const { text, host, port } = address(service);
  const intro = h("p", { className: "soft" }, `${name} listens on ${text}. What it receives and answers appears here at once.`);
  if (port === null && !PATH.test(text)) return [h("h3", {}, "No request yet"), intro];
  const client = reachable(host);
  const [shell, python] = port === null
    ? [`nc -NU ${text}`, `with socket.socket(socket.AF_UNIX) as client:\n    client.connect("${text}")\n`]
    : [`nc -N ${client} ${port}`, `with socket.create_connection(("${client}", ${port})) as client:\n`];
  const escapes = first(service.framing);
  return [h("h3", {}, "No request yet"), intro, h("p", { className: "soft" }, "Send the first request:"),
    code("From a shell", `printf '${printf(escapes)}' | ${shell}`),
    code("From Python", `import socket\n\n${python}    client.sendall(b"${escapes}")\n    print(client.recv(4096))`)];
}

function first(framing) {
  const [, delimiter] = DELIMITER.exec(framing) ?? [];
  return delimiter ? `hello${delimiter}` : FIRST[framing] ?? BINARY[framing] ?? FIRST.line;
}

// What printf of every shell knows: octal numbers, but not hexadecimal ones.
const printf = (escapes) => escapes.replace(/\\x([0-9a-f]{2})/g, (_, digits) => `\\${parseInt(digits, 16).toString(8).padStart(3, "0")}`);

function reachable(host) {
  const plainHost = host.replace(/^\[|\]$/g, "");
  if (plainHost === "0.0.0.0" || plainHost === "") return "127.0.0.1";
  if (plainHost === "::") return "::1";
  return plainHost;
}

function code(label, text) {
  return h("div", { className: "code" },
    h("div", { className: "bar" }, h("span", { className: "grow" }, label), copyButton(() => text, "btn quiet", { "aria-label": `Copy: ${label}` })),
    h("pre", {}, text));
}
