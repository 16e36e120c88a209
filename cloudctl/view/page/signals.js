// What a signal group shows, in colour, shape and words: colour is never the only sign.

const RED = { colour: "red", shape: "square", word: "red" };
const YELLOW = { colour: "yellow", shape: "diamond", word: "yellow" };
const GREEN = { colour: "green", shape: "circle", word: "green" };

// In the order of schema.SignalState.
export const LOOKS = [
  { colour: "off", shape: "hollow", word: "not known" },
  { colour: "off", shape: "hollow", word: "dark" },
  RED,
  { ...RED, word: "flashing red" },
  { ...RED, word: "red and yellow" },
  { ...GREEN, word: "permissive", permissive: true },
  { ...GREEN, word: "green" },
  { ...GREEN, word: "flashing green", permissive: true },
  YELLOW,
  YELLOW,
  { ...YELLOW, word: "flashing yellow", permissive: true },
];

/** Return the look of a group's state; one this page does not know is not known. */
export function lookOf(state) {
  return LOOKS[state] ?? LOOKS[0];
}

/** Return when a state ends, in words: "12" s, "12–18" s, "≥ 12" s; "" where nobody knows. */
export function countdown(low, high) {
  const least = Math.max(Math.floor(low), 0);
  const most = Math.max(Math.ceil(high), 0);
  if (Number.isNaN(low) && Number.isNaN(high)) return "";
  if (Number.isNaN(high)) return `≥${least}`;
  if (Number.isNaN(low)) return `≤${most}`;
  return high - low < 1 ? `${least}` : `${least}–${most}`;
}

/** Draw a group's state as a badge with a text in it, its middle at (x, y) px. */
export function drawBadge(context, colours, look, label, x, y, size = 9) {
  const half = Math.max(size, label.length * 3.6 + 3);
  context.beginPath();
  if (look.shape === "diamond") {
    context.moveTo(x - half - 4, y);
    context.lineTo(x, y - size - 3);
    context.lineTo(x + half + 4, y);
    context.lineTo(x, y + size + 3);
    context.closePath();
  } else {
    const radius = look.shape === "square" ? 3 : size;
    context.roundRect(x - half, y - size, 2 * half, 2 * size, radius);
  }
  context.fillStyle = look.shape === "hollow" ? colours.paper : colours[look.colour];
  context.fill();
  context.lineWidth = 1.5;
  context.strokeStyle = look.shape === "hollow" ? colours.off : colours.paper;
  context.stroke();
  context.fillStyle = look.colour === "yellow" ? "#1b1600" : look.shape === "hollow" ? colours.ink : "#fff";
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(label, x, y + 0.5);
}
