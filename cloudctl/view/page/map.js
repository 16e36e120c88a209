// Draws intersections: roads once into a picture of their own, what the signals show on top of it.

import { countdown, drawBadge, lookOf } from "./signals.js";

const BADGE_SCALE = 3.2; // px per m from which countdowns are shown
const DETAIL_SCALE = 1.2; // px per m from which movements and crosswalks are drawn
const ARROW_SCALE = 6; // px per m from which the arrows of lanes are
const BADGE_AHEAD = 3; // m past the stop line: on its other side a badge would hide vehicles
const BADGE_PX = 13;
const BESIDE = 6; // m between the middles of two lanes beside each other, at the most
const MOVEMENT_WIDTH = 0.35; // m
const LEFT_TO_RIGHT = ["u", "left", "straight", "right"];
const GROUND_KINDS = ["intersection", "keep_clear"];
const AREA_COLOURS = { keep_clear: "yellow", school: "hint", works: "soon", parking: "accent" };

/** Make of a scene what is drawn again and again. */
export function prepare(scene) {
  const lanes = new Map(); // by use and width: all those lanes as one path
  for (const lane of scene.lanes) {
    const key = `${lane.use} ${lane.width}`;
    if (!lanes.has(key)) lanes.set(key, { use: lane.use, width: lane.width, path: new Path2D() });
    addLine(lanes.get(key).path, lane.xy);
  }
  const joints = new Map();
  for (const connection of scene.connections) {
    const width = Math.min(scene.lanes[connection.from].width, scene.lanes[connection.to].width);
    const use = connection.inner ? "vehicle" : scene.lanes[connection.from].use;
    const key = `${use} ${width}`;
    const table = connection.inner ? joints : lanes; // the joints of a road look like its lanes
    if (!table.has(key)) table.set(key, { use, width, path: new Path2D() });
    addLine(table.get(key).path, connection.xy);
  }
  const movements = scene.groups.map(() => ({ protected: new Path2D(), permissive: new Path2D() }));
  for (const connection of scene.connections) {
    if (connection.group < 0 || !connection.inner) continue;
    addLine(movements[connection.group][connection.permissive ? "permissive" : "protected"], connection.xy);
  }
  return {
    scene,
    lanes: [...lanes.values()],
    joints: [...joints.values()],
    ground: polygons([...scene.zones.filter((zone) => GROUND_KINDS.includes(zone.kind)).map((zone) => zone.xy), mouths(scene)]),
    areas: scene.zones.filter((zone) => zone.kind in AREA_COLOURS).map((zone) => ({ kind: zone.kind, path: polygons([zone.xy]) })),
    crosswalks: scene.crosswalks.map((walk) => ({ ...walk, outline: polygons([walk.xy]), stripes: polyline(walk.axis) })),
    movements,
    bars: bars(scene),
    arrows: arrows(scene),
    reach: reach(scene),
  };
}

/** Return the hull of where vehicles enter and leave the junction: it fills the hole between the movements. */
function mouths(scene) {
  const points = scene.connections
    .filter((connection) => connection.inner && scene.lanes[connection.from].use === "vehicle")
    .flatMap(({ xy }) => [[xy[0], xy[1]], [xy[xy.length - 2], xy[xy.length - 1]]]);
  points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const half = (row) => {
    const hull = [];
    for (const point of row) {
      while (hull.length > 1 && turn(hull[hull.length - 2], hull[hull.length - 1], point) <= 0) hull.pop();
      hull.push(point);
    }
    return hull.slice(0, -1);
  };
  return [...half(points), ...half([...points].reverse())].flat();
}

function turn(a, b, c) {
  return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
}

/** Return the stop bars, divided by signal group, and where the countdown of each part stands. */
function bars(scene) {
  const found = [];
  scene.lanes.forEach((lane, number) => {
    if (!lane.stop) return;
    const leaving = scene.connections.filter((connection) => connection.from === number && connection.inner);
    leaving.sort((a, b) => LEFT_TO_RIGHT.indexOf(a.turn) - LEFT_TO_RIGHT.indexOf(b.turn));
    const groups = [...new Set(leaving.map((connection) => connection.group))];
    const [x0, y0, x1, y1] = lane.stop; // the left end first
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const ahead = [(y0 - y1) / length, (x1 - x0) / length];
    groups.forEach((group, part) => {
      const a = part / groups.length;
      const b = (part + 1) / groups.length;
      const ends = [x0 + (x1 - x0) * a, y0 + (y1 - y0) * a, x0 + (x1 - x0) * b, y0 + (y1 - y0) * b];
      found.push({ group, use: lane.use, ends, ahead, middle: [(ends[0] + ends[2]) / 2, (ends[1] + ends[3]) / 2] });
    });
  });
  return found;
}

/** Return, for each lane that leads to a stop line, where its arrow stands and which ways it shows. */
function arrows(scene) {
  return scene.lanes.flatMap((lane, number) => {
    const turns = [...new Set(scene.connections.filter((c) => c.from === number && c.inner).map((c) => c.turn))];
    if (!lane.stop || lane.use !== "vehicle" || !turns.length) return [];
    const [x0, y0, x1, y1] = lane.stop;
    const length = Math.hypot(x1 - x0, y1 - y0) || 1;
    const ahead = [(y0 - y1) / length, (x1 - x0) / length];
    return [{ x: (x0 + x1) / 2 - 7 * ahead[0], y: (y0 + y1) / 2 - 7 * ahead[1], ahead, turns }];
  });
}

/** Return the bounds of what is worth fitting on the screen: the movements and some of the approaches. */
function reach(scene) {
  const inner = scene.connections.filter((connection) => connection.inner).flatMap((connection) => connection.xy);
  const points = inner.length ? inner : scene.lanes.flatMap((lane) => lane.xy);
  const bounds = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  for (let k = 0; k < points.length; k += 2) {
    bounds.left = Math.min(bounds.left, points[k]);
    bounds.right = Math.max(bounds.right, points[k]);
    bounds.bottom = Math.min(bounds.bottom, points[k + 1]);
    bounds.top = Math.max(bounds.top, points[k + 1]);
  }
  const around = Math.max(25, 0.5 * Math.max(bounds.right - bounds.left, bounds.top - bounds.bottom));
  return { left: bounds.left - around, right: bounds.right + around, bottom: bounds.bottom - around, top: bounds.top + around };
}

export class RoadPicture {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.key = "";
  }

  /** Return the picture of some prepared scenes, drawn anew where the camera, the colours or the scenes are others. */
  draw(camera, ratio, colours, placed, key) {
    if (key === this.key) return this.canvas;
    this.key = key;
    const { canvas, context } = this;
    canvas.width = camera.width * ratio;
    canvas.height = camera.height * ratio;
    context.fillStyle = colours.ground;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.lineJoin = "round";
    context.lineCap = "butt";
    for (const layer of [drawEdges, drawGround, drawLanes, drawMarks]) {
      for (const { prepared, x, y } of placed) {
        camera.apply(context, ratio, x, y);
        layer(context, prepared, colours, camera.scale);
      }
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    return canvas;
  }
}

function drawEdges(context, prepared, colours, scale) {
  context.strokeStyle = colours.edge;
  for (const { width, path } of prepared.lanes) {
    context.lineWidth = width + 1.2 / scale;
    context.stroke(path);
  }
}

function drawGround(context, prepared, colours) {
  context.fillStyle = colours.road;
  context.fill(prepared.ground); // it fills the hole between the movements, too
  for (const { use, width, path } of prepared.joints) {
    context.strokeStyle = laneColour(colours, use);
    context.lineWidth = width + 0.4;
    context.stroke(path);
  }
}

function drawLanes(context, prepared, colours, scale) {
  for (const { use, width, path } of prepared.lanes) {
    context.strokeStyle = laneColour(colours, use);
    context.lineWidth = Math.max(width - 1.2 / scale, 0.3);
    context.stroke(path);
  }
}

function drawMarks(context, prepared, colours, scale) {
  for (const { kind, path } of prepared.areas) {
    context.globalAlpha = 0.14;
    context.fillStyle = colours[AREA_COLOURS[kind]];
    context.fill(path);
    context.globalAlpha = 1;
  }
  if (scale < DETAIL_SCALE) return;
  for (const walk of prepared.crosswalks) {
    context.strokeStyle = colours.stripe;
    context.lineWidth = walk.width * 0.86;
    context.setLineDash([0.5, 0.6]);
    context.stroke(walk.stripes);
    context.setLineDash([]);
  }
  if (scale >= ARROW_SCALE) drawArrows(context, prepared.arrows, colours);
}

function drawArrows(context, rows, colours) {
  context.strokeStyle = colours.stripe;
  context.lineWidth = 0.22;
  const angles = { straight: 0, left: 1, right: -1, u: 2.4 };
  for (const { x, y, ahead, turns } of rows) {
    context.beginPath();
    for (const turn of turns) {
      const angle = angles[turn] ?? 0;
      const [ux, uy] = rotate(ahead, angle);
      const tip = [x + ahead[0] * 0.6 + ux * 1.7, y + ahead[1] * 0.6 + uy * 1.7];
      context.moveTo(x - ahead[0] * 1.8, y - ahead[1] * 1.8);
      context.lineTo(x + ahead[0] * 0.6, y + ahead[1] * 0.6);
      context.lineTo(...tip);
      for (const side of [2.6, -2.6]) {
        const [hx, hy] = rotate([ux, uy], side);
        context.moveTo(...tip);
        context.lineTo(tip[0] + hx * 0.75, tip[1] + hy * 0.75);
      }
    }
    context.stroke();
  }
}

/** Draw what the signals of one intersection show: movements, crosswalks, stop bars. */
export function drawSignals(context, camera, ratio, colours, { prepared, x, y }, groups) {
  camera.apply(context, ratio, x, y);
  const looks = prepared.scene.groups.map((_, group) => lookOf(groups.state[group]));
  if (camera.scale >= DETAIL_SCALE) {
    drawMovements(context, prepared, colours, looks);
    context.lineWidth = Math.max(0.3, 1 / camera.scale);
    for (const walk of prepared.crosswalks) {
      if (walk.group < 0) continue;
      context.strokeStyle = colours[looks[walk.group].colour];
      context.stroke(walk.outline);
    }
  }
  context.lineWidth = Math.max(0.9, 2.5 / camera.scale);
  for (const bar of prepared.bars) {
    context.strokeStyle = bar.group < 0 ? colours.stripe : colours[looks[bar.group].colour];
    context.beginPath();
    context.moveTo(bar.ends[0], bar.ends[1]);
    context.lineTo(bar.ends[2], bar.ends[3]);
    context.stroke();
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function drawMovements(context, prepared, colours, looks) {
  context.lineCap = "round";
  prepared.movements.forEach((movement, group) => {
    const look = looks[group];
    const stands = look.colour === "red" || look.colour === "off";
    context.strokeStyle = colours[look.colour];
    context.globalAlpha = stands ? 0.2 : 0.7;
    context.lineWidth = stands ? MOVEMENT_WIDTH / 2 : MOVEMENT_WIDTH;
    if (look.permissive) context.setLineDash([1.6, 1.2]);
    context.stroke(movement.protected);
    if (!stands) context.setLineDash([1.6, 1.2]);
    context.stroke(movement.permissive);
    context.setLineDash([]);
  });
  context.globalAlpha = 1;
  context.lineCap = "butt";
}

/** Draw the countdowns past the stop lines; return the boxes (px) they cover. */
export function drawCountdowns(context, camera, colours, { prepared, x, y }, groups) {
  const boxes = [];
  if (camera.scale < BADGE_SCALE) return boxes;
  context.font = "600 11px system-ui, sans-serif";
  const ahead = Math.max(BADGE_AHEAD, BADGE_PX / camera.scale);
  for (const { bars: together, label, look } of alike(prepared.bars, groups)) {
    const middle = [0, 1].map((axis) => together.reduce((sum, bar) => sum + bar.middle[axis], 0) / together.length);
    const [ux, uy] = together[0].ahead;
    const [px, py] = camera.toScreen(x + middle[0] + ux * ahead, y + middle[1] + uy * ahead);
    const half = Math.max(9, label.length * 3.6 + 3);
    const covered = boxes.some((box) => px + half > box[0] && px - half < box[2] && py + 9 > box[1] && py - 9 < box[3]);
    if (covered) continue;
    drawBadge(context, colours, look, label, px, py);
    boxes.push([px - half, py - 9, px + half, py + 9]);
  }
  return boxes;
}

/** Return the stop bars of each approach that show and count down the same, beside each other: one badge stands for them. */
function alike(allBars, groups) {
  const runs = [];
  for (const bar of allBars) {
    if (bar.group < 0) continue;
    const look = lookOf(groups.state[bar.group]);
    const label = countdown(groups.min_end[bar.group], groups.max_end[bar.group]);
    const last = runs[runs.length - 1];
    const before = last?.bars[last.bars.length - 1];
    const beside = before && Math.hypot(bar.middle[0] - before.middle[0], bar.middle[1] - before.middle[1]) < BESIDE;
    if (beside && last.label === label && last.look === look && bar.ahead[0] * before.ahead[0] + bar.ahead[1] * before.ahead[1] > 0.9) last.bars.push(bar);
    else runs.push({ bars: [bar], label, look });
  }
  return runs;
}

/** Draw the lane or movement that an advisory is for. */
export function drawTarget(context, camera, ratio, colours, { prepared, x, y }, line, colour) {
  camera.apply(context, ratio, x, y);
  context.strokeStyle = colours[colour];
  context.lineWidth = Math.max(0.5, 2 / camera.scale);
  context.setLineDash([2, 1.5]);
  context.stroke(polyline(line));
  context.setLineDash([]);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function laneColour(colours, use) {
  return { bike: colours.bike, pedestrian: colours.walk, bus: colours.bus, tram: colours.tram }[use] ?? colours.road;
}

function rotate([x, y], angle) {
  return [x * Math.cos(angle) - y * Math.sin(angle), x * Math.sin(angle) + y * Math.cos(angle)];
}

function addLine(path, xy) {
  path.moveTo(xy[0], xy[1]);
  for (let k = 2; k < xy.length; k += 2) path.lineTo(xy[k], xy[k + 1]);
}

function polyline(xy) {
  const path = new Path2D();
  addLine(path, xy);
  return path;
}

function polygons(rings) {
  const path = new Path2D();
  for (const xy of rings) {
    addLine(path, xy);
    path.closePath();
  }
  return path;
}
