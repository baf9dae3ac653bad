// A list of which only the visible rows exist. It knows heights and keys; it must not know what a row
// shows. The place of a row comes from prefix sums of heights, since rows have different heights.

const MARGIN = 400; // pixels above and below what is visible that have rows, too

export class VirtualList {
  /**
   * @param box the element that scrolls.
   * @param row functions: `key(item)`, `height(item)`, `render(item, place, count)`.
   */
  constructor(box, row) {
    this.box = box;
    this.row = row;
    this.items = [];
    this.ends = []; // the end of each row, counted from the first row that there ever was
    this.start = 0; // where the first row begins, counted so
    this.rows = new Map(); // the elements that exist, by key
    this.kept = null; // the key of a row that exists wherever it is
    this.sizer = document.createElement("div");
    this.sizer.className = "sizer";
    this.sizer.setAttribute("role", "presentation");
    box.append(this.sizer);
    box.addEventListener("scroll", () => this.update(), { passive: true });
  }

  get height() {
    return this.ends.length ? this.ends.at(-1) - this.start : 0;
  }

  get isAtEnd() {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 30;
  }

  /** The place of the first row that is in view, at least in part. */
  get firstInView() {
    return this.placeAt(this.box.scrollTop);
  }

  /** Show *items* instead of all there were. */
  reset(items) {
    this.items = [...items];
    this.measure();
  }

  /** Compute all heights again, and render all visible rows again. */
  measure() {
    this.start = 0;
    let end = 0;
    this.ends = this.items.map((item) => (end += this.row.height(item)));
    this.clear();
    this.update();
  }

  /** Add *items* at the end. */
  append(items) {
    let end = this.ends.at(-1) ?? this.start;
    for (const item of items) {
      end += this.row.height(item);
      this.items.push(item);
      this.ends.push(end);
    }
  }

  /** Add *items* at the beginning, without moving what is visible. */
  prepend(items) {
    const before = this.height;
    const top = this.box.scrollTop;
    this.items = [...items, ...this.items];
    this.measure();
    this.box.scrollTop = top + this.height - before;
    this.update();
  }

  /** Drop the first *count* rows, without moving what is visible. */
  drop(count) {
    if (!count) return;
    const top = this.box.scrollTop;
    const dropped = this.ends[count - 1] - this.start;
    this.items.splice(0, count);
    this.start = this.ends[count - 1];
    this.ends.splice(0, count);
    this.sizer.style.height = `${this.height}px`;
    this.box.scrollTop = Math.max(0, top - dropped);
  }

  /** Render all rows again that exist. */
  clear() {
    for (const element of this.rows.values()) element.remove();
    this.rows.clear();
  }

  /** Return the place of the item with *key*; -1: there is none. */
  find(key) {
    return this.items.findIndex((item) => this.row.key(item) === key);
  }

  /** Scroll no further than the row at *place* needs to be visible; *isCentred*: into the middle. */
  reveal(place, isCentred = false) {
    const top = this.top(place);
    const end = this.ends[place] - this.start;
    const { scrollTop, clientHeight } = this.box;
    if (isCentred && (top < scrollTop || end > scrollTop + clientHeight)) {
      this.box.scrollTop = (top + end - clientHeight) / 2;
    } else if (top < scrollTop) this.box.scrollTop = top;
    else if (end > scrollTop + clientHeight) this.box.scrollTop = end - clientHeight;
    this.update();
  }

  /** Scroll to the last row. */
  toEnd() {
    this.sizer.style.height = `${this.height}px`;
    this.box.scrollTop = this.height;
    this.update();
  }

  top(place) {
    return (place ? this.ends[place - 1] : this.start) - this.start;
  }

  /** Make the rows exist that are visible, and remove the others. */
  update() {
    this.sizer.style.height = `${this.height}px`;
    const { scrollTop, clientHeight } = this.box;
    const first = this.placeAt(scrollTop - MARGIN);
    const last = Math.min(this.items.length - 1, this.placeAt(scrollTop + clientHeight + MARGIN));
    const wanted = new Map();
    for (let place = first; place <= last; place += 1) wanted.set(this.row.key(this.items[place]), place);
    if (this.kept != null && !wanted.has(this.kept)) {
      const place = this.find(this.kept);
      if (place >= 0) wanted.set(this.kept, place);
    }
    for (const [key, element] of this.rows) {
      if (wanted.has(key)) continue;
      element.remove();
      this.rows.delete(key);
    }
    for (const [key, place] of wanted) this.show(key, place);
  }

  show(key, place) {
    let element = this.rows.get(key);
    if (element === undefined) {
      element = this.row.render(this.items[place]);
      element.style.height = `${this.row.height(this.items[place])}px`;
      this.rows.set(key, element);
      this.sizer.append(element);
    }
    const top = `translateY(${this.top(place)}px)`;
    if (element.style.transform !== top) element.style.transform = top;
    setAttribute(element, "aria-setsize", this.items.length);
    setAttribute(element, "aria-posinset", place + 1);
  }

  /** Return the place of the row at *y*, by halves. */
  placeAt(y) {
    const wanted = y + this.start;
    let low = 0;
    let high = Math.max(0, this.ends.length - 1);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function setAttribute(element, name, value) {
  const text = String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}
