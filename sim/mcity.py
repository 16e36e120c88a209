"""Real roadside units against RTK: the data set of Mcity's perception evaluation, read from the folder that holds it.

Detections (10 Hz, with the vendor's own ids) become scans; the RTK track becomes the truth and, where a probe vehicle is wanted, its reports.
"""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from ..clock import SECOND
from ..fusion import DETECTION, Rows
from ..geo import Origin

CENTRE = (42.300947, -83.698649)
ROI_M = 50.0
MATCH_M = 1.5
VEHICLES, PEDESTRIANS = ("3", "4", "5"), ("11", "12")
PROBE_TRIAL = "2"
CLASSES = {"2": 1, "10": 6}


@dataclass
class Trial:
    """Scans as (t ns, rows), and the truth: times (ns, int64[n]) and places (m, float64[n, 2]) of the one road user with RTK."""

    name: str
    scans: list[tuple[int, Rows]]
    truth_t: np.ndarray
    truth_xy: np.ndarray
    radius: float

    def truth_at(self, t: int) -> np.ndarray | None:
        """Return where the road user was at `t` (linear between fixes), or None outside the recording."""
        if not self.truth_t[0] <= t <= self.truth_t[-1]:
            return None
        return np.array([np.interp(t, self.truth_t, self.truth_xy[:, k]) for k in (0, 1)])


def load(folder: Path, trial: str) -> Trial:
    """Read one trial of `folder`; raises FileNotFoundError naming what is missing."""
    walking = trial in PEDESTRIANS
    seen = folder / "dets" / f"detection_{'ped_' if walking else ''}{trial}.json"
    true = folder / "gts" / (f"ped_gps_data_ped_{trial}.json" if walking else f"gps_data_{trial}.json")
    for path in (seen, true):
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: not there. Give the folder of the Mcity trials (it has dets/ and gts/) as --mcity FOLDER"
            )
    origin = Origin(*CENTRE)
    frames = sorted(msgspec.json.decode(seen.read_bytes()), key=lambda frame: frame["timestamp"])
    fixes = sorted(msgspec.json.decode(true.read_bytes()), key=lambda frame: frame["timestamp"])
    scans = [(_ns(frame["timestamp"]), _rows(origin, frame["objs"])) for frame in frames]
    place = origin.to_local(
        np.array([f["objs"][0]["lat"] for f in fixes]), np.array([f["objs"][0]["lon"] for f in fixes])
    )
    times = np.array([_ns(f["timestamp"]) for f in fixes], np.int64)
    return Trial(trial, scans, times, np.column_stack(place), 25.0 if walking else ROI_M)


def _ns(seconds: float) -> int:
    return int(seconds * 1000) * (SECOND // 1000)


def _rows(origin: Origin, objects: list[dict[str, str]]) -> Rows:
    rows = np.zeros(len(objects), DETECTION)
    for name in ("vx", "vy", "heading", "height", "var_x", "var_y", "cov_xy", "confidence"):
        rows[name] = np.nan
    for row, thing in zip(rows, objects, strict=True):
        row["x"], row["y"] = origin.to_local(float(thing["lat"]), float(thing["lon"]))
        row["length"], row["width"] = float(thing["length"]), float(thing["width"])
        row["class"] = CLASSES.get(thing["classType"], 0)
        row["id"] = int(thing["id"]) & 0xFFFFFFFF
    return rows
