"""The Python face of the compiled tracker: arrays in, arrays out.

`Fusion.update` takes the scans of any source in any order of arrival; a late one is folded in at its own time. The
filter is a
constant-velocity Kalman filter for each road user, with globally optimal association inside the gate and a Bayesian
existence
probability; `cext/` holds it, and `cext/track.h` its types.
"""

import operator
import struct
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from . import _core
from .clock import MS, SECOND
from .detections import DETECTION, MAX_SCAN, TRACK, Rows, as_rows, detections, explain, whole_numbers
from .fusion_health import source_warnings
from .fusion_settings import FEATURES, KINDS, MAX_JUMP_MS, MAX_SOURCES, FusionConfig, Motion, SourceConfig, features_of
from .schema import MAX_OBJECTS, OBJECT_BYTES, ObjectClass

__all__ = [
    "DETECTION", "FEATURES", "KINDS", "MAX_JUMP_MS", "MAX_SCAN", "MAX_SOURCES", "MAX_TRACKS", "SEEN_LATELY", "TRACK", "VEHICLE_SOURCE",  # noqa: E501
    "FrameFaults", "Fusion", "FusionConfig", "Motion", "RowFault", "Rows", "SourceConfig", "decode_batch", "detections",
    "tracks_batch", "update_batch",
]  # fmt: skip

VEHICLE_SOURCE = MAX_SOURCES - 1  # the number of connected vehicles' own reports; sensors have those below it
SEEN_LATELY = _core.SEEN_LATELY  # status of a track that was seen within 0.3 s
MAX_TRACKS = 8192  # of one intersection: far more than its lanes hold; each takes about 1 KiB, used or not
MAX_TIME: int = _core.BOUNDS["time"]  # ns, either side of the epoch
# Head of saved bytes: magic, version, 0, bytes of the tracker's own part and of a track, CRC-32 of what follows.
STATE = struct.Struct("<4sHHIII")
STATE_MAGIC = b"CCTF"
STATE_VERSION = 1  # counts up whenever a field of fusion_t or track_t (cext/track.h) changes its meaning


class Fusion:
    """The tracker of one intersection. Any thread may call it: one at a time is in it, the others wait. It can be
    copied and pickled.
    """

    def __init__(self, config: FusionConfig | None = None) -> None:
        """Make a tracker without tracks; `config` is checked when it is made."""
        if config is None:
            config = FusionConfig()

        if not isinstance(config, FusionConfig):
            raise TypeError(
                f"config is {type(config).__name__}: must be a FusionConfig. Write Fusion(FusionConfig(max_tracks=...))"
            )

        self.core = _core.Tracker(int(config.max_tracks))
        self.core.configure(
            config.gate,
            config.miss_cost,
            config.confirm,
            config.false_cost / (1.0 + config.false_cost),
            config.drop,
            config.survive_s,
            int(config.coast_ms) * MS,
            int(config.window_ms) * MS,
            int(config.jump_ms) * MS,
            features_of(config.without),
        )

        figures = self.core.motion()
        for number, motion in config.motion:
            figures[number] = astuple(motion)

        if "turns" in config.without:
            figures[:, 0], figures[:, 3] = 0.5 * figures[:, 1], 0.0  # one model alone needs the manoeuvres' noise

        self.core.set_motion(figures)

    def add_source(self, source_id: int, config: SourceConfig) -> None:
        """Describe a source (0..MAX_SOURCES - 1) as far as it is known; one that was never added works with the
        defaults.
        """
        source_id = _check_source(source_id)
        if not isinstance(config, SourceConfig):
            raise TypeError(
                f"config is {type(config).__name__}: must be a SourceConfig. Write SourceConfig(x=..., y=...,"
                " range_m=...)"
            )

        self.core.source(
            source_id,
            config.x is not None,
            config.x or 0.0,
            config.y or 0.0,
            config.heading,
            config.fov,
            config.range_m,
            config.sigma_m,
            config.sigma_v,
            config.p_detect,
            config.clutter,
            KINDS[config.kind],
            *config.bias_m,
            config.latency_ms / 1000.0,
        )

    def blind(self, source_id: int, blind: bool) -> None:
        """Set whether what a source does not see proves nothing: it is known to be dead, or its clock to be wrong. Its
        detections are used.
        """
        self.core.blind(_check_source(source_id), bool(blind))

    def update(self, t_ns: int, source_id: int, detections: Rows) -> None:
        """Fold in one scan: `detections` of a source at `t_ns`; any order of arrival, any interval. A scan in which
        nothing was seen counts too.

        `detections` is what the function `detections` returns, an array with columns of DETECTION (in any order; those
        left out are not measured), or
        positions [n, 2]; NaN in a column other than x and y means not measured. Raises TypeError for an array that
        could be taken wrong and for a time
        that is no whole number of ns, ValueError naming row, field, rule and remedy of a value that cannot be; nothing
        of the scan is folded in then.
        """
        if type(t_ns) is not int or not -MAX_TIME <= t_ns <= MAX_TIME:
            t_ns = _check_time(t_ns)

        if type(source_id) is not int or not 0 <= source_id < MAX_SOURCES:
            source_id = _check_source(source_id)

        rows = as_rows(detections)
        if len(rows) > MAX_SCAN:
            raise ValueError(
                f"detections has {len(rows)} rows: at most {MAX_SCAN:,} are one scan. Send the nearest ones"
            )

        wrong = self.core.update(t_ns, source_id, rows)
        if wrong is not None:
            raise ValueError(f"detections[{wrong[0]}].{explain(rows, *wrong)}")

    def tracks(self, t_ns: int) -> Rows:
        """Return the confirmed tracks predicted to `t_ns`: a fresh ndarray[TRACK], sorted by id. None once the last
        scan is `coast_ms` ago.
        """
        if type(t_ns) is not int or not -MAX_TIME <= t_ns <= MAX_TIME:
            t_ns = _check_time(t_ns)
        return self.core.tracks(t_ns, TRACK)

    def stats(self) -> dict[str, Any]:
        """Return counts: tracks, scans too old and too far ahead, times that the time was set anew, detections left out
        where they were too many in one place, births refused for want of room, tracks merged, lost tracks resumed; of
        each source its health; the wrong claims; and `warnings`,
        each with its remedy.

        A source's health: scans, late, refused, detections; sigma (m), bias_x, bias_y (m), lag (s), p_detect and
        clutter (1/m^2) as found;
        residual (mean squared normalized residual, 2 when all is right); scale (variance found / given); weight
        (detections behind it).
        A wrong claim: vehicle, how often (count), when (t, ns) and where (x, y) its report was last contradicted.
        """
        found = self.core.stats()
        for source in found["sources"].values():
            source["sigma"] *= source["scale"] ** 0.5
            source["clock_offset"] /= SECOND

        found["warnings"] = source_warnings(found["sources"])
        return found

    def state(self) -> bytes:
        """Return everything the tracker knows, configuration and sources too: `Fusion.restore` makes of it a tracker
        that goes on with the same bytes.
        """
        saved = self.core.save()
        return STATE.pack(STATE_MAGIC, STATE_VERSION, 0, *_core.STATE_SIZES, crc32(saved)) + saved

    @classmethod
    def restore(cls, state: bytes) -> "Fusion":
        """Return the tracker whose `state` this is. Raises ValueError where it is damaged or another version's: it is
        checked whole, from wherever it comes.
        """
        if not isinstance(state, bytes | bytearray | memoryview):
            raise TypeError(f"state is {type(state).__name__}: must be bytes. Give what Fusion.state() returned")

        state = bytes(state)
        if len(state) < STATE.size or state[:4] != STATE_MAGIC:
            raise ValueError(f"state of {len(state)} bytes: is no tracker's. Give what Fusion.state() returned")

        _, version, spare, *sizes, checksum = STATE.unpack_from(state)
        if version != STATE_VERSION or spare or tuple(sizes) != _core.STATE_SIZES:
            raise ValueError(
                f"state of version {version}, sizes {sizes}: this is version {STATE_VERSION},"
                f" {list(_core.STATE_SIZES)}. Save it with the same version of cloudctl"
            )

        saved = state[STATE.size :]
        if crc32(saved) != checksum:
            raise ValueError("state: its checksum is another. It was damaged on the way: save it again")

        made = cls.__new__(cls)
        try:
            made.core = _core.Tracker.load(saved)
        except ValueError as error:
            raise ValueError(
                f"state: its {error} cannot be. It was damaged before it was saved: begin with a new tracker"
            ) from error

        return made

    def __reduce__(self) -> tuple[Callable[[bytes], "Fusion"], tuple[bytes]]:
        """Copy and pickle by `state` and `restore`."""
        return type(self).restore, (self.state(),)


def update_batch(
    fusions: Sequence[Fusion],
    t_ns: NDArray[np.int64],
    sources: NDArray[np.int32],
    rows: Rows,
    offsets: NDArray[np.int64],
) -> None:
    """Fold in many scans of many intersections in one call without the GIL.

    Frame k, `rows[offsets[k]:offsets[k + 1]]` (as in `Fusion.update`), goes to `fusions[k]` as of `sources[k]` at
    `t_ns[k]`. Raises TypeError or
    ValueError as `update` does; nothing of any frame is folded in then.
    """
    trackers = []
    for k, fusion in enumerate(fusions):
        if not isinstance(fusion, Fusion):
            raise TypeError(f"fusions[{k}] is {type(fusion).__name__}: must be a Fusion. Give one for each frame")
        trackers.append(fusion.core)

    times, numbers = whole_numbers("t_ns", t_ns, np.int64), whole_numbers("sources", sources, np.int32)
    plain, ends = as_rows(rows), whole_numbers("offsets", offsets, np.int64)
    fault = _core.update_batch(trackers, times, numbers, plain, ends)

    if fault is not None:
        k, row, name = fault
        raise ValueError(f"frame {k}, detections[{row}].{explain(plain[ends[k] :], row, name)}")


def tracks_batch(fusions: Sequence[Fusion], t_ns: int) -> tuple[Rows, NDArray[np.int64]]:
    """Return the tracks of many intersections predicted to `t_ns`, as `Fusion.tracks` gives those of one: all in one
    ndarray[TRACK], and where those of each begin, with the end of the last."""
    times = np.full(len(fusions), _check_time(t_ns), np.int64)
    return _core.tracks_batch([fusion.core for fusion in fusions], times, TRACK)


class RowFault(NamedTuple):
    """Why one row of a perception message is refused, or with row -1 all of it."""

    row: int
    field: str
    value: str
    rule: str
    remedy: str


class FrameFaults(NamedTuple):
    """What is wrong with the objects of one perception message."""

    refused: int  # rows; -1: the whole message
    unmeasured: int  # figures that mean "not available", taken as not measured
    first: list[RowFault]  # of the message, or of its first refused rows (ROW_FAULTS in cext/track.h)


def decode_batch(
    payloads: list[bytes], shifts: NDArray[np.float64] | None = None
) -> tuple[Rows, NDArray[np.int64], list[FrameFaults | None]]:
    """Decode the `objects` of many perception messages, each moved by its `shifts` row (m).

    Returns the rows that can be used (ndarray[DETECTION]), offsets, and for each message None or what is wrong with it.
    """
    rows, offsets, faults = _core.decode_batch(payloads, shifts)
    named: list[FrameFaults | None] = [None] * len(faults)
    if any(faults):
        named = [one and _frame_faults(*one) for one in faults]

    return rows.view(DETECTION), offsets, named


def _frame_faults(refused: int, unmeasured: int, first: list[tuple[int, str, str, str, str]]) -> FrameFaults:
    return FrameFaults(refused, unmeasured, [RowFault(*row) for row in first])


def check_core() -> None:
    """Raise ImportError where the compiled core was built for another wire than `schema` describes: it would misread
    every message.
    """
    wire = {"classes": len(ObjectClass), "objects": MAX_OBJECTS, "object_bytes": OBJECT_BYTES}
    for name, value in wire.items():
        if _core.LIMITS[name] != value:
            raise ImportError(
                f"cloudctl._core was built for {name} = {_core.LIMITS[name]}, schema.py says {value}. Change both"
                " (cext/track.h), and build it again"
            )


check_core()


def _check_source(source_id: int) -> int:
    source_id = _whole("source_id", source_id, "Sources are numbered: give 0 where there is one")
    if not 0 <= source_id < MAX_SOURCES:
        raise ValueError(
            f"source {source_id}: sources are numbered 0..{MAX_SOURCES - 1}. Number them in the order in which you meet"
            " them"
        )
    return source_id


def _check_time(t_ns: int) -> int:
    t_ns = _whole("t_ns", t_ns, "Use time.time_ns(), or round(seconds * 1e9)")
    if not -MAX_TIME <= t_ns <= MAX_TIME:
        raise ValueError(
            f"t_ns = {t_ns}: must be within {MAX_TIME} ns of the epoch. Use time.time_ns(), or any other count of ns"
        )
    return t_ns


def _whole(name: str, value: object, remedy: str) -> int:
    """Return a whole number as int; TypeError for a float, which would be cut off, and for a bool."""
    if type(value) is int:
        return value

    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} = {value!r} is {type(value).__name__}: must be a whole number. {remedy}") from None
