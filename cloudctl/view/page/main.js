// The page: what arrives goes into the store, what the user does moves the camera or asks the node, and each frame is drawn from the two.

import { Camera } from "./camera.js";
import { showDetail } from "./detail.js";
import { setText, timeOfDay } from "./dom.js";
import { Kind } from "./format.js";
import { listen } from "./keys.js";
import { Panels } from "./panels.js";
import { Picture } from "./picture.js";
import { options, Player } from "./player.js";
import { Search } from "./search.js";
import { Connection } from "./socket.js";
import { Store } from "./store.js";
import { Theme } from "./theme.js";
import { CLASSES } from "./tracks.js";

const PANEL_MS = 200; // between two looks at the panels
const ASK_MS = 150; // after the camera has moved, until the node is asked for what is in view
const PAN_PX = 60;
const EDGE_PX = 30; // from the edge of the map: what is selected nearer to it is brought to the middle
const ZOOM = 1.3;

const element = (name) => document.getElementById(name);

class Page {
  constructor() {
    const { token, at } = address();
    this.wantedPlace = at;
    this.store = new Store();
    this.current = 0;
    this.selected = null;
    this.followed = null; // the name of the selected vehicle: its track may change
    this.wanted = null; // the name of a vehicle that is selected as soon as it is in the picture
    this.dirty = true;
    this.fitted = false; // whether the current intersection was brought into view
    this.taken = false; // whether the user has moved the picture since
    this.stats = { frames: 0, draws: 0, fps: 0, drawMs: 0, firstPicture: null, bytes: 0 };
    this.canvas = element("map");
    this.camera = new Camera(this.canvas, () => this.moved(), () => { this.taken = true; }, (px, py) => this.find(px, py), (found) => this.click(found));
    this.theme = new Theme(() => { this.dirty = true; });
    this.picture = new Picture(this.canvas, this.camera, this.store, this.theme);
    this.panels = new Panels(this.store, { select: (name, index) => this.selectVehicle(name, index), go: (index) => this.go(index) });
    this.connection = new Connection(token, (kind, value) => this.receive(kind, value), (state, words) => this.connected(state, words));
    this.player = new Player(this.store, (request) => this.connection.ask(request), () => { this.dirty = true; });
    this.search = new Search(() => this.candidates());
    this.listen();
    this.measured = { at: performance.now(), frames: 0, draws: 0, ms: 0, bytes: 0 };
    requestAnimationFrame((now) => this.frame(now));
    setInterval(() => this.showPanels(), PANEL_MS);
  }

  // --- what arrives ---

  receive(kind, value) {
    this.dirty = true;
    const store = this.store;
    if (kind === Kind.HELLO) this.hello(value);
    else if (kind === Kind.SCENE) store.scene(value);
    else if (kind === Kind.SNAPSHOT) this.snapshot(value);
    else if (kind === Kind.OVERVIEW) store.overview = value;
    else if (kind === Kind.EVENTS) store.events(value);
    else if (kind === Kind.STATUS) store.statuses.set(value.index, value);
    else if (kind === Kind.NODE) store.node = value;
    else if (kind === Kind.CITY) store.city = value.nodes;
    else if (kind === Kind.DETAIL) this.detail(value);
    else if (kind === Kind.PLAYER) this.played(value);
    else if (kind === Kind.ERROR) this.connected("live", `${value.field} = ${value.value}: ${value.rule}. ${value.remedy}`);
    if (kind === Kind.SCENE && value.index === this.current && !this.fitted) this.fit();
  }

  hello(value) {
    const again = this.store.intersections.length > 0;
    this.store.hello(value);
    this.showState();
    element("place").replaceChildren(...options(value.intersections));
    document.body.dataset.mode = value.mode;
    if (value.about.title) document.title = `${value.about.title} · cloudctl`;
    if (again) return this.askForView();
    const wanted = value.intersections.findIndex(({ id, name }) => id === this.wantedPlace || name === this.wantedPlace);
    return this.go(Math.max(wanted, 0));
  }

  snapshot(value) {
    this.store.snapshot(value, performance.now());
    if (this.wanted && value.names.includes(this.wanted)) this.selectVehicle(this.wanted, value.index);
  }

  detail(value) {
    if (!this.selected || value.track !== this.selected[1] || value.index !== this.selected[0]) return;
    if (value.vehicle) this.followed = value.vehicle;
    this.store.detail = value;
    if (value.gone && this.followed) this.findAgain();
  }

  played(value) {
    const before = this.store.player;
    this.store.player = value;
    if (!before || value.epoch === before.epoch) return;
    this.store.jump();
    if (this.selected && !(before.exact && value.exact)) this.renumber();
  }

  /** After a jump, tracks have other numbers: a selected vehicle is looked for by its name, any other selection is over. */
  renumber() {
    const name = this.followed;
    this.select(null);
    this.wanted = name;
  }

  connected(state, words) {
    this.state = { state, words };
    this.showState();
  }

  showState() {
    const { state, words } = this.state;
    element("state").className = state;
    setText(element("state-words"), state === "live" && words === "connected" ? this.store.mode : words);
  }

  // --- what the user does ---

  listen() {
    new ResizeObserver(() => { if (this.taken || this.picture.zone) this.moved(); else this.fit(); }).observe(element("map-area"));
    element("place").addEventListener("change", (event) => this.go(Number(event.target.value)));
    element("zone").addEventListener("click", () => this.showZone());
    element("theme").addEventListener("click", () => this.theme.toggle());
    element("help-open").addEventListener("click", () => element("help").showModal());
    const count = () => Math.max(this.store.intersections.length, 1);
    listen({
      "+": () => this.camera.zoom(ZOOM), "=": () => this.camera.zoom(ZOOM), "-": () => this.camera.zoom(1 / ZOOM),
      arrowleft: () => this.camera.pan(PAN_PX, 0), arrowright: () => this.camera.pan(-PAN_PX, 0),
      arrowup: () => this.camera.pan(0, PAN_PX), arrowdown: () => this.camera.pan(0, -PAN_PX),
      0: () => this.fit(), home: () => this.fit(),
      n: () => this.go((this.current + 1) % count()), p: () => this.go((this.current + count() - 1) % count()),
      z: () => this.showZone(), j: () => this.nextTrack(1), k: () => this.nextTrack(-1), escape: () => this.select(null),
      "/": () => this.search.focus(), "?": () => element("help").showModal(), d: () => this.theme.toggle(),
      t: () => this.switch("trails"), l: () => this.switch("names"),
      " ": () => this.player.toggle(), ".": () => this.player.step(), ",": () => this.player.back(), end: () => this.player.toNow(),
    });
  }

  switch(name) {
    this.picture[name] = !this.picture[name];
    this.dirty = true;
  }

  go(index) {
    this.current = index;
    element("place").value = String(index);
    const place = this.store.intersections[index];
    if (!place) return;
    history.replaceState(null, "", `#at=${encodeURIComponent(place.id)}`);
    this.fitted = false;
    this.camera.move(place.x, place.y, 4.5);
    this.fit();
  }

  /** Show the whole of the current intersection; until its drawing is there, its middle. */
  fit() {
    const place = this.store.intersections[this.current];
    const scene = this.store.scenes.get(this.current);
    if (!place || !scene || !this.camera.width) return;
    const { prepared } = this.picture.place(this.current);
    const { left, right, bottom, top } = prepared.reach;
    this.fitted = true;
    this.taken = false;
    this.camera.fit({ left: place.x + left, right: place.x + right, bottom: place.y + bottom, top: place.y + top }, 10);
  }

  showZone() {
    const places = this.store.intersections;
    if (!places.length) return;
    const xs = places.map(({ x }) => x);
    const ys = places.map(({ y }) => y);
    const around = 150;
    this.fitted = true;
    this.camera.fit({ left: Math.min(...xs) - around, right: Math.max(...xs) + around, bottom: Math.min(...ys) - around, top: Math.max(...ys) + around });
    this.camera.move(this.camera.x, this.camera.y, Math.min(this.camera.scale, 0.99));
  }

  moved() {
    this.dirty = true;
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.askForView(), this.fitted ? ASK_MS : 0);
  }

  askForView() {
    const watch = this.picture.visible();
    const request = { watch, zone: this.picture.zone };
    this.store.forget(new Set(watch));
    const text = JSON.stringify(request);
    if (text !== this.asked || this.connection.socket.readyState !== WebSocket.OPEN) this.connection.ask(request);
    this.asked = text;
    if (this.picture.full && watch.length && !watch.includes(this.current)) this.settle(watch);
    element("zone").setAttribute("aria-pressed", String(this.picture.zone));
    this.dirty = true;
  }

  /** Take the intersection nearest to the middle of the picture as the one the panels are of. */
  settle(watch) {
    const distance = (index) => Math.hypot(this.store.intersections[index].x - this.camera.x, this.store.intersections[index].y - this.camera.y);
    this.current = watch.reduce((best, index) => (distance(index) < distance(best) ? index : best));
    element("place").value = String(this.current);
  }

  /** Return what is drawn at a place of the map: { mark } or { hit }. */
  find(px, py) {
    const mark = this.picture.marks.find((one) => Math.hypot(one.px - px, one.py - py) < one.radius + 6);
    return mark ? { mark } : { hit: this.picture.layer.hit(px, py) };
  }

  click({ mark, hit }) {
    this.canvas.focus({ preventScroll: true });
    if (mark) return this.go(mark.index);
    return this.select(hit ? [hit.index, hit.id] : null, hit?.name ?? null);
  }

  select(selected, name = null) {
    this.selected = selected;
    this.followed = name;
    this.wanted = null;
    this.store.detail = null;
    this.connection.ask({ select: selected ?? [this.current, -1] });
    if (selected) this.bringIntoView(selected);
    this.dirty = true;
    this.showPanels();
  }

  bringIntoView([index, id]) {
    const view = this.store.views.get(index);
    const row = view ? view.latest.tracks.id.indexOf(id) : -1;
    if (row < 0) return;
    const { x, y } = this.store.intersections[index];
    const [east, north] = [x + view.latest.tracks.x[row], y + view.latest.tracks.y[row]];
    const { left, right, bottom, top } = this.camera.bounds(-EDGE_PX);
    if (east < left || east > right || north < bottom || north > top) this.camera.move(east, north);
  }

  selectVehicle(name, index) {
    for (const [place, { latest }] of this.store.views) {
      const number = latest.names.indexOf(name) + 1;
      const row = number ? latest.tracks.connected.indexOf(number) : -1;
      if (row >= 0 && (index === undefined || place === index)) return this.select([place, latest.tracks.id[row]], name);
    }
    return undefined;
  }

  findAgain() {
    const name = this.followed;
    this.followed = null;
    this.selectVehicle(name);
  }

  nextTrack(step) {
    const shown = this.picture.layer.shown;
    if (!shown.length) return;
    const at = shown.findIndex(({ chosen }) => chosen);
    const next = shown[(at + step + shown.length) % shown.length];
    this.select([next.index, next.id], next.name);
  }

  candidates() {
    const found = this.store.intersections.map(({ name, id }, index) => ({ label: name, hint: id, go: () => this.go(index) }));
    for (const [index, { latest }] of this.store.views) {
      for (let row = 0; row < latest.tracks.rows; row += 1) {
        const id = latest.tracks.id[row];
        const name = latest.tracks.connected[row] ? latest.names[latest.tracks.connected[row] - 1] : null;
        const hint = `${name ? `track ${id}, ` : ""}${CLASSES[latest.tracks.class[row]]} at ${this.store.intersections[index].name}`;
        found.push({ label: name ?? `track ${id}`, hint, go: () => this.select([index, id], name) });
      }
      const scene = this.store.scenes.get(index);
      for (const lane of scene?.lanes ?? []) found.push({ label: lane.id, hint: `${lane.use} lane`, go: () => this.lookAt(index, lane.xy) });
      for (const movement of scene?.connections ?? []) {
        if (movement.inner) found.push({ label: movement.id, hint: `movement ${movement.turn}, group ${scene.groups[movement.group]?.id ?? "none"}`, go: () => this.lookAt(index, movement.xy) });
      }
    }
    return found;
  }

  lookAt(index, xy) {
    const middle = 2 * Math.floor(xy.length / 4);
    const place = this.store.intersections[index];
    this.camera.move(place.x + xy[middle], place.y + xy[middle + 1], Math.max(this.camera.scale, 8));
  }

  // --- what is shown ---

  frame(now) {
    requestAnimationFrame((next) => this.frame(next));
    this.measured.frames += 1;
    this.stats.frames += 1;
    if (now - this.measured.at >= 1000) this.measure(now);
    if (!this.dirty) return;
    const begun = performance.now();
    this.dirty = this.picture.draw(now, this.selected, this.current, this.player.frozen);
    this.measured.ms += performance.now() - begun;
    this.measured.draws += 1;
    this.stats.draws += 1;
    const complete = this.store.views.has(this.current) && this.store.scenes.has(this.current);
    if (this.stats.firstPicture === null && (complete || (!this.picture.full && this.store.overview))) this.stats.firstPicture = performance.now();
  }

  measure(now) {
    const { at, frames, draws, ms, bytes } = this.measured;
    const seconds = (now - at) / 1000;
    this.stats.fps = frames / seconds;
    this.stats.drawMs = draws ? ms / draws : 0;
    this.stats.bytes = (this.connection.bytes - bytes) / seconds;
    setText(element("rate"), `${Math.round(this.stats.fps)} fps · ${this.stats.drawMs.toFixed(1)} ms · ${Math.round(this.stats.bytes / 1000)} kB/s`);
    this.measured = { at: now, frames: 0, draws: 0, ms: 0, bytes: this.connection.bytes };
  }

  showPanels() {
    const frozen = this.player.frozen;
    const newest = this.store.views.get(this.current)?.latest ?? null;
    const snapshot = frozen === null ? newest : this.store.at(this.current, frozen);
    const t = snapshot?.t ?? this.store.player?.t ?? this.store.overview?.t ?? 0;
    setText(element("clock"), t ? `${timeOfDay(t)} UTC` : "--:--:--");
    this.player.show(this.store.player?.t ?? t, this.current);
    const { zone } = this.picture;
    element("overview").hidden = !zone;
    // a node of a city may serve a single intersection, or none at present: then there is no zone to look at
    const hasNodes = this.store.city.length > 0 && (zone || this.store.intersections.length < 2);
    element("nodes").hidden = !hasNodes;
    if (hasNodes) this.panels.city();
    for (const name of ["signals", "advisories", "withheld", "sensors", "traffic", "latency"]) element(name).hidden = zone;
    if (zone) this.panels.zone();
    this.panels.show(this.current, zone ? null : snapshot, t);
    const advice = this.store.detail?.vehicle ? this.store.adviceFor(`vehicle:${this.store.detail.vehicle}`, t) : [];
    showDetail(this.selected ? this.store.detail : null, advice);
    this.showScale();
  }

  showScale() {
    const wanted = 130 / this.camera.scale;
    const power = 10 ** Math.floor(Math.log10(wanted));
    const metres = [5, 2, 1].map((k) => k * power).find((length) => length <= wanted) ?? power;
    setText(element("scale-words"), metres >= 1000 ? `${metres / 1000} km` : `${metres} m`);
    element("scale-bar").style.width = `${Math.round(metres * this.camera.scale)}px`;
  }
}

/** Return what the address says: the token, which is kept for this window and taken out of the address, and the intersection. */
function address() {
  const given = new URLSearchParams(location.hash.slice(1));
  const token = given.get("token");
  if (token) {
    sessionStorage.setItem("cloudctl.token", token);
    given.delete("token");
    history.replaceState(null, "", given.size ? `#${given}` : location.pathname);
  }
  return { token: token ?? sessionStorage.getItem("cloudctl.token"), at: given.get("at") };
}

window.cloudctl = new Page();
