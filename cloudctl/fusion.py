"""The Python face of the compiled tracker: arrays in, arrays out.

`Fusion.update` takes the scans of any source in any order of arrival; a late one is folded in at its own time. The filter is a
constant-velocity Kalman filter for each road user, with globally optimal association inside the gate and a Bayesian existence
probability; `cext/` holds it, and `cext/track.h` its types.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from .clock import MS

Rows = NDArray[Any]

DETECTION = np.dtype(
    {
        "names": [
            "x",
            "y",
            "vx",
            "vy",
            "heading",
            "length",
            "width",
            "height",
            "var_x",
            "var_y",
            "cov_xy",
            "confidence",
            "id",
            "vehicle",
            "class",
        ],
        "formats": ["f8"] * 2 + ["f4"] * 10 + ["u4"] * 2 + ["u1"],
        "offsets": [0, 8, *range(16, 56, 4), 56, 60, 64],
        "itemsize": _core.DETECTION_SIZE,
    }
)
TRACK = np.dtype(
    {
        "names": [
            "t",
            "x",
            "y",
            "vx",
            "vy",
            "heading",
            "yaw_rate",
            "length",
            "width",
            "height",
            "var_x",
            "var_y",
            "cov_xy",
            "var_vx",
            "var_vy",
            "cov_vxvy",
            "existence",
            "class_p",
            "id",
            "vehicle",
            "sources",
            "last",
            "class",
            "status",
        ],
        "formats": ["i8", "f8", "f8"] + ["f4"] * 15 + ["u4"] * 3 + ["i8", "u1", "u1"],
        "offsets": [0, 8, 16, *range(24, 84, 4), 84, 88, 92, 96, 104, 105],
        "itemsize": _core.TRACK_SIZE,
    }
)
MAX_SOURCES = 32
KINDS = ("detections", "tracks", "cooperative")


@dataclass(frozen=True)
class FusionConfig:
    """How an intersection's tracker works; the defaults need no tuning."""

    max_tracks: int = 512
    gate: float = 16.0  # squared Mahalanobis distance
    miss_cost: float = 15.0  # of leaving a detection without a track, in the same unit
    confirm: float = 0.95  # existence probability
    drop: float = 0.02
    survive_s: float = 30.0  # mean stay of a road user that nobody sees
    coast_ms: int = 2500  # without a measurement
    window_ms: int = 1000  # an older scan is refused
    noise: tuple[float, ...] = (
        2.0,
        2.0,
        1.5,
        1.5,
        3.0,
        1.0,
        0.4,
        0.01,
    )  # m^2/s^3 by class: spectral density of acceleration


@dataclass(frozen=True)
class SourceConfig:
    """What is known of one source: its place (m), field of view (rad), range (m), noise, detection probability and clutter (per m^2)."""

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


class Fusion:
    """The tracker of one intersection."""

    def __init__(self, config: FusionConfig | None = None) -> None:
        config = config or FusionConfig()
        self.core = _core.Tracker(config.max_tracks)
        self.core.configure(
            config.gate,
            config.miss_cost,
            config.confirm,
            config.drop,
            config.survive_s,
            config.coast_ms * MS,
            config.window_ms * MS,
            np.array(config.noise, np.float64),
        )

    def add_source(self, source_id: int, config: SourceConfig) -> None:
        """Say what is known of a source (0..31); one that was never added works with the defaults."""
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
            KINDS.index(config.kind),
        )

    def update(self, t_ns: int, source_id: int, detections: Rows) -> None:
        """Fold in one scan: `detections` (ndarray[DETECTION]) of a source at `t_ns`. Raises ValueError naming the row and field of a NaN position."""
        _check_source(source_id)
        rows = np.ascontiguousarray(detections, DETECTION)
        for name in ("x", "y"):
            wrong = np.flatnonzero(~np.isfinite(rows[name]))
            if len(wrong):
                raise ValueError(
                    f"detections[{wrong[0]}].{name} = {rows[name][wrong[0]]}: a position must be finite. Leave the row out"
                )
        self.core.update(t_ns, source_id, rows.view(np.uint8).reshape(-1))

    def tracks(self, t_ns: int) -> Rows:
        """Return the confirmed tracks predicted to `t_ns`: a fresh ndarray[TRACK], sorted by id."""
        return self.core.tracks(t_ns).view(TRACK)

    def stats(self) -> dict[str, Any]:
        """Return counts: tracks, scans too old, births refused for want of room; and of each source scans, late and refused."""
        return self.core.stats()


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


def decode_batch(
    payloads: list[bytes], shifts: NDArray[np.float64] | None = None
) -> tuple[Rows, NDArray[np.int64], list[tuple[int, str, str, str] | None]]:
    """Decode the `objects` of many perception messages, each moved by its `shifts` row (m).

    Returns rows (ndarray[DETECTION]), offsets, and for each message None or the fault (row, field, value, rule) for which it gave no rows.
    """
    rows, offsets, faults = _core.decode_batch(payloads, shifts)
    return rows.view(DETECTION), offsets, faults


def _check_source(source_id: int) -> None:
    if not 0 <= source_id < MAX_SOURCES:
        raise ValueError(f"source {source_id}: sources are numbered 0..{MAX_SOURCES - 1}")
