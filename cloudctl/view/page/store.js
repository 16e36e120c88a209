// What the page knows: the newest of everything, and the last minute of snapshots for looking back.

const HISTORY_MS = 60_000;
const MAX_HISTORIES = 4; // intersections of which the last minute is kept; with more in view, none is
const MAX_EVENTS = 200;
const AGES = 100; // snapshots over which ages are summed up
const MIN_GAP_MS = 20;
const MAX_GAP_MS = 500;

export class Store {
  constructor() {
    this.mode = "live";
    this.about = {};
    this.intersections = [];
    this.scenes = new Map();
    this.views = new Map(); // by intersection: { latest, previous, arrived, gap, rows }
    this.history = new Map();
    this.statuses = new Map();
    this.overview = null;
    this.city = []; // a row for each node, where there are several
    this.detail = null;
    this.node = null;
    this.player = null;
    this.advisories = [];
    this.rejects = [];
    this.ages = new Map();
    this.version = 0; // counts up with each drawing that arrives
  }

  hello(value) {
    this.mode = value.mode;
    this.about = value.about;
    this.intersections = value.intersections;
    this.views.clear();
    this.history.clear();
  }

  scene(value) {
    this.scenes.set(value.index, value);
    this.version += 1;
  }

  snapshot(value, now) {
    const before = this.views.get(value.index);
    const jumped = !before || value.t <= before.latest.t || value.t - before.latest.t > 2000;
    const gap = before ? Math.min(Math.max(now - before.arrived, MIN_GAP_MS), MAX_GAP_MS) : MIN_GAP_MS;
    const previous = jumped ? value : before.latest;
    this.views.set(value.index, { latest: value, previous, arrived: now, gap, rows: rowsBefore(value, previous) });
    this.remember(value);
    const ages = this.ages.get(value.index) ?? [];
    ages.push(value.perceptionAge);
    if (ages.length > AGES) ages.shift();
    this.ages.set(value.index, ages);
  }

  remember(value) {
    if (this.views.size > MAX_HISTORIES) return this.history.clear();
    const kept = this.history.get(value.index) ?? [];
    kept.push(value);
    while (kept.length && value.t - kept[0].t > HISTORY_MS) kept.shift();
    this.history.set(value.index, kept);
  }

  /** Return the snapshot of an intersection that was newest at `t` ms, from the last minute. */
  at(index, t) {
    const kept = this.history.get(index) ?? [];
    let low = 0;
    let high = kept.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (kept[middle].t <= t) low = middle;
      else high = middle - 1;
    }
    return kept[low] ?? null;
  }

  forget(indexes) {
    for (const index of [...this.views.keys()]) {
      if (indexes.has(index)) continue;
      for (const table of [this.views, this.history, this.statuses, this.ages]) table.delete(index);
    }
  }

  events(rows) {
    for (const row of rows) {
      const list = row.type === "advisory" ? this.advisories : this.rejects;
      list.unshift(row);
      if (list.length > MAX_EVENTS) list.pop();
    }
  }

  /** A recording stands elsewhere now: what was seen before is of another time. */
  jump() {
    this.views.clear();
    this.history.clear();
    this.ages.clear();
    this.advisories = [];
    this.rejects = [];
    this.detail = null;
  }

  /** Return the advisories for a target that are valid at `t` ms, the newest of each kind. */
  adviceFor(target, t) {
    const found = new Map();
    for (const row of this.advisories) {
      if (row.target === target && row.t <= t && row.valid_until > t && !found.has(row.kind)) found.set(row.kind, row);
    }
    return [...found.values()];
  }
}

/** Return, for each row of a snapshot, the row of the same track in the one before it, -1 where there is none. */
function rowsBefore(snapshot, previous) {
  const rows = new Int32Array(snapshot.tracks.rows).fill(-1);
  if (snapshot === previous) return rows;
  let k = 0; // both are in order of id
  for (let row = 0; row < rows.length; row += 1) {
    while (k < previous.tracks.rows && previous.tracks.id[k] < snapshot.tracks.id[row]) k += 1;
    if (k < previous.tracks.rows && previous.tracks.id[k] === snapshot.tracks.id[row]) rows[row] = k;
  }
  return rows;
}
