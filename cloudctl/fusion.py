"""The Python face of the compiled tracker: arrays in, arrays out.

`Fusion.update` takes the scans of any source in any order of arrival; a late one is folded in at its own time. The filter is a
constant-velocity Kalman filter for each road user, with globally optimal association inside the gate and a Bayesian existence
probability; `cext/` holds it, and `cext/track.h` its types.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import _core
from .clock import MS
from .schema import MAX_OBJECTS, OBJECT_BYTES, ObjectClass

Rows = NDArray[Any]

CLASS = "class"  # what C calls cls


def _dtype(layout: Sequence[tuple[str, str, int, int]], size: int) -> np.dtype[Any]:
    """Return the dtype of a C struct from the layout the compiler gave it."""
    names, kinds, sizes, offsets = zip(*layout, strict=True)
    return np.dtype(
        {
            "names": [CLASS if name == "cls" else name for name in names],
            "formats": [f"{kind}{bytes_}" for kind, bytes_ in zip(kinds, sizes, strict=True)],
            "offsets": list(offsets),
            "itemsize": size,
        }
    )


DETECTION = _dtype(_core.DETECTION_LAYOUT, _core.DETECTION_SIZE)
TRACK = _dtype(_core.TRACK_LAYOUT, _core.TRACK_SIZE)
MAX_SOURCES = _core.LIMITS["sources"]  # of one intersection
VEHICLE_SOURCE = MAX_SOURCES - 1  # the number of connected vehicles' own reports; sensors have those below it
SEEN_LATELY = _core.SEEN_LATELY  # status of a track that was seen within 0.3 s
MAX_TRACKS = 8192  # of one intersection: far more than its lanes hold; each takes about 1 KiB, used or not
KINDS = _core.KINDS  # of sources, by name
FEATURES = _core.FEATURES  # bits of what can be left out, by name


@dataclass(frozen=True)
class Motion:
    """How a class of road user moves: spectral densities of acceleration (m^2/s^3) and of the turn rate (rad^2/s^3), rates of change (1/s)."""

    straight: float  # acceleration's, of the constant-velocity model
    turning: float  # acceleration's, of the turning model
    rate: float  # the turn rate's
    enter: float  # manoeuvres begun a second; 0: never, and the turning model is not run
    leave: float  # manoeuvres ended a second


@dataclass(frozen=True)
class FusionConfig:
    """How an intersection's tracker works; the defaults need no tuning. docs/fusion.md tells what each does."""

    max_tracks: int = 512
    gate: float = 20.0  # squared Mahalanobis distance
    miss_cost: float = 12.0  # of leaving a track without a detection, in the same unit
    confirm: float = 0.97  # existence probability from which a track is kept through misses, and teaches what is found of sources
    false_cost: float = 1.0  # of a false road user given out, in missed ones: shown is whoever exists with more than false_cost / (1 + false_cost)
    drop: float = 0.01
    survive_s: float = 30.0  # mean stay of a road user that nobody sees
    coast_ms: int = 2500  # without a measurement
    window_ms: int = 1000  # an older scan is refused
    motion: tuple[tuple[int, Motion], ...] = ()  # (class, how it moves), where not the default
    without: tuple[str, ...] = ()  # of FEATURES, left out to see what each is worth


@dataclass(frozen=True)
class SourceConfig:
    """What is known of one source: its place (m), field of view (rad), range (m), noise, detection probability and clutter (per m^2).

    Noise, bias (m), latency (ms), detection probability and clutter are where the estimates begin; `Fusion.stats` tells where they are.
    """

    x: float = 0.0
    y: float = 0.0
    heading: float = 0.0
    fov: float = 7.0
    range_m: float = 250.0
    sigma_m: float = 0.35
    sigma_v: float = 0.6
    p_detect: float = 0.9
    clutter: float = 1e-4
    kind: str = "detections"
    bias_m: tuple[float, float] = (0.0, 0.0)
    latency_ms: float = 0.0


class Fusion:
    """The tracker of one intersection."""

    def __init__(self, config: FusionConfig | None = None) -> None:
        config = config or FusionConfig()
        self.core = _core.Tracker(config.max_tracks)
        self.core.configure(
            config.gate,
            config.miss_cost,
            config.confirm,
            config.false_cost / (1.0 + config.false_cost),
            config.drop,
            config.survive_s,
            config.coast_ms * MS,
            config.window_ms * MS,
            _features(config.without),
        )
        figures = self.core.motion()
        for number, motion in config.motion:
            figures[number] = astuple(motion)
        if "turns" in config.without:
            figures[:, 0], figures[:, 3] = 0.5 * figures[:, 1], 0.0  # one model alone needs the manoeuvres' noise

    def add_source(self, source_id: int, config: SourceConfig) -> None:
        """Say what is known of a source (0..MAX_SOURCES - 1); one that was never added works with the defaults."""
        _check_source(source_id)
        self.core.source(
            source_id,
            config.x,
            config.y,
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
        """Say whether what a source does not see proves nothing: it is known to be dead, or its clock to be wrong. Its detections are used."""
        _check_source(source_id)
        self.core.blind(source_id, blind)

    def update(self, t_ns: int, source_id: int, detections: Rows) -> None:
        """Fold in one scan: `detections` (ndarray[DETECTION]) of a source at `t_ns`; any order of arrival, any interval.

        NaN in a field other than x and y means not measured. Raises ValueError naming the row and field of a NaN or infinite position or an
        infinite figure; nothing of the scan is folded in then.
        """
        _check_source(source_id)
        rows = np.ascontiguousarray(detections, DETECTION)
        wrong = self.core.update(t_ns, source_id, rows)
        if wrong is not None:
            row, name = wrong
            rule = (
                "a position must be finite and within 1,000 km"
                if name in "xy"
                else "must be finite, or NaN when not measured"
            )
            raise ValueError(f"detections[{row}].{name} = {rows[name][row]}: {rule}. Leave the row out")

    def tracks(self, t_ns: int) -> Rows:
        """Return the confirmed tracks predicted to `t_ns`: a fresh ndarray[TRACK], sorted by id."""
        return self.core.tracks(t_ns, TRACK)

    def stats(self) -> dict[str, Any]:
        """Return counts: tracks, scans too old, births refused for want of room, merged; of each source its health; and the wrong claims.

        A source's health: scans, late, refused, detections; sigma (m), bias_x, bias_y (m), lag (s), p_detect and clutter (1/m^2) as found;
        residual (mean squared normalized residual, 2 when all is right); scale (variance found / said); weight (detections behind it).
        A wrong claim: vehicle, how often (count), when (t, ns) and where (x, y) its report was last contradicted.
        """
        found = self.core.stats()
        for source in found["sources"].values():
            source["sigma"] *= source["scale"] ** 0.5
        return found


def update_batch(
    fusions: Sequence[Fusion],
    t_ns: NDArray[np.int64],
    sources: NDArray[np.int32],
    rows: Rows,
    offsets: NDArray[np.int64],
) -> None:
    """Fold in many scans of many intersections in one call without the GIL.

    Frame k, `rows[offsets[k]:offsets[k + 1]]` (ndarray[DETECTION], positions finite), goes to `fusions[k]` as of `sources[k]` at `t_ns[k]`.
    """
    _core.update_batch(
        [fusion.core for fusion in fusions],
        t_ns,
        sources,
        np.ascontiguousarray(rows, DETECTION).view(np.uint8).reshape(-1),
        offsets,
    )


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


def _check_core() -> None:
    """Raise ImportError where the compiled core was built for another wire than `schema` describes: it would misread every message."""
    wire = {"classes": len(ObjectClass), "objects": MAX_OBJECTS, "object_bytes": OBJECT_BYTES}
    for name, value in wire.items():
        if _core.LIMITS[name] != value:
            raise ImportError(f"cloudctl._core was built for {name} = {_core.LIMITS[name]}, schema.py says {value}. Change both (cext/track.h), and build it again")


_check_core()


def _features(without: Sequence[str]) -> int:
    unknown = set(without) - FEATURES.keys()
    if unknown:
        raise ValueError(f"without = {sorted(unknown)}: there are {', '.join(FEATURES)}. Name some of these")
    return sum(FEATURES[name] for name in set(without))


def _check_source(source_id: int) -> None:
    if not 0 <= source_id < MAX_SOURCES:
        raise ValueError(f"source {source_id}: sources are numbered 0..{MAX_SOURCES - 1}")
