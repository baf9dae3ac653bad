// Makes elements and finds them. It must not know what they show. Nothing here parses markup: text
// becomes text nodes alone, so what a client has sent cannot become an element.

const SVG = "http://www.w3.org/2000/svg";

/** Return the element with this id. */
export const $ = (id) => document.getElementById(id);

/**
 * Return a new element.
 *
 * `on` is called at a click; other properties are properties of the element, or attributes. A kid is a
 * node, a text, null, or a list of these.
 */
export function h(tag, properties = {}, ...kids) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") element.addEventListener("click", value);
    else if (value == null) continue;
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...nodes(kids));
  return element;
}

/** Return a new element of SVG with these attributes. */
export function svg(tag, attributes = {}, ...kids) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...kids);
  return element;
}

/** Replace what *element* contains. */
export function fill(element, ...kids) {
  element.replaceChildren(...nodes(kids));
}

/** Return a button that copies the text that *text* returns. */
export function copyButton(text, className = "btn quiet", properties = {}) {
  const copy = async (event) => {
    const button = event.currentTarget;
    button.textContent = (await copyText(text())) ? "Copied" : "Cannot copy";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  };
  return h("button", { type: "button", className, on: copy, ...properties }, "Copy");
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

// The clipboard's own interface exists on localhost and over TLS alone.
function copySelected(text) {
  const area = h("textarea", { value: text, className: "offscreen", "aria-hidden": "true" });
  const focused = document.activeElement;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return isCopied;
}

/** Return a key cap. */
export const key = (text, className = "") => h("kbd", { className }, text);

/** Return a group of buttons of which one is pressed; `choose` is called with its word. */
export function choice(label, words, chosen, choose, className = "") {
  const press = (word) => {
    for (const button of group.children) {
      button.setAttribute("aria-pressed", String(button.dataset.word === word));
    }
    choose(word);
  };
  const button = (word) => h("button", {
    type: "button", className, "data-word": word, "aria-pressed": String(word === chosen),
    on: () => press(word),
  }, word);
  const group = h("div", { className: "seg", role: "group", "aria-label": label }, words.map(button));
  return group;
}

const CONTROLS = "button, select, input, textarea, [tabindex]";

/** Call *draw*, which makes the controls in *box* again; the one that has the focus keeps it. */
export function keepFocus(box, draw) {
  const focused = box.contains(document.activeElement) ? document.activeElement : null;
  draw();
  if (focused === null || focused === document.activeElement) return;
  const isSame = (it) => it.tagName === focused.tagName && it.type === focused.type && nameOf(it) === nameOf(focused);
  [...box.querySelectorAll(CONTROLS)].find(isSame)?.focus({ preventScroll: true });
}

const nameOf = (control) => control.dataset.key ?? control.getAttribute("aria-label") ?? control.textContent;

/** Return a function that calls *call* once, some time after its last call. */
export function later(milliseconds, call) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), milliseconds);
  };
}

const nodes = (kids) => kids.flat(Infinity).filter((kid) => kid != null && kid !== false);
