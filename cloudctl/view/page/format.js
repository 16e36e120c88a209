// The binary format of the page, as cloudctl/view/columns.py writes it. A test holds the tables of the two together.

export const VERSION = 1;

export const Kind = Object.freeze({
  HELLO: 1,
  SCENE: 2,
  SNAPSHOT: 3,
  OVERVIEW: 4,
  EVENTS: 5,
  STATUS: 6,
  NODE: 7,
  DETAIL: 8,
  PLAYER: 9,
  ERROR: 10,
  CITY: 11,
});

export const TRACK_COLUMNS = [
  ["x", "f4"], ["y", "f4"], ["vx", "f4"], ["vy", "f4"], ["heading", "f4"], ["length", "f4"], ["width", "f4"],
  ["sigma", "f4"], ["id", "u4"], ["sources", "u4"], ["path", "i2"], ["connection", "i2"],
  ["class", "u1"], ["status", "u1"], ["existence", "u1"], ["connected", "u1"],
];

export const GROUP_COLUMNS = [
  ["group", "i4"], ["min_end", "f4"], ["max_end", "f4"], ["likely_end", "f4"], ["next_green", "f4"],
  ["age", "f4"], ["state", "u1"], ["overdue", "u1"],
];

export const OVERVIEW_COLUMNS = [
  ["perception_age", "f4"], ["signal_age", "f4"], ["queue_m", "f4"], ["tracks", "u2"], ["connected", "u2"],
  ["advisories", "u2"], ["condition", "u1"], ["level", "u1"],
];

const HEAD_BYTES = 8;
const SNAPSHOT_HEAD_BYTES = 32;
const OVERVIEW_HEAD_BYTES = 16;
const ALIGNMENT = 8;
const ARRAYS = { f4: Float32Array, u4: Uint32Array, i4: Int32Array, i2: Int16Array, u2: Uint16Array, u1: Uint8Array };
const text = new TextDecoder();

/** A message that this page cannot read; its text says what to do. */
export class FormatError extends Error {}

/** Return the frames of one message: [{ kind, value }]. Columns are views into `buffer`. Throws FormatError. */
export function decode(buffer) {
  const view = new DataView(buffer);
  const frames = [];
  let start = 0;
  while (start < buffer.byteLength) {
    if (start + HEAD_BYTES > buffer.byteLength) throw new FormatError("The message ends in the middle of a frame.");
    const version = view.getUint8(start);
    if (version !== VERSION) {
      throw new FormatError(`The node speaks version ${version} of the page's format, this page version ${VERSION}. Load the page again.`);
    }
    const kind = view.getUint8(start + 1);
    const length = view.getUint32(start + 4, true);
    const body = start + HEAD_BYTES;
    if (body + length > buffer.byteLength) throw new FormatError("The message ends in the middle of a frame.");
    frames.push({ kind, value: decodeBody(kind, buffer, view, body, length) });
    start = body + Math.ceil(length / ALIGNMENT) * ALIGNMENT;
  }
  return frames;
}

function decodeBody(kind, buffer, view, start, length) {
  if (kind === Kind.SNAPSHOT) return decodeSnapshot(buffer, view, start);
  if (kind === Kind.OVERVIEW) return decodeOverview(buffer, view, start);
  return JSON.parse(text.decode(new Uint8Array(buffer, start, length)));
}

function decodeSnapshot(buffer, view, start) {
  const counts = { tracks: view.getUint16(start + 24, true), groups: view.getUint16(start + 26, true) };
  const tables = [
    { columns: TRACK_COLUMNS, rows: counts.tracks },
    { columns: GROUP_COLUMNS, rows: counts.groups },
  ];
  const [[tracks, groups], end] = readColumns(buffer, start + SNAPSHOT_HEAD_BYTES, tables);
  const names = text.decode(new Uint8Array(buffer, end, view.getUint32(start + 28, true)));
  return {
    t: view.getFloat64(start, true),
    index: view.getUint32(start + 8, true),
    revision: view.getUint32(start + 12, true),
    perceptionAge: view.getFloat32(start + 16, true),
    signalAge: view.getFloat32(start + 20, true),
    tracks,
    groups,
    names: names === "" ? [] : names.split("\n"),
  };
}

function decodeOverview(buffer, view, start) {
  const rows = view.getUint32(start + 8, true);
  const [[table]] = readColumns(buffer, start + OVERVIEW_HEAD_BYTES, [{ columns: OVERVIEW_COLUMNS, rows }]);
  return { t: view.getFloat64(start, true), ...table };
}

/** Read the columns of some tables: the widest first, so that each is aligned by its order alone. */
function readColumns(buffer, start, tables) {
  const read = tables.map(({ rows }) => ({ rows }));
  let at = start;
  for (const bytes of [4, 2, 1]) {
    tables.forEach(({ columns, rows }, number) => {
      for (const [name, type] of columns) {
        const Type = ARRAYS[type];
        if (Type.BYTES_PER_ELEMENT !== bytes) continue;
        read[number][name] = new Type(buffer, at, rows);
        at += rows * bytes;
      }
    });
  }
  return [read, at];
}
