"""The binary format of the live page: little-endian columns behind an 8-byte head whose first byte is the version.

A message is one frame after the other. Each frame is `HEAD` (version, kind, 0, bytes of the body), the body, and zeros
up to a multiple of 8, so that
every column can be read in place. Bodies of `FrameKind.SNAPSHOT` and `OVERVIEW` are a fixed part and then columns,
wider ones first (4, 2, 1 bytes):
all are aligned by their order alone. All other bodies are JSON. `page/format.js` reads the same tables; a test holds
the two together.

Distances are m east and north of the intersection's origin, speeds m/s, angles rad counter-clockwise from east, times
of day ms since 1970 (UTC, float64:
exact to a microsecond), other times s. NaN, in a column of whole numbers -1: not known.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..clock import MS, SECOND
from ..signals.states import NEVER, Signals
from ..world import World

VERSION: Final = 1
HEAD: Final = struct.Struct("<BBHI")  # version, kind, 0, bytes of the body
ALIGNMENT: Final = 8


class FrameKind(IntEnum):
    """What a frame holds."""

    HELLO = 1  # JSON: what the source is, and its intersections
    SCENE = 2  # JSON: the drawing of one intersection
    SNAPSHOT = 3  # columns: tracks and signals of one intersection at one time
    OVERVIEW = 4  # columns: a row per intersection, in the order of the hello
    EVENTS = 5  # JSON: a list of what happened
    STATUS = 6  # JSON: sensors, traffic and gates of one intersection
    NODE = 7  # JSON: latencies and counters of the node
    DETAIL = 8  # JSON: one track, whole
    PLAYER = 9  # JSON: where a recording stands
    ERROR = 10  # JSON: what of the page's own request cannot be used
    CITY = 11  # JSON: every node of the city, as it reports of itself


class Column(NamedTuple):
    """One column: its name and NumPy type without byte order."""

    name: str
    type: str


SNAPSHOT_HEAD: Final = struct.Struct("<dIIffHHI")
SNAPSHOT_FIELDS: Final = (
    "t_ms",
    "index",
    "revision",
    "perception_age",
    "signal_age",
    "tracks",
    "groups",
    "names_bytes",
)
TRACK_COLUMNS: Final = (
    Column("x", "f4"), Column("y", "f4"), Column("vx", "f4"), Column("vy", "f4"), Column("heading", "f4"), Column("length", "f4"), Column("width", "f4"),  # noqa: E501
    Column("sigma", "f4"), Column("id", "u4"), Column("sources", "u4"), Column("path", "i2"), Column("connection", "i2"),  # noqa: E501
    Column("class", "u1"), Column("status", "u1"), Column("existence", "u1"), Column("connected", "u1"),
)  # fmt: skip
GROUP_COLUMNS: Final = (
    Column("group", "i4"), Column("min_end", "f4"), Column("max_end", "f4"), Column("likely_end", "f4"), Column("next_green", "f4"),  # noqa: E501
    Column("age", "f4"), Column("state", "u1"), Column("overdue", "u1"),
)  # fmt: skip
OVERVIEW_HEAD: Final = struct.Struct("<dII")  # t_ms, rows, 0
OVERVIEW_COLUMNS: Final = (
    Column("perception_age", "f4"), Column("signal_age", "f4"), Column("queue_m", "f4"), Column("tracks", "u2"), Column("connected", "u2"),  # noqa: E501
    Column("advisories", "u2"), Column("condition", "u1"), Column("level", "u1"),
)  # fmt: skip


class Condition(IntEnum):
    """How an intersection is, in the overview."""

    NO_DATA = 0  # nothing was received yet, or not for long
    GOOD = 1
    DEGRADED = 2  # some advice is withheld
    NO_CODE = 3  # no revision of its code is in force


def frame(kind: FrameKind, body: bytes) -> bytes:
    """Return a frame, padded."""
    return b"".join((HEAD.pack(VERSION, kind, 0, len(body)), body, bytes(-len(body) % ALIGNMENT)))


def json_frame(kind: FrameKind, value: object) -> bytes:
    """Return a frame of a value that msgspec can write as JSON."""
    return frame(kind, msgspec.json.encode(value))


def in_order(*tables: tuple[Column, ...]) -> list[tuple[int, Column]]:
    """Return the columns of some tables as they stand in a body, with the number of each one's table: by width, the
    widest first.
    """
    rows = [(number, column) for number, table in enumerate(tables) for column in table]
    return sorted(rows, key=lambda row: -np.dtype(row[1].type).itemsize)


SENT_AS: Final = {
    name: np.dtype(f"<{name}")
    for name in sorted({column.type for column in (*TRACK_COLUMNS, *GROUP_COLUMNS, *OVERVIEW_COLUMNS)})
}
SNAPSHOT_ORDER: Final = in_order(TRACK_COLUMNS, GROUP_COLUMNS)
OVERVIEW_ORDER: Final = in_order(OVERVIEW_COLUMNS)


def snapshot(index: int, world: World, shown: Signals) -> bytes:
    """Return the frame of an intersection's newest world; `shown` are its signals as received, where `world` has what
    may be believed of them.
    """
    tracks = world.tracks
    names = "\n".join(vehicle.id for vehicle in world.vehicles).encode()
    # 0: not connected; k: the k-th of the names
    connected = world.report + 1

    columns = (
        {
            name: tracks[name]
            for name in ("x", "y", "vx", "vy", "heading", "length", "width", "id", "sources", "class", "status")
        }
        | {
            "sigma": np.sqrt(np.maximum(tracks["var_x"], tracks["var_y"])),
            "path": world.path,
            "connection": world.connection,
            "existence": tracks["existence"] * 255.0,
            "connected": np.where(connected < 256, connected, 0),
        },
        group_columns(world.t, world, shown),
    )

    head = SNAPSHOT_HEAD.pack(
        world.t / MS,
        index,
        world.code.code.revision,
        world.perception_age / SECOND if world.t_sensor else float("nan"),
        (world.t - shown.t) / SECOND if shown.t else float("nan"),
        len(tracks),
        len(shown.state),
        len(names),
    )

    body = [column_bytes(columns[number][column.name], column.type) for number, column in SNAPSHOT_ORDER]
    return frame(FrameKind.SNAPSHOT, b"".join((head, *body, names)))


def group_columns(time_ns: int, world: World, shown: Signals) -> dict[str, NDArray[np.generic]]:
    """Return the columns of the signal groups at `time_ns`: the state as it is displayed, the times as far as they may
    be believed.
    """
    believed = world.signals
    seen = shown.seen if shown.seen is not None else np.full(len(shown.state), shown.t)
    overdue = shown.overdue if shown.overdue is not None else np.zeros(len(shown.state), np.bool_)
    ends = np.array((believed.min_end, believed.max_end, believed.likely_end, believed.next_green))
    low, high, likely, green = seconds_until(time_ns, ends)

    return {
        "group": world.code.group_ids,
        "min_end": low,
        "max_end": high,
        "likely_end": likely,
        "next_green": green,
        "age": np.where(seen > 0, (time_ns - seen) / SECOND, np.nan),
        "state": shown.state,
        "overdue": overdue,
    }


def seconds_until(time_ns: int, times: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return s from `time_ns`, NaN where a time is not known."""
    return np.where(times == NEVER, np.nan, (times - time_ns) / SECOND)


def column_bytes(values: NDArray[np.generic], type_name: str) -> bytes:
    """Return a column as it is sent."""
    return values.astype(SENT_AS[type_name], copy=False).tobytes()


def overview(time_ns: int, columns: dict[str, NDArray[np.generic]]) -> bytes:
    """Return the frame of the zone at `time_ns`."""
    rows = len(columns["tracks"])
    body = [column_bytes(columns[column.name], column.type) for _, column in OVERVIEW_ORDER]
    return frame(FrameKind.OVERVIEW, b"".join((OVERVIEW_HEAD.pack(time_ns / MS, rows, 0), *body)))
