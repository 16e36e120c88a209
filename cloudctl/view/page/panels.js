// The panels beside the map: the same in words as the map shows in pictures, and what no map can show.

import { figure, make, reconcile, setText, table, timeOfDay } from "./dom.js";
import { countdown, lookOf } from "./signals.js";
import { summary, worst } from "./zone.js";

const BAND_S = 60; // s that the band of a signal group stands for
const MAX_ROWS = 60;
const MAX_WORST = 12;
const MAX_LANES = 14;
const SHORT = { pedestrian: "walk" };
const SEVERITIES = ["act now", "soon", "information"];
const body = (name) => document.querySelector(`#${name} .body`);

export class Panels {
  /** `actions`: what a press on a target or an intersection does: { select(target, index), go(index) }. */
  constructor(store, actions) {
    this.store = store;
    this.actions = actions;
    this.drawn = new Map();
  }

  /** Show one intersection as it is at `t` ms; `snapshot` is null where nothing was received. */
  show(index, snapshot, t) {
    const status = this.store.statuses.get(index);
    if (snapshot) this.signals(snapshot, this.store.scenes.get(index));
    this.advisories(t);
    this.once("withheld", status, () => this.withheld(status));
    this.rejects();
    this.once("sensors", status, () => this.sensors(status));
    this.once("traffic", status?.traffic, () => this.traffic(status?.traffic));
    this.once("latency", this.store.node, () => this.latency(index));
    this.banner(status);
  }

  once(name, value, draw) {
    if (this.drawn.get(name) === (value ?? null)) return;
    this.drawn.set(name, value ?? null);
    draw();
  }

  signals({ groups }, scene) {
    const rows = [...groups.group].map((id, row) => ({ id, row }));
    const container = body("signals");
    reconcile(container, rows, ({ id }) => id, ({ id, row }) => {
      const kind = scene?.groups[row]?.kind ?? "";
      const mark = make("span", { class: "mark", "aria-hidden": "true" });
      const band = make("span", { class: "band", "aria-hidden": "true" }, make("i"), make("b"));
      const name = kind && kind !== "vehicle" ? `${id} ${SHORT[kind] ?? kind}` : `${id}`;
      return make("div", { class: "group" }, mark, make("span", { class: "name", text: name }), make("span", { class: "word" }), make("span", { class: "count" }), band);
    });
    rows.forEach(({ row }) => this.signal(container.children[row], groups, row));
    if (!rows.length) setText(container, "No signal groups.");
  }

  signal(element, groups, row) {
    const look = lookOf(groups.state[row]);
    const [mark, , word, count, band] = element.children;
    mark.className = `mark ${look.shape} ${look.colour}`;
    setText(word, groups.overdue[row] ? `${look.word}, overdue` : look.word);
    setText(count, countdown(groups.min_end[row], groups.max_end[row]) || "–");
    const low = Math.max(Number.isNaN(groups.min_end[row]) ? 0 : groups.min_end[row], 0);
    const high = Number.isNaN(groups.max_end[row]) ? low : groups.max_end[row];
    const [range, likely] = band.children;
    range.style.left = `${share(low)}%`;
    range.style.width = `${Math.max(share(high) - share(low), 1.5)}%`;
    likely.style.display = Number.isNaN(groups.likely_end[row]) ? "none" : "";
    likely.style.left = `${share(groups.likely_end[row])}%`;
  }

  advisories(t) {
    const rows = this.store.advisories.filter((row) => row.t <= t).slice(0, MAX_ROWS);
    setText(document.getElementById("advisory-count"), `${this.store.advisories.filter((row) => row.t <= t && row.valid_until > t).length} in force`);
    reconcile(body("advisories"), rows, (row) => row.id, (row) => this.advisory(row));
  }

  advisory(row) {
    const facts = [
      row.behaviour?.replaceAll("_", " "),
      row.speed === null ? null : `${Math.round(row.speed * 3.6)} km/h`,
      row.distance === null ? null : `in ${Math.round(row.distance)} m`,
    ].filter(Boolean).join(", ");
    return make(
      "li", { class: `severity-${row.severity}` },
      make("span", { class: "time", text: timeOfDay(row.t) }),
      make("strong", { text: row.kind.replaceAll("_", " ") }),
      make("span", { class: "severity", text: SEVERITIES[row.severity] ?? "" }),
      this.target(row.target, row.index),
      make("span", { text: facts }),
      make("p", { text: row.reason }),
    );
  }

  target(target, index) {
    const [kind, name] = [target.slice(0, target.indexOf(":")), target.slice(target.indexOf(":") + 1)];
    if (kind !== "vehicle") return make("span", { class: "target", text: target });
    return make("button", { type: "button", class: "link", text: name, title: "Show this vehicle", on: { click: () => this.actions.select(name, index) } });
  }

  withheld(status) {
    const rows = status?.withheld ?? [];
    reconcile(body("withheld"), rows, (row) => `${row.target} ${row.kind} ${row.why}`, (row) =>
      make(
        "li", {},
        make("strong", { text: row.kind.replaceAll("_", " ") }),
        this.target(row.target, status.index),
        make("p", { class: "why", text: row.why }),
        make("p", { text: row.proposal }),
      ));
    if (!rows.length) reconcile(body("withheld"), ["none"], (row) => row, () => make("li", { class: "none", text: "Nothing that was proposed is held back." }));
  }

  rejects() {
    const rows = this.store.rejects.slice(0, MAX_ROWS).map((row, k, all) => ({ ...row, key: `${row.t} ${all.length - k} ${row.field ?? row.text}` }));
    reconcile(body("rejects"), rows, (row) => row.key, (row) => row.type === "reject" ? reject(row) : notice(row));
    if (!rows.length) reconcile(body("rejects"), ["none"], (row) => row, () => make("li", { class: "none", text: "Nothing was refused." }));
  }

  sensors(status) {
    const sensors = status?.sensors ?? [];
    const withClocks = sensors.some((row) => row.clock_offset !== null);
    const heads = ["unit / sensor", "Hz", "age ms", ...(withClocks ? ["clock ms"] : []), "bias m", "noise m"];
    const rows = sensors.map((row) => [
      sensorName(row),
      row.declared_hz ? `${figure(row.hz)} / ${figure(row.declared_hz, 0)}` : figure(row.hz),
      row.age_s === null ? "–" : figure(row.age_s * 1000, 0),
      ...(withClocks ? [row.clock_offset === null ? "–" : figure(row.clock_offset / 1e6)] : []),
      row.bias_x === null ? "–" : `${figure(row.bias_x, 2)}, ${figure(row.bias_y, 2)}`,
      figure(row.sigma, 2),
    ]);
    const troubles = sensors.filter(sensorTrouble).map((row) => make("p", { class: "why", text: `${row.name} ${sensorTrouble(row)}` }));
    const text = status && !rows.length ? "No sensor has sent anything yet." : "";
    const shown = rows.length ? table("Sensors: rate and what was declared, age, bias east and north and noise as fusion found them", heads, rows) : text;
    body("sensors").replaceChildren(shown, ...troubles);
  }

  traffic(report) {
    if (!report) return body("traffic").replaceChildren("The first report comes 10 s after the first plan.");
    const heads = ["lane", "LOS", "delay s", "veh/h", "on green", "km/h", "queue m"];
    const busy = report.lanes.filter((lane) => lane.flow > 0 || lane.queue_m > 0);
    busy.sort((a, b) => (b.level ?? "").localeCompare(a.level ?? "") || b.queue_m - a.queue_m);
    const rows = busy.slice(0, MAX_LANES).map((lane) => [
      lane.lane,
      lane.level ? make("span", { class: `level level-${lane.level}`, text: lane.level }) : "–",
      figure(lane.delay, 0),
      figure(lane.flow, 0),
      lane.on_green === null ? "–" : `${Math.round(lane.on_green * 100)} %`,
      lane.speed === null ? "–" : figure(lane.speed * 3.6, 0),
      figure(lane.queue_m, 0),
    ]);
    const incidents = report.incidents.map((row) => make("p", { class: "why", text: `${row.kind.replaceAll("_", " ")} on ${row.lane}, ${figure(row.distance, 0)} m before the stop line` }));
    const left = busy.length - rows.length;
    const more = left > 0 ? make("p", { class: "none", text: `and ${left} lanes with less` }) : "";
    return body("traffic").replaceChildren(rows.length ? table("Traffic by lane, the worst first", heads, rows) : "No lane has traffic.", more, ...incidents);
  }

  latency(index) {
    const ages = [...(this.store.ages.get(index) ?? [])].filter((age) => !Number.isNaN(age)).sort((a, b) => a - b);
    const rows = [];
    if (ages.length) rows.push(["sensor to plan", figure(1000 * quantile(ages, 0.5), 0), figure(1000 * quantile(ages, 0.99), 0)]);
    const names = { decoded: "decode a batch", fused: "fuse it", planned: "plan what is due", published: "publish" };
    for (const [stage, found] of Object.entries(this.store.node?.stages ?? {})) {
      if (found.count) rows.push([names[stage] ?? stage, figure(found.p50 / 1000, 2), figure(found.p99 / 1000, 2)]);
    }
    const dropped = this.store.node?.dropped ? make("p", { text: `${this.store.node.dropped} events did not reach this page: it reads too slowly` }) : "";
    body("latency").replaceChildren(rows.length ? table("Latency of the last seconds", ["hop", "median", "99 %"], rows) : "", dropped);
  }

  banner(status) {
    const reasons = Object.values(status?.gate ?? {}).filter(Boolean);
    const element = document.getElementById("banner");
    setText(element, reasons.length ? `Advice is withheld or limited: ${reasons.join("; ")}` : "");
    element.hidden = !reasons.length;
  }

  zone() {
    const { overview, intersections } = this.store;
    if (!overview) return;
    this.once("overview", overview, () => {
      const counts = summary(overview).map(({ word, colour, count }) => make("span", { class: `count ${colour}` }, make("b", { text: `${count}` }), ` ${word}`));
      const heads = ["intersection", "state", "tracks", "LOS", "queue m"];
      const rows = worst(overview, intersections, MAX_WORST).map((row) => [
        make("button", { type: "button", class: "link", text: row.name, on: { click: () => this.actions.go(row.index) } }),
        row.condition.word, `${row.tracks}`, row.level || "–", figure(row.queue, 0),
      ]);
      body("overview").replaceChildren(make("p", { class: "counts" }, ...counts), table("Intersections worth a look", heads, rows));
    });
  }

  city() {
    this.once("nodes", this.store.city, () => this.nodes(this.store.city));
  }

  /** Show every node of the city: how it is, its load, and below it what it serves, each with its epoch. */
  nodes(rows) {
    const open = new Set([...body("nodes").querySelectorAll("details[open]")].map((element) => element.dataset.node));
    const heads = ["node", "state", "serves", "load %", "faults"];
    const states = table("Nodes", heads, rows.map((row) => [
      nodeName(row), nodeState(row), `${row.intersections.length}`, figure(100 * row.load, 0), `${row.faults}`,
    ]));
    const lists = rows.map((row) => {
      const list = row.intersections.map(({ id, epoch }) => make("li", { text: epoch === null ? id : `${id}, epoch ${epoch}` }));
      const troubles = row.troubles.map(({ name, count }) => `${name} ${count}`).join(", ");
      const summary = make("summary", { text: `${row.node}: what it serves${troubles ? `; since its start ${troubles}` : ""}` });
      return make("details", { "data-node": row.node, open: open.has(row.node) ? "" : null }, summary, make("ul", {}, ...list));
    });
    body("nodes").replaceChildren(states, ...lists);
  }
}

function nodeName(row) {
  const mark = make("span", { class: row.silent || row.faults ? "dot bad" : "dot", role: "img", "aria-label": row.silent || row.faults ? "in trouble" : "good" });
  return make("span", {}, mark, row.own ? `${row.node} (this one)` : row.node);
}

function nodeState(row) {
  if (row.silent) return `silent for ${figure(row.age_s, 0)} s`;
  return row.edge ? "edge" : "serves";
}

function reject(row) {
  return make(
    "li", { class: "refused" },
    make("span", { class: "time", text: timeOfDay(row.t) }),
    make("strong", { text: `${row.kind}${row.seq === null ? "" : ` ${row.seq}`}` }),
    make("span", { text: `of ${row.sender || "an unknown sender"}` }),
    make("p", { class: "why" }, make("code", { text: `${row.field} = ${row.value}` }), ` ${row.rule}`),
    make("p", { text: row.remedy }),
  );
}

function notice(row) {
  return make("li", { class: row.of }, make("span", { class: "time", text: timeOfDay(row.t) }), make("strong", { text: row.of }), make("p", { class: "why", text: row.text }));
}

function sensorTrouble(row) {
  if (row.trouble) return row.trouble;
  return row.silent_s !== null && row.silent_s > 2 ? `is silent for ${figure(row.silent_s, 0)} s` : null;
}

function sensorName(row) {
  const bad = sensorTrouble(row) !== null;
  const mark = make("span", { class: bad ? "dot bad" : "dot", role: "img", "aria-label": bad ? "in trouble" : "good" });
  return make("span", {}, mark, row.name);
}

function share(seconds) {
  return Math.min(Math.max(seconds, 0) / BAND_S, 1) * 100;
}

function quantile(sorted, q) {
  return sorted[Math.min(Math.floor(q * sorted.length), sorted.length - 1)];
}
