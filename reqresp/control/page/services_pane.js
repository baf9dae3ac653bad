// The services, and the connections of the chosen one. It must not know how they are fetched.

import { $, fill, h, keepFocus } from "./dom.js";
import { clock, counted, plain } from "./notation.js";
import { SECONDS, SIGNS, Sparkline } from "./sparkline.js";

const MOST_CONNECTIONS = 100; // that are listed

/** Return the first address of a service as people write it, and its port. */
export function address(service) {
  const first = service.listen[0] ?? "";
  const port = /:(\d+)$/.exec(first);
  return { text: plain(first), host: port ? first.slice(0, port.index) : "", port: port ? Number(port[1]) : null };
}

/** Return what answers in a service, and where it forwards to. */
export function what({ kind, summary, upstream }) {
  if (!upstream) return summary;
  return kind === "relay" ? `→ ${upstream}` : `${summary} → ${upstream}`;
}

export class ServicesPane {
  /** @param told functions: `chosen(name)`, `switched(name, isEnabled)`, `connection(number)`. */
  constructor(told) {
    this.told = told;
    this.cards = new Map(); // by name
    this.services = [];
    this.chosen = null;
    this.ages = []; // of the open connections
    this.conns = h("div", { className: "conns" });
    this.connsLabel = h("h2", { className: "label" });
    setInterval(() => this.tick(), 1000);
  }

  /** Show these services, of which the one named *chosen* is chosen. */
  draw(services, chosen) {
    const names = services.map((it) => it.name);
    if (names.join("\n") !== this.services.map((it) => it.name).join("\n")) this.build(names);
    const hasMoved = chosen !== this.chosen;
    this.services = services;
    this.chosen = chosen;
    for (const service of services) this.cards.get(service.name).draw(service, service.name === chosen);
    if (hasMoved) this.cards.get(chosen)?.element.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.connsLabel.textContent = `Connections of ${plain(chosen ?? "")}`;
  }

  /** Show the open connections; *only* is the number of the one whose entries alone are shown. */
  drawConnections(connections, only) {
    const shown = connections.slice(-MOST_CONNECTIONS);
    const older = connections.length - shown.length;
    const note = (text) => h("p", { className: "soft none" }, text);
    this.ages = shown.map((it) => ({ since: it.since, element: h("span", { className: "dim" }) }));
    const button = (it, i) => h("button", {
      className: "conn mono num", type: "button", "data-key": it.number, "aria-pressed": String(it.number === only),
      title: `Show this connection alone. Open since ${clock(it.since)}`, on: () => this.told.connection(it.number),
    }, h("span", {}, `#${it.number}`), h("span", { className: "soft cut" }, plain(it.peer)), this.ages[i].element);
    this.drawAges();
    keepFocus(this.conns, () => fill(this.conns, older ? note(`${counted(older, "older one")} not shown`) : null,
      shown.length ? shown.map(button) : note("none open")));
  }

  drawAges() {
    for (const { since, element } of this.ages) element.textContent = age(Date.now() / 1000 - since);
  }

  build(names) {
    this.cards = new Map(names.map((name) => [name, this.cards.get(name) ?? new Card(name, this.told)]));
    keepFocus($("services"), () => fill($("services"), h("h2", { className: "label" }, "Services"),
      [...this.cards.values()].map((it) => it.element), this.connsLabel, this.conns));
  }

  /** Show, too, what the service with this name received before the page was opened. */
  fill(name, entries) {
    const isRelay = this.services.find((it) => it.name === name)?.kind === "relay";
    this.cards.get(name)?.spark.fill(entries, isRelay);
  }

  /** Begin the sparklines again: the counts say how many came meanwhile, but not when. */
  restart() {
    for (const card of this.cards.values()) card.spark.restart();
  }

  tick() {
    for (const service of this.services) this.cards.get(service.name)?.tick(service);
    this.drawAges();
  }
}

/** One service: its name, its switch, what it is, its counts. */
class Card {
  constructor(name, told) {
    this.spark = new Sparkline();
    this.port = h("span", { className: "mono soft" });
    this.name = h("button", { className: "name", type: "button", on: () => told.chosen(name) }, plain(name), " ", this.port);
    this.toggle = h("button", {
      className: "switch", type: "button", role: "switch", "aria-label": `${plain(name)} enabled`,
      on: () => told.switched(name, this.toggle.getAttribute("aria-checked") !== "true"),
    });
    this.what = h("span", { className: "wide soft cut slimless" });
    this.load = h("span", { className: "wide soft num cut" });
    this.element = h("div", { className: "service" }, this.name, this.toggle, this.what, this.load,
      h("span", { className: "wide" }, this.spark.element));
  }

  draw(service, isChosen) {
    this.element.classList.toggle("on", isChosen);
    if (isChosen) this.name.setAttribute("aria-current", "true");
    else this.name.removeAttribute("aria-current");
    const { port, text } = address(service);
    this.port.textContent = port === null ? "" : `:${port}`;
    this.name.title = text;
    this.toggle.setAttribute("aria-checked", String(service.enabled));
    this.what.textContent = this.what.title = plain(what(service));
    this.drawLoad(service);
  }

  tick(service) {
    const { misses, errors, requests } = service.counts;
    const { spark } = this;
    // A relay knows no requests: its entries are counted.
    const isRelay = service.kind === "relay";
    spark.tick({ all: isRelay ? service.position : requests, miss: misses, error: errors });
    const sums = [counted(spark.sum("miss"), "miss", "misses"), counted(spark.sum("error"), "error")];
    spark.draw(service.enabled
      ? `${isRelay ? "Entries" : "Requests"} of ${plain(service.name)} in each of the last ${SECONDS} seconds, with ${sums.join(" and ")}`
      : `${plain(service.name)} is disabled`);
    this.drawLoad(service);
  }

  drawLoad({ enabled, counts }) {
    const wrong = (tone, text) => [" · ", h("span", { className: tone }, `${SIGNS[tone]} ${text}`)];
    fill(this.load, enabled ? [
      `${counts.open} open · ${this.spark.rate.toLocaleString("en")}/s`,
      counts.misses ? wrong("miss", counted(counts.misses, "miss", "misses")) : null,
      counts.errors ? wrong("error", counted(counts.errors, "error")) : null,
    ] : "disabled");
  }
}

function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return `${Math.floor(whole / 60)}:${two(whole % 60)}`;
}
