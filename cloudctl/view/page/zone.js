// The zone at a glance: a mark per intersection, by how it is. Closer, the intersections themselves take their place.

const CONDITIONS = [
  { colour: "quiet", shape: "ring", word: "no data" },
  { colour: "good", shape: "disc", word: "good" },
  { colour: "degraded", shape: "triangle", word: "advice withheld" },
  { colour: "severe", shape: "cross", word: "no code in force" },
];
const LEVELS = ["", "A", "B", "C", "D", "E", "F"];
const NAME_SCALE = 0.12; // px per m from which names are shown
const MIN_APART = 46; // px between two names

/** Draw the marks of all intersections; return where each is, for clicks. */
export function drawZone(context, camera, colours, intersections, overview, current) {
  const limits = camera.bounds(20);
  drawRoads(context, camera, colours, intersections, limits);
  const paths = CONDITIONS.map(() => new Path2D());
  const marks = [];
  intersections.forEach((place, index) => {
    if (place.x < limits.left || place.x > limits.right || place.y < limits.bottom || place.y > limits.top) return;
    const [px, py] = camera.toScreen(place.x, place.y);
    const condition = overview ? (overview.condition[index] ?? 0) : 0;
    const tracks = overview ? overview.tracks[index] : 0;
    const radius = 4 + Math.min(Math.sqrt(tracks) * 0.6, 7);
    addMark(paths[condition], CONDITIONS[condition].shape, px, py, radius);
    marks.push({ index, px, py, radius });
  });
  writeNames(context, camera, colours, intersections, overview, marks, current);
  paths.forEach((path, condition) => {
    const { colour, shape } = CONDITIONS[condition];
    context.fillStyle = colours[colour];
    context.strokeStyle = shape === "disc" || shape === "triangle" ? colours.paper : colours[colour];
    context.lineWidth = shape === "cross" || shape === "ring" ? 2.2 : 1;
    if (shape === "disc" || shape === "triangle") context.fill(path);
    context.stroke(path);
  });
  return marks;
}

/** Name the intersections of a picture in which they are drawn in full; return where each name is, for clicks. */
export function drawNames(context, camera, colours, intersections, overview, current) {
  const limits = camera.bounds(20);
  const marks = intersections.flatMap((place, index) => {
    if (place.x < limits.left || place.x > limits.right || place.y < limits.bottom || place.y > limits.top) return [];
    const [px, py] = camera.toScreen(place.x + 25, place.y + 25);
    return [{ index, px, py, radius: 4 }];
  });
  writeNames(context, camera, colours, intersections, overview, marks, current);
  return marks;
}

/** Draw the roads between intersections as straight lines: enough to see how they hang together. */
function drawRoads(context, camera, colours, intersections, limits) {
  const reach = 1000; // m; no road of a code is longer
  context.beginPath();
  for (const { x, y, arms } of intersections) {
    if (x < limits.left - reach || x > limits.right + reach || y < limits.bottom - reach || y > limits.top + reach) continue;
    const [px, py] = camera.toScreen(x, y);
    for (let k = 0; k < arms.length; k += 2) {
      context.moveTo(px, py);
      context.lineTo(...camera.toScreen(x + arms[k], y + arms[k + 1]));
    }
  }
  context.lineWidth = Math.max(2, Math.min(12 * camera.scale, 6));
  context.lineCap = "round";
  context.strokeStyle = colours.road;
  context.stroke();
  context.lineCap = "butt";
}

function addMark(path, shape, px, py, radius) {
  if (shape === "cross") {
    path.moveTo(px - radius, py - radius);
    path.lineTo(px + radius, py + radius);
    path.moveTo(px - radius, py + radius);
    path.lineTo(px + radius, py - radius);
  } else if (shape === "triangle") {
    path.moveTo(px, py - radius - 2);
    path.lineTo(px + radius + 2, py + radius);
    path.lineTo(px - radius - 2, py + radius);
    path.closePath();
  } else {
    path.moveTo(px + radius, py);
    path.arc(px, py, radius, 0, 2 * Math.PI);
  }
}

function writeNames(context, camera, colours, intersections, overview, marks, current) {
  context.font = "500 11px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  const crowded = marks.length > 60 && camera.scale < NAME_SCALE;
  const named = [];
  for (const mark of marks) {
    const isCurrent = mark.index === current;
    if (crowded && !isCurrent) continue;
    if (!isCurrent && named.some((other) => Math.hypot(other.px - mark.px, (other.py - mark.py) * 3) < MIN_APART)) continue;
    named.push(mark);
    const level = overview ? LEVELS[overview.level[mark.index]] : "";
    const label = `${intersections[mark.index].name}${level ? ` · ${level}` : ""}`;
    context.globalAlpha = 0.75;
    context.fillStyle = colours.ground;
    context.fillRect(mark.px + mark.radius + 2, mark.py - 8, context.measureText(label).width + 4, 15);
    context.globalAlpha = 1;
    context.fillStyle = isCurrent ? colours.accent : colours.ink;
    context.fillText(label, mark.px + mark.radius + 4, mark.py);
  }
}

/** Return how many intersections are in each condition: [{ word, colour, count }]. */
export function summary(overview) {
  return CONDITIONS.map(({ word, colour }, condition) => {
    let count = 0;
    for (let row = 0; row < overview.rows; row += 1) count += overview.condition[row] === condition;
    return { word, colour, count };
  });
}

/** Return the rows worth a look, the worst first: not good, or with the longest queues. */
export function worst(overview, intersections, limit) {
  const rows = intersections.map((place, index) => ({
    index,
    name: place.name,
    condition: CONDITIONS[overview.condition[index]] ?? CONDITIONS[0],
    rank: [0, 0, 2, 1][overview.condition[index]] * 1000 + overview.queue_m[index],
    queue: overview.queue_m[index],
    level: LEVELS[overview.level[index]],
    tracks: overview.tracks[index],
    advisories: overview.advisories[index],
  }));
  rows.sort((a, b) => b.rank - a.rank || b.tracks - a.tracks);
  return rows.slice(0, limit);
}
