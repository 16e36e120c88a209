"""Real roadside units against RTK: the data set of Mcity's perception evaluation, read from the folder that holds it.

Detections (10 Hz, with the vendor's own ids) become scans; each probe's RTK fixes become its truth and, where a probe
vehicle is wanted, its
reports. A trial is any pair of `dets/detection_NAME.json` and a truth of that name in `gts/`; a frame of truth may hold
any number of probes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ...clock import SECOND
from ...fusion import DETECTION, Rows
from ...geo import Origin

CENTRE = (42.300947, -83.698649)
ROI_M, WALKING_ROI_M = 50.0, 25.0  # the evaluation's own radii
MATCH_M = 1.5
PROBE_TRIAL = "2"  # recorded to find the units' latency
PEDESTRIAN = 6
CLASSES = {"2": 1, "10": PEDESTRIAN}
MAX_GAP = SECOND  # Between two fixes; in a longer one it is not known where a probe was


@dataclass
class Probe:
    """One road user with RTK: when (ns, int64[n]) it was where (m, float64[n, 2])."""

    t: np.ndarray
    xy: np.ndarray

    def at(self, time_ns: int) -> np.ndarray | None:
        """Return where it was at `time_ns` (linear between fixes), or None where it is not known."""
        after = int(np.searchsorted(self.t, time_ns))
        if after == 0 or after == len(self.t) or self.t[after] - self.t[after - 1] > MAX_GAP:
            return None
        share = (time_ns - int(self.t[after - 1])) / int(self.t[after] - self.t[after - 1])
        return np.asarray(self.xy[after - 1] + share * (self.xy[after] - self.xy[after - 1]))


@dataclass
class Trial:
    """Scans as (t ns, rows), and the truth: its probes by their ids."""

    name: str
    scans: list[tuple[int, Rows]]
    probes: dict[int, Probe]
    walking: bool  # its probes are pedestrians

    @property
    def radius(self) -> float:
        """m around the roadside unit within which it is judged."""
        return WALKING_ROI_M if self.walking else ROI_M

    @property
    def kind(self) -> int:
        """Return the class of its probes."""
        return PEDESTRIAN if self.walking else 1

    def truth_at(self, time_ns: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (ids int64[n], places float64[n, 2]) of the probes at `time_ns`, or None where none is known."""
        positions = [
            (number, position) for number, probe in self.probes.items() if (position := probe.at(time_ns)) is not None
        ]
        if not positions:
            return None

        return np.array([number for number, _ in positions], np.int64), np.array(
            [position for _, position in positions]
        )


def trials(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the detections' and the truth's file of each trial; raises FileNotFoundError where there is none."""
    truths = sorted(folder.glob("gts/*.json"))
    pairs = {}

    for detections in sorted(folder.glob("dets/detection_*.json")):
        name = detections.stem.removeprefix("detection_")
        own = [path for path in truths if f"{path.stem}_".find(f"data_{name}_") >= 0]
        if own:
            pairs[name] = (detections, own[0])

    if not pairs:
        raise FileNotFoundError(
            f"{folder}: no trial there. Give the folder of the Mcity trials (it has dets/detection_NAME.json and gts/)"
            " as --mcity FOLDER"
        )

    return dict(sorted(pairs.items(), key=lambda entry: (len(entry[0]), entry[0])))


def load(folder: Path, name: str) -> Trial:
    """Read one trial of `folder`; raises FileNotFoundError naming what is missing."""
    pairs = trials(folder)
    if name not in pairs:
        raise FileNotFoundError(f"{folder}: no trial {name} in it, but {', '.join(pairs)}. Name one of these")

    detections, truth = pairs[name]
    origin = Origin(*CENTRE)
    frames = sorted(msgspec.json.decode(detections.read_bytes()), key=lambda frame: frame["timestamp"])
    scans = [(_ns(frame["timestamp"]), _rows(origin, frame["objs"])) for frame in frames]
    fixes = sorted(msgspec.json.decode(truth.read_bytes()), key=lambda frame: frame["timestamp"])

    return Trial(name=name, scans=scans, probes=_probes(origin, fixes), walking=_walking(name, fixes))


def _walking(name: str, fixes: list[dict[str, Any]]) -> bool:
    kinds = {record.get("classType") for frame in fixes for record in frame["objs"]}
    return kinds == {"10"} or "ped" in name


def _probes(origin: Origin, fixes: list[dict[str, Any]]) -> dict[int, Probe]:
    by_id: dict[int, list[tuple[int, float, float]]] = {}
    for frame in fixes:
        time_ns = _ns(frame["timestamp"])
        for record in frame["objs"]:
            by_id.setdefault(int(record.get("id") or 0), []).append(
                (time_ns, float(record["lat"]), float(record["lon"]))
            )

    probes = {}
    for number, rows in sorted(by_id.items()):
        time_ns, lat, lon = (np.array(column) for column in zip(*rows, strict=True))
        first = np.unique(time_ns, return_index=True)[1]
        probes[number] = Probe(
            time_ns[first].astype(np.int64), np.column_stack(origin.to_local(lat[first], lon[first]))
        )

    return probes


def _ns(seconds: float) -> int:
    return int(seconds * 1000) * (SECOND // 1000)


def _rows(origin: Origin, objects: list[dict[str, str]]) -> Rows:
    rows = np.zeros(len(objects), DETECTION)
    for name in ("vx", "vy", "heading", "height", "var_x", "var_y", "cov_xy", "confidence"):
        rows[name] = np.nan

    for row, record in zip(rows, objects, strict=True):
        row["x"], row["y"] = origin.to_local(float(record["lat"]), float(record["lon"]))
        row["length"], row["width"] = float(record["length"]), float(record["width"])
        row["class"] = CLASSES.get(record["classType"], 0)
        row["id"] = int(record["id"]) & 0xFFFFFFFF

    return rows
