// One picture of the map: what is in view, roads, signals, road users, names. Drawn only when something has changed.

import { drawCountdowns, drawSignals, drawTarget, prepare, RoadPicture } from "./map.js";
import { drawDetail, drawTrails, TrackLayer } from "./tracks.js";
import { drawNames, drawZone } from "./zone.js";

const ZONE_SCALE = 1; // px per m below which the picture is of the zone, with the names of its intersections
const FULL_SCALE = 0.25; // px per m from which intersections are drawn in full ...
const MAX_FULL = 24; // ... where no more than this are in view; else as marks of the zone
const REACH = 220; // m around an intersection in which its roads are worth drawing
const NEIGHBOUR = 900; // m: further apart, two intersections never track the same vehicle

export class Picture {
  constructor(canvas, camera, store, theme) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.camera = camera;
    this.store = store;
    this.theme = theme;
    this.roads = new RoadPicture();
    this.layer = new TrackLayer();
    this.prepared = new Map();
    this.marks = [];
    this.trails = false;
    this.names = true;
    this.inView = [];
    this.full = true;
    this.zone = false;
  }

  /** Return the intersections that are to be drawn in full: none where they are too small or too many. */
  visible() {
    const limits = this.camera.bounds(REACH * this.camera.scale);
    const found = [];
    this.store.intersections.forEach((place, index) => {
      if (place.x > limits.left && place.x < limits.right && place.y > limits.bottom && place.y < limits.top) found.push(index);
    });
    this.full = this.camera.scale >= FULL_SCALE && found.length <= MAX_FULL;
    this.zone = !this.full || (this.camera.scale < ZONE_SCALE && this.store.intersections.length > 1);
    this.inView = this.full ? found : [];
    return this.inView;
  }

  /** Draw what is in view as it was at `frozen` ms, or (null) as it is now. Returns whether something still moves. */
  draw(now, selected, current, frozen) {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const { canvas, context, camera, store } = this;
    const colours = this.theme.colours;
    const [width, height] = [Math.round(camera.width * ratio), Math.round(camera.height * ratio)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    context.setTransform(1, 0, 0, 1, 0, 0);
    const placed = this.inView.filter((index) => store.scenes.has(index)).map((index) => this.place(index));
    const key = [camera.x, camera.y, camera.scale, width, height, store.version, this.theme.dark, this.inView.join()].join(" ");
    context.drawImage(this.roads.draw(camera, ratio, colours, placed, key), 0, 0);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.marks = [];
    if (!this.full) {
      this.layer.begin();
      this.marks = drawZone(context, camera, colours, store.intersections, store.overview, current);
      return false;
    }
    const moving = this.drawFull(context, ratio, colours, placed, now, selected, frozen);
    if (this.zone) this.marks = drawNames(context, camera, colours, store.intersections, store.overview, current);
    return moving;
  }

  place(index) {
    const scene = this.store.scenes.get(index);
    const kept = this.prepared.get(index);
    if (!kept || kept.scene !== scene) this.prepared.set(index, prepare(scene));
    const { x, y } = this.store.intersections[index];
    return { index, prepared: this.prepared.get(index), x, y };
  }

  drawFull(context, ratio, colours, placed, now, selected, frozen) {
    const { camera, store, layer } = this;
    layer.begin();
    let moving = false;
    let badges = [];
    const seen = [];
    for (const one of placed) {
      const view = this.viewOf(one.index, frozen);
      if (!view) continue;
      drawSignals(context, camera, ratio, colours, one, view.latest.groups);
      const share = frozen === null ? Math.min((now - view.arrived) / view.gap, 1) : 1;
      moving ||= share < 1;
      seen.push({ one, view, share });
    }
    const time = seen.reduce((latest, { view }) => Math.max(latest, view.latest.t), 0);
    this.drawTargets(context, ratio, colours, placed, time);
    for (const { one, view, share } of seen) {
      badges = badges.concat(drawCountdowns(context, camera, colours, one, view.latest.groups));
      if (this.trails) drawTrails(context, camera, colours, store.history.get(one.index), one.x, one.y, view.latest.t);
      layer.add(camera, view, one.index, one.x, one.y, share, this.ownership(one, placed), selected);
    }
    layer.draw(context, colours);
    layer.drawAdvised(context, camera, colours, (name) => mostSevere(store.adviceFor(`vehicle:${name}`, time)));
    this.drawSelected(context, colours, placed, selected, time);
    if (this.names) layer.drawLabels(context, colours, badges);
    return moving;
  }

  viewOf(index, frozen) {
    if (frozen === null) return this.store.views.get(index) ?? null;
    const latest = this.store.at(index, frozen);
    return latest && { latest, previous: latest, arrived: 0, gap: 1, rows: new Int32Array(latest.tracks.rows).fill(-1) };
  }

  /** Return whether a place (m) is nearer to one intersection than to its neighbours: both track who is between them. */
  ownership(one, placed) {
    const others = placed
      .filter((other) => other !== one && Math.hypot(other.x - one.x, other.y - one.y) < NEIGHBOUR)
      .map((other) => [other.x - one.x, other.y - one.y]);
    if (!others.length) return () => true;
    return (x, y) => {
      const own = x * x + y * y;
      return others.every(([east, north]) => (x - east) ** 2 + (y - north) ** 2 >= own);
    };
  }

  drawTargets(context, ratio, colours, placed, time) {
    for (const row of this.store.advisories) {
      if (row.valid_until <= time || row.t > time) continue;
      const [kind, name] = row.target.split(":", 2);
      if (kind !== "lane" && kind !== "connection") continue;
      const one = placed.find(({ index }) => index === row.index);
      const line = one?.prepared.scene[kind === "lane" ? "lanes" : "connections"].find(({ id }) => id === name);
      if (line) drawTarget(context, this.camera, ratio, colours, one, line.xy, ["severe", "soon", "hint"][row.severity] ?? "hint");
    }
  }

  drawSelected(context, colours, placed, selected, time) {
    if (!selected) return;
    const one = this.layer.shown.find(({ chosen }) => chosen);
    const place = placed.find(({ index }) => index === selected[0]);
    if (!one || !place) return;
    drawTrails(context, this.camera, colours, this.store.history.get(selected[0]), place.x, place.y, time, selected[1]);
    context.beginPath();
    context.arc(one.px, one.py, one.reach + 10, 0, 2 * Math.PI);
    context.lineWidth = 1.5;
    context.strokeStyle = colours.ink;
    context.stroke();
    const detail = this.store.detail;
    if (detail && !detail.gone && detail.index === selected[0] && detail.track === selected[1]) {
      drawDetail(context, this.camera, colours, detail, one, place.x, place.y);
    }
  }
}

function mostSevere(rows) {
  return rows.reduce((worst, row) => (worst === null || row.severity < worst.severity ? row : worst), null);
}
