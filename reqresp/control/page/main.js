// The page: it connects the panes, the entries and the server. Each of them has a module of its own.

import { Events, get, post, servicePath } from "./api.js";
import { DetailPane } from "./detail_pane.js";
import { openKeys, openPush, openReset, openScript, openToken } from "./dialogs.js";
import { $ } from "./dom.js";
import { drawEmpty } from "./empty.js";
import { Entry, Gap } from "./entry.js";
import { FaultsPane } from "./faults_pane.js";
import { Filter } from "./filter.js";
import { FiltersPane } from "./filters_pane.js";
import { startKeys } from "./keys.js";
import { ListPane } from "./list_pane.js";
import { counted, plain } from "./notation.js";
import { Search } from "./search.js";
import { ServicesPane, address, what } from "./services_pane.js";
import { SECONDS } from "./sparkline.js";
import { MOST, Store } from "./store.js";
import { startTheme } from "./theme.js";
import { Trouble } from "./trouble.js";

const MOST_AT_ONCE = 100; // entries of one event; in a flood the server sends fewer
const FIRST_PAGE = 200; // entries that are loaded before others
const PAGE = 1000;
const TALK_PAUSE = 250; // milliseconds between drawings of a conversation

class Page {
  constructor() {
    this.services = [];
    this.service = null; // the name of the chosen one
    this.connections = [];
    this.next = 1; // the number of the entry that comes first if there are none yet
    this.filled = new Set(); // the services whose sparklines have what came before
    this.about = {};
    this.events = null;
    this.isDown = false; // whether the events were interrupted
    this.store = new Store();
    this.filter = new Filter();
    const failed = (error) => this.failed(error);
    this.trouble = new Trouble();
    this.faults = new FaultsPane({ failed, done: () => this.trouble.clear() });
    this.search = new Search(this.store, this.filter, { found: () => this.draw(), failed });
    this.filters = new FiltersPane(this.filter, () => this.draw(), () => this.search.start(this.service));
    this.list = new ListPane(this.store, this.filter, this.search, {
      selected: (entry, isOpened) => this.selected(entry, isOpened),
      gap: (gap) => this.fillGap(gap),
    });
    this.left = new ServicesPane({
      chosen: (name) => this.choose(name),
      switched: (name, isEnabled) => this.act(post(servicePath(name, isEnabled ? "/enable" : "/disable"))),
      connection: (number) => this.only(number),
    });
    this.detail = new DetailPane(this.filter, {
      failed,
      step: (by) => this.list.step(by),
      choose: (entry) => this.list.select(entry.id, false, entry),
      back: () => this.cover(false),
      only: (connection) => this.only(connection),
      by: (by) => this.onlyBy(by),
      push: (connection) => openPush(this.service, connection),
      end: (connection, how) => this.act(post(servicePath(this.service, `/connections/${connection}/${how}`))),
      inserted: () => this.draw(),
    });
    this.narrow = matchMedia("(max-width: 760px)");
    this.narrow.addEventListener("change", () => this.cover(false));
  }

  async start() {
    startTheme();
    startKeys(this.keys());
    $("pause").addEventListener("click", () => this.list.pause());
    $("help").addEventListener("click", openKeys);
    $("script").addEventListener("click", () => openScript(this.service, { failed: (error) => this.failed(error), changed: () => this.draw() }));
    $("reset").addEventListener("click", () => openReset(() => this.act(post("/api/reset"))));
    document.addEventListener("visibilitychange", () => (document.hidden ? this.stop() : this.shown()));
    this.detail.show(null, null);
    setInterval(() => this.drawAbout(), 10_000);
    await this.connect();
  }

  async connect() {
    try {
      this.about = await get("/api");
      const { services } = await get("/api/services");
      this.drawServices(services);
      this.fillSparklines(services.map((it) => it.name));
      await this.choose(services.find((it) => isInAddress(it.name))?.name ?? services[0]?.name ?? null);
    } catch (error) {
      this.failed(error);
      if (error.status !== 401) setTimeout(() => this.connect(), 2000);
    }
  }

  // The counters say how many there were, but not when.
  async fillSparklines(names) {
    const since = Date.now() / 1000 - SECONDS;
    const { filled } = this;
    for (const name of names.filter((it) => !filled.has(it))) {
      filled.add(name);
      try {
        const { entries } = await get(servicePath(name, `/entries?since=${since}&limit=${PAGE}&max_bytes=0`));
        if (filled !== this.filled) return;
        this.left.fill(name, entries.map((it) => new Entry(it)));
      } catch (error) {
        filled.delete(name);
        if (error.status !== 404) this.failed(error);
      }
    }
  }

  get current() {
    return this.services.find((it) => it.name === this.service) ?? null;
  }

  /** Show the service with this name; null: none. */
  async choose(name) {
    this.stop();
    this.search.stop();
    this.service = name;
    this.store.clear();
    this.connections = [];
    this.list.pause(false);
    this.list.isFollowing = true;
    this.list.select(null);
    this.filters.clear();
    if (name === null) {
      this.drawServices(this.services);
      this.faults.show(null);
      this.listen();
      return;
    }
    history.replaceState(null, "", `#${encodeURIComponent(name)}`);
    this.drawServices(this.services);
    this.faults.show(name);
    this.fetchConnections();
    await this.loadOlder(name);
  }

  // The newest entries first, then those before them, until all are here.
  async loadOlder(name) {
    let limit = FIRST_PAGE;
    let before = null;
    while (this.service === name && this.store.entries.length < MOST) {
      let answer;
      try {
        const query = before === null ? "" : `&before=${before}`;
        answer = await get(servicePath(name, `/entries?limit=${limit}${query}`));
      } catch (error) {
        this.failed(error);
        break;
      }
      if (this.service !== name) return;
      const lines = answer.entries;
      const added = this.store.prepend(lines);
      this.list.prepend(added);
      this.drawCounts();
      if (before === null) {
        this.next = answer.position;
        this.listen();
      }
      if (lines.length < limit) break;
      before = lines[0].id;
      limit = PAGE;
    }
    if (this.service !== name) return;
    this.store.isWhole = true;
    if (this.events === null) this.listen();
  }

  /** Receive what happens from now on. */
  listen() {
    if (document.hidden) return;
    this.stop();
    const { service } = this;
    const query = new URLSearchParams({ most: MOST_AT_ONCE });
    if (service !== null) query.set("service", service);
    const last = this.store.last;
    query.set("after", last >= 0 ? last : this.next - 1);
    this.events = new Events(`/api/stream?${query}`, {
      event: (kind, data) => { if (this.service === service) this.received(kind, data); },
      up: () => this.up(),
      down: (error) => {
        this.isDown = true;
        this.failed(error);
        if (error.status === 404) this.fetchServices(); // it was deleted: its stream ends before the services come
      },
    });
  }

  // A page that is hidden receives nothing.
  shown() {
    this.listen();
    this.catchUp();
  }

  /** Show the services as they are now, and when they received what came meanwhile. */
  async catchUp() {
    await this.fetchServices();
    this.left.restart();
    this.filled = new Set();
    this.fillSparklines(this.services.map((it) => it.name));
  }

  // After an interruption: another process has another journal.
  async up() {
    this.trouble.clear();
    if (!this.isDown) return;
    this.isDown = false;
    try {
      const about = await get("/api");
      const { service } = this;
      const isSame = about.started === this.about.started;
      this.about = about;
      await this.catchUp();
      if (!isSame && service !== null && this.service === service) await this.choose(service);
    } catch (error) {
      this.failed(error);
    }
  }

  async fetchServices() {
    try {
      const { services } = await get("/api/services");
      this.drawServices(services);
    } catch (error) {
      this.failed(error);
    }
  }

  stop() {
    this.events?.stop();
    this.events = null;
  }

  received(kind, data) {
    if (kind === "services") this.drawServices(data.services);
    if (kind !== "entries") return;
    const added = this.store.append(data.entries, data.skipped ?? 0);
    this.list.append(added, this.store.trim());
    this.drawCounts();
    this.search.goOn();
    if (added.some((it) => it.event === "changed" && /fault/i.test(it.data.what))) this.faults.show(this.service);
    const shown = this.detail.entry?.connection ?? null;
    if (shown !== null && added.some((it) => it instanceof Gap || it.connection === shown)) this.drawTalkSoon();
    if (this.list.items.length === 0) this.drawEmpty();
  }

  drawTalkSoon() {
    this.talkTimer ??= setTimeout(() => {
      this.talkTimer = null;
      this.detail.talk?.goOn();
    }, TALK_PAUSE);
  }

  async fillGap(gap) {
    try {
      const { entries } = await get(servicePath(this.service, `/entries?after=${gap.after}&limit=${PAGE}`));
      const [first] = this.store.fill(gap, entries);
      this.list.filled();
      if (first !== undefined && this.list.selected === gap.id) this.list.select(first.id);
    } catch (error) {
      this.failed(error);
    }
  }

  selected(item, isOpened) {
    const entry = item instanceof Gap ? null : item;
    this.detail.show(this.service, entry);
    if (entry === null) this.cover(false);
    else if (isOpened) this.cover(true);
  }

  /** Below 760 pixels the detail covers the list, and what is covered cannot be reached. */
  cover(isCovering) {
    const covers = isCovering && this.narrow.matches;
    $("detail").classList.toggle("open", covers);
    for (const it of [document.querySelector(".top"), $("services"), $("middle")]) it.inert = covers;
    if (covers) $("detail").querySelector(".back").focus({ focusVisible: false });
    else if (isCovering === false && this.narrow.matches && !$("rows").hidden) $("rows").focus({ preventScroll: true, focusVisible: false });
  }

  only(connection) {
    this.filter.connection = this.filter.connection === connection ? null : connection;
    this.draw();
  }

  onlyBy(by) {
    this.filter.by = by;
    this.draw();
    this.cover(false);
  }

  /** Await a change, and show what has changed, or why it failed. */
  async act(change) {
    try {
      await change;
      this.trouble.clear();
      const { services } = await get("/api/services");
      this.drawServices(services);
    } catch (error) {
      this.failed(error);
    }
  }

  // Drawing

  draw() {
    this.list.draw();
    this.drawCounts();
    this.drawEmpty();
    this.left.drawConnections(this.connections, this.filter.connection);
    this.detail.drawBytes();
  }

  drawCounts() {
    this.filters.draw(this.store.counts);
  }

  drawServices(services) {
    const before = this.current;
    this.services = services;
    if (this.service !== null && this.current === null) {
      this.choose(services[0]?.name ?? null); // it was deleted
      return;
    }
    this.left.draw(services, this.service);
    this.drawAbout();
    this.drawHead();
    const now = this.current;
    if (now === null) return;
    // All entries of before are gone: the journal was cleared.
    const first = now.position - now.counts.entries;
    if (before !== null && before.counts.entries > 0 && first >= before.position) this.forget(now.name, first);
    if (before === null || now.counts.open !== before.counts.open || now.counts.accepted !== before.counts.accepted) this.fetchConnections();
    if (before === null || now.enabled !== before.enabled || now.listen[0] !== before.listen[0]) this.drawEmpty();
  }

  // What is shown exists no more.
  forget(name, first) {
    this.store.forget(first);
    this.next = first;
    if (!this.list.isPaused) this.list.draw();
    this.drawCounts();
    this.drawEmpty();
    this.faults.show(name); // a reset removes those that were added
  }

  drawHead() {
    const service = this.current;
    document.title = service === null ? "reqresp" : `reqresp: ${plain(service.name)}`;
    $("name").textContent = service === null ? "" : plain(service.name);
    $("name").hidden = service === null; // a heading must not be empty
    $("addr").textContent = service === null ? "" : service.listen.map(plain).join(", ") || "not listening";
    $("source").textContent = service === null ? "" : plain(what(service));
    $("source").title = $("source").textContent;
    $("script").hidden = service === null || service.kind === "relay";
    if (service !== null && address(service).text === "" && service.enabled) $("addr").textContent = "not listening";
  }

  drawAbout() {
    const open = this.services.reduce((sum, it) => sum + it.counts.open, 0);
    const parts = [location.host, counted(this.services.length, "service"), counted(open, "connection")];
    if (this.about.started) parts.push(`up ${age(Date.now() / 1000 - this.about.started)}`);
    $("about").textContent = parts.join(" · ");
  }

  drawEmpty() {
    drawEmpty(this.current, this.filter, this.filter.isActive && this.store.entries.length > 0, {
      enable: () => this.act(post(servicePath(this.service, "/enable"))),
      clear: () => this.filters.clear(),
    });
  }

  async fetchConnections() {
    const name = this.service;
    if (name === null) return;
    try {
      const { connections } = await get(servicePath(name, "/connections"));
      if (this.service !== name) return;
      this.connections = connections;
      this.detail.setOpen(connections);
      this.left.drawConnections(connections, this.filter.connection);
    } catch (error) {
      this.failed(error);
    }
  }

  failed(error) {
    if (error.status === 401) openToken(() => this.connect());
    this.trouble.show(error);
  }

  keys() {
    const { list } = this;
    return {
      j: () => list.step(1), ArrowDown: () => list.step(1), k: () => list.step(-1), ArrowUp: () => list.step(-1),
      g: () => this.end(0), Home: () => this.end(0), G: () => this.end(-1), End: () => this.end(-1),
      PageDown: () => list.step(10), PageUp: () => list.step(-10),
      p: () => list.pause(), m: () => list.nextMiss(), "/": () => $("search").focus(), "?": openKeys,
      v: () => this.detail.nextView(), r: () => this.detail.maker?.open(),
      c: () => { if (this.detail.entry?.connection != null) this.only(this.detail.entry.connection); },
      f: () => { $("faults").open = !$("faults").open; },
      Enter: () => this.enter(),
      Escape: () => this.escape(),
      leave: () => this.rest(),
    };
  }

  end(place) {
    const item = this.list.items.at(place);
    if (item === undefined) return;
    this.list.select(item.id);
    if (place < 0) this.list.follow();
  }

  enter() {
    const item = this.list.items[this.list.place];
    if (item instanceof Gap) this.fillGap(item);
    else if (this.detail.entry) this.cover(true);
  }

  escape() {
    if ($("detail").classList.contains("open")) {
      this.cover(false);
      return;
    }
    this.filters.clear();
    this.rest();
  }

  /** Have keys go to what is in front: the list, or the detail that covers it. */
  rest() {
    const isCovered = $("detail").classList.contains("open");
    (isCovered ? $("detail").querySelector(".back") : $("rows")).focus({ preventScroll: true });
  }
}

// What stands in the address need not be escaped as it should be.
const isInAddress = (name) => [`#${name}`, `#${encodeURIComponent(name)}`].includes(location.hash);

function age(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

new Page().start();
