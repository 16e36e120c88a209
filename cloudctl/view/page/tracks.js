// Draws road users: oriented boxes with class, speed and name; of the selected one its trail, its prediction and how sure all that is.

export const CLASSES = ["unknown", "car", "truck", "bus", "motorcycle", "bicycle", "pedestrian", "static"];
const COLOUR_OF = ["unknown", "car", "heavy", "heavy", "cycle", "cycle", "pedestrian", "unknown"];
const PEDESTRIAN = 6;
const SIZES = [[1.5, 1.5], [4.6, 1.8], [9, 2.5], [11.5, 2.5], [2.1, 0.8], [1.8, 0.7], [0.6, 0.6], [1, 1]]; // m, where none was measured
const MIN_PX = { length: 5, width: 3, pedestrian: 3.5 }; // of a drawn road user: at least this can be seen
const LABEL_SCALE = 3; // px per m from which names are shown
const SPEED_SCALE = 5; // ... and the speeds of those that are not connected
const CLASS_SCALE = 12; // ... and their classes
const MAX_NAME = 8; // characters of a name on the map; the panel has all of it
const OUTLINE_SCALE = 1.5; // px per m from which road users have an outline and a nose; smaller, a rectangle is all that can be seen
const TRAIL_SCALE = 2;
const HINT_SCALE = 1.5; // px per m from which rings of mere information are shown
const TRAIL_MS = 3000;
const MAX_LABELS = 80;
const STANDING = 0.5; // m/s
const NEAR_PX = 14; // from the edge of a road user: a click there is still meant for it
const CONTOUR = 2.45; // standard deviations: the ellipse holds the truth 95 times in 100

/** Return where the tracks of an intersection are now: between the last two plans, `share` of the way to the newer one. */
export function placeTracks(view, share) {
  const { latest, previous, rows } = view;
  const now = latest.tracks;
  const before = previous.tracks;
  const x = new Float32Array(now.rows);
  const y = new Float32Array(now.rows);
  const heading = new Float32Array(now.rows);
  for (let row = 0; row < now.rows; row += 1) {
    const from = rows[row];
    const part = from < 0 ? 1 : share;
    x[row] = from < 0 ? now.x[row] : before.x[from] + part * (now.x[row] - before.x[from]);
    y[row] = from < 0 ? now.y[row] : before.y[from] + part * (now.y[row] - before.y[from]);
    heading[row] = turned(now, row, from < 0 ? NaN : before.heading[from], part);
  }
  return { x, y, heading };
}

function turned(tracks, row, before, share) {
  let heading = tracks.heading[row];
  if (Number.isNaN(heading)) heading = Math.atan2(tracks.vy[row], tracks.vx[row]);
  if (Number.isNaN(before)) return heading;
  const turn = Math.atan2(Math.sin(heading - before), Math.cos(heading - before));
  return before + share * turn;
}

export class TrackLayer {
  constructor() {
    this.sides = new Map(); // where each label stood last: labels do not jump from side to side
    this.shown = []; // what can be clicked: { index, id, name, px, py, heading, halfLength, halfWidth }
    this.boxes = [];
  }

  begin() {
    this.shown = [];
    this.boxes = [];
    this.labels = [];
    this.buckets = new Map();
    this.small = new Map(); // by colour: px, py, heading, length, width of each
  }

  /** Take in the tracks of one intersection that lies at (east, north) m; `owns(x, y)`: whether it is the nearest one. */
  add(camera, view, index, east, north, share, owns, selected) {
    const { tracks, names } = view.latest;
    const placed = placeTracks(view, share);
    const limits = camera.bounds(60);
    for (let row = 0; row < tracks.rows; row += 1) {
      const x = east + placed.x[row];
      const y = north + placed.y[row];
      if (x < limits.left || x > limits.right || y < limits.bottom || y > limits.top) continue;
      const chosen = selected !== null && selected[0] === index && selected[1] === tracks.id[row];
      if (!chosen && !owns(placed.x[row], placed.y[row])) continue;
      this.put(camera, tracks, names, index, row, x, y, placed.heading[row], chosen);
    }
  }

  put(camera, tracks, names, index, row, x, y, heading, chosen) {
    const kind = tracks.class[row];
    const name = tracks.connected[row] ? names[tracks.connected[row] - 1] : null;
    const [px, py] = camera.toScreen(x, y);
    const [usualLength, usualWidth] = SIZES[kind] ?? SIZES[0];
    const length = Math.max((tracks.length[row] || usualLength) * camera.scale, MIN_PX.length);
    const width = Math.max((tracks.width[row] || usualWidth) * camera.scale, MIN_PX.width);
    const bucket = name ? "connected" : (COLOUR_OF[kind] ?? "unknown");
    const reach = kind === PEDESTRIAN ? Math.max(MIN_PX.pedestrian, width / 2) : length / 2;
    const one = { index, id: tracks.id[row], name, kind, px, py, x, y, heading, halfLength: reach, halfWidth: kind === PEDESTRIAN ? reach : width / 2, reach: Math.max(reach, 8), halfX: reach, halfY: reach, chosen, speed: 0 };
    this.shown.push(one);
    if (camera.scale < OUTLINE_SCALE && !chosen) {
      if (!this.small.has(bucket)) this.small.set(bucket, []);
      this.small.get(bucket).push(px, py, heading, length, width);
      return;
    }
    if (!this.buckets.has(bucket)) this.buckets.set(bucket, new Path2D());
    const path = this.buckets.get(bucket);
    if (kind === PEDESTRIAN) {
      path.moveTo(px + reach, py);
      path.arc(px, py, reach, 0, 2 * Math.PI);
    } else {
      addBox(path, px, py, heading, length, width);
    }
    one.halfX = Math.max(Math.abs(Math.cos(heading)) * length, Math.abs(Math.sin(heading)) * width) / 2 + 2;
    one.halfY = Math.max(Math.abs(Math.sin(heading)) * length, Math.abs(Math.cos(heading)) * width) / 2 + 2;
    this.boxes.push([px - one.halfX, py - one.halfY, px + one.halfX, py + one.halfY]);
    one.speed = Math.hypot(tracks.vx[row], tracks.vy[row]);
    one.words = labelOf(one, camera.scale);
    if (one.words && (chosen || camera.scale >= (name ? LABEL_SCALE : SPEED_SCALE))) this.labels.push(one);
  }

  draw(context, colours) {
    for (const [bucket, rows] of this.small) {
      context.fillStyle = colours[bucket];
      // Measured for 1,200 of them without a GPU: whole pixels 22, rotated rectangles 61, one path of all 72, its outline as much again.
      for (let k = 0; k < rows.length; k += 5) {
        const along = Math.abs(Math.cos(rows[k + 2])) >= Math.SQRT1_2;
        const wide = Math.ceil(along ? rows[k + 3] : rows[k + 4]);
        const high = Math.ceil(along ? rows[k + 4] : rows[k + 3]);
        context.fillRect(Math.round(rows[k] - wide / 2), Math.round(rows[k + 1] - high / 2), wide, high);
      }
    }
    context.lineWidth = 1.2;
    for (const [bucket, path] of this.buckets) {
      context.fillStyle = colours[bucket];
      context.fill(path);
      context.strokeStyle = colours.outline;
      context.stroke(path);
    }
  }

  /** Draw a ring around each vehicle that is advised; `adviceOf(name)` returns the most severe advisory for it, or null. */
  drawAdvised(context, camera, colours, adviceOf) {
    for (const one of this.shown) {
      const advice = one.name ? adviceOf(one.name) : null;
      if (!advice || (camera.scale < HINT_SCALE && advice.severity > 1)) continue;
      context.beginPath();
      context.arc(one.px, one.py, one.reach + 6, 0, 2 * Math.PI);
      context.lineWidth = advice.severity === 0 ? 4 : 2.2;
      context.strokeStyle = colours[["severe", "soon", "hint"][advice.severity] ?? "hint"];
      if (advice.severity === 2) context.setLineDash([5, 3]);
      context.stroke();
      context.setLineDash([]);
    }
  }

  drawLabels(context, colours, taken) {
    context.font = "500 11px system-ui, sans-serif";
    context.textAlign = "left";
    context.textBaseline = "middle";
    const occupied = [...this.boxes, ...taken];
    this.labels.sort((a, b) => Number(b.chosen) - Number(a.chosen) || Number(Boolean(b.name)) - Number(Boolean(a.name)));
    for (const one of this.labels.slice(0, MAX_LABELS)) {
      const label = one.words;
      const width = context.measureText(label).width + 6;
      const box = this.placeLabel(one, width, occupied);
      if (!box) continue;
      occupied.push(box);
      context.globalAlpha = 0.82;
      context.fillStyle = colours.paper;
      context.fillRect(box[0], box[1], width, 15);
      context.globalAlpha = 1;
      context.fillStyle = colours.ink;
      context.fillText(label, box[0] + 3, box[1] + 8);
    }
    if (this.sides.size > 4000) this.sides.clear();
  }

  /** Return a free place beside a road user for a label, where it stood last if that is free; null where there is none. */
  placeLabel(one, width, occupied) {
    const key = `${one.index} ${one.id}`;
    const places = [
      [one.px + one.halfX + 2, one.py - 7],
      [one.px - one.halfX - 2 - width, one.py - 7],
      [one.px - width / 2, one.py - one.halfY - 17],
      [one.px - width / 2, one.py + one.halfY + 2],
    ];
    const last = this.sides.get(key) ?? 0;
    for (const side of [last, 0, 1, 2, 3]) {
      const [left, top] = places[side];
      const box = [left, top, left + width, top + 15];
      if (one.chosen || !occupied.some((other) => overlaps(box, other))) {
        this.sides.set(key, side);
        return box;
      }
    }
    return null;
  }

  /**
   * Return what is at (px, py), null where nothing is near: what the place lies in, else what it is nearest to; of several
   * the one whose middle is nearest. A small road user is not hidden by a large one beside it.
   */
  hit(px, py) {
    let best = null;
    let least = [NEAR_PX, Infinity];
    for (const one of this.shown) {
      const found = [outside(one, px, py), Math.hypot(one.px - px, one.py - py)];
      if (found[0] < least[0] || (found[0] === least[0] && found[1] < least[1])) [best, least] = [one, found];
    }
    return best;
  }
}

/** Return how far (px) a place on the screen is outside a road user's box; 0 inside. */
function outside({ px, py, heading, halfLength, halfWidth }, atX, atY) {
  const [ux, uy] = [Math.cos(heading), -Math.sin(heading)];
  const [dx, dy] = [atX - px, atY - py];
  const along = Math.max(Math.abs(dx * ux + dy * uy) - halfLength, 0);
  const across = Math.max(Math.abs(dy * ux - dx * uy) - halfWidth, 0);
  return Math.hypot(along, across);
}

/** Draw where the road users of an intersection were in the last seconds; of one track, or of all. */
export function drawTrails(context, camera, colours, history, east, north, until, onlyTrack = null) {
  if (camera.scale < TRAIL_SCALE || !history) return;
  const kept = history.filter((snapshot, k) => snapshot.t <= until && snapshot.t > until - TRAIL_MS && k % 2 === 0);
  const lines = new Map();
  for (const { tracks } of kept) {
    for (let row = 0; row < tracks.rows; row += 1) {
      if (onlyTrack !== null && tracks.id[row] !== onlyTrack) continue;
      if (!lines.has(tracks.id[row])) lines.set(tracks.id[row], []);
      lines.get(tracks.id[row]).push(camera.toScreen(east + tracks.x[row], north + tracks.y[row]));
    }
  }
  context.beginPath();
  for (const points of lines.values()) points.forEach(([px, py], k) => (k ? context.lineTo(px, py) : context.moveTo(px, py)));
  context.lineWidth = onlyTrack === null ? 1.5 : 3;
  context.strokeStyle = onlyTrack === null ? colours.muted : colours.accent;
  context.globalAlpha = onlyTrack === null ? 0.45 : 0.9;
  context.stroke();
  context.globalAlpha = 1;
}

/** Draw where the selected road user will be, and how sure its place is. */
export function drawDetail(context, camera, colours, detail, one, east, north) {
  context.strokeStyle = colours.accent;
  context.lineWidth = 2;
  const [varX, varY, covariance] = detail.covariance;
  drawEllipse(context, camera, one.px, one.py, ellipseOf(varX, varY, covariance));
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(one.px, one.py);
  const points = [];
  for (let k = 0; k < detail.prediction.length; k += 2) {
    const point = camera.toScreen(east + detail.prediction[k], north + detail.prediction[k + 1]);
    points.push(point);
    context.lineTo(...point);
  }
  context.stroke();
  context.setLineDash([]);
  context.lineWidth = 1;
  let before = [one.px, one.py];
  points.forEach((point, k) => {
    const angle = Math.atan2(point[1] - before[1], point[0] - before[0]);
    const [along, across] = [detail.prediction_sigma[2 * k], detail.prediction_sigma[2 * k + 1]];
    if (k % 4 === 3) drawEllipse(context, camera, ...point, { major: along, minor: across, angle });
    before = point;
  });
}

/** Return the axes (m, one standard deviation) and the angle (rad, on the screen) of a covariance. */
export function ellipseOf(varX, varY, covariance) {
  const middle = (varX + varY) / 2;
  const spread = Math.hypot((varX - varY) / 2, covariance);
  const angle = -0.5 * Math.atan2(2 * covariance, varX - varY);
  return { major: Math.sqrt(middle + spread), minor: Math.sqrt(Math.max(middle - spread, 0)), angle };
}

function drawEllipse(context, camera, px, py, { major, minor, angle }) {
  const scale = CONTOUR * camera.scale;
  context.globalAlpha = 0.75;
  context.beginPath();
  context.ellipse(px, py, Math.max(major * scale, 1), Math.max(minor * scale, 1), angle, 0, 2 * Math.PI);
  context.stroke();
  context.globalAlpha = 1;
}

function addBox(path, px, py, heading, length, width) {
  const ux = Math.cos(heading);
  const uy = -Math.sin(heading);
  const nose = Math.min(width * 0.45, length * 0.3);
  const corners = [[-0.5, -0.5, 0], [0.5, -0.5, -nose], [0.5, 0, 0], [0.5, 0.5, -nose], [-0.5, 0.5, 0]];
  corners.forEach(([along, across, back], k) => {
    const a = along * length + back;
    const b = across * width;
    const x = px + ux * a - uy * b;
    const y = py + uy * a + ux * b;
    if (k) path.lineTo(x, y);
    else path.moveTo(x, y);
  });
  path.closePath();
}

/** Return a road user's label: its name where it is connected, its class from near by, its speed where it moves. */
function labelOf(one, scale) {
  const kind = scale >= CLASS_SCALE || one.chosen ? (CLASSES[one.kind] ?? "unknown") : "";
  const name = one.name ? shortened(one.name) : kind;
  const speed = one.speed < STANDING ? "" : `${Math.round(one.speed * 3.6)}`;
  return [name, speed].filter(Boolean).join(" ");
}

function shortened(name) {
  return name.length > MAX_NAME ? `…${name.slice(-MAX_NAME + 2)}` : name;
}

function overlaps(a, b) {
  return a[0] < b[2] && a[2] > b[0] && a[1] < b[3] && a[3] > b[1];
}
