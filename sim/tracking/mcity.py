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
MAX_GAP = SECOND  # between two fixes; nobody knows where a probe was in a longer one


@dataclass
class Probe:
    """One road user with RTK: when (ns, int64[n]) it was where (m, float64[n, 2])."""

    t: np.ndarray
    xy: np.ndarray

    def at(self, t: int) -> np.ndarray | None:
        """Return where it was at `t` (linear between fixes), or None where it is not known."""
        k = int(np.searchsorted(self.t, t))
        if k == 0 or k == len(self.t) or self.t[k] - self.t[k - 1] > MAX_GAP:
            return None
        share = (t - int(self.t[k - 1])) / int(self.t[k] - self.t[k - 1])
        return np.asarray(self.xy[k - 1] + share * (self.xy[k] - self.xy[k - 1]))


@dataclass
class Trial:
    """Scans as (t ns, rows), and the truth: its probes by their ids."""

    name: str
    scans: list[tuple[int, Rows]]
    probes: dict[int, Probe]
    walking: bool  # its probes are pedestrians

    @property
    def radius(self) -> float:
        return WALKING_ROI_M if self.walking else ROI_M

    @property
    def kind(self) -> int:
        """Return the class of its probes."""
        return PEDESTRIAN if self.walking else 1

    def truth_at(self, t: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (ids int64[n], places float64[n, 2]) of the probes at `t`, or None where none is known."""
        known = [(number, place) for number, probe in self.probes.items() if (place := probe.at(t)) is not None]
        if not known:
            return None
        return np.array([number for number, _ in known], np.int64), np.array([place for _, place in known])


def trials(folder: Path) -> dict[str, tuple[Path, Path]]:
    """Return the detections' and the truth's file of each trial; raises FileNotFoundError where there is none."""
    truths = sorted(folder.glob("gts/*.json"))
    found = {}
    for seen in sorted(folder.glob("dets/detection_*.json")):
        name = seen.stem.removeprefix("detection_")
        own = [path for path in truths if f"{path.stem}_".find(f"data_{name}_") >= 0]
        if own:
            found[name] = (seen, own[0])
    if not found:
        raise FileNotFoundError(
            f"{folder}: no trial there. Give the folder of the Mcity trials (it has dets/detection_NAME.json and gts/)"
            " as --mcity FOLDER"
        )
    return dict(sorted(found.items(), key=lambda item: (len(item[0]), item[0])))


def load(folder: Path, name: str) -> Trial:
    """Read one trial of `folder`; raises FileNotFoundError naming what is missing."""
    known = trials(folder)
    if name not in known:
        raise FileNotFoundError(f"{folder}: no trial {name} in it, but {', '.join(known)}. Name one of these")
    seen, true = known[name]
    origin = Origin(*CENTRE)
    frames = sorted(msgspec.json.decode(seen.read_bytes()), key=lambda frame: frame["timestamp"])
    scans = [(_ns(frame["timestamp"]), _rows(origin, frame["objs"])) for frame in frames]
    fixes = sorted(msgspec.json.decode(true.read_bytes()), key=lambda frame: frame["timestamp"])
    return Trial(name, scans, _probes(origin, fixes), _walking(name, fixes))


def _walking(name: str, fixes: list[dict[str, Any]]) -> bool:
    kinds = {thing.get("classType") for frame in fixes for thing in frame["objs"]}
    return kinds == {"10"} or "ped" in name


def _probes(origin: Origin, fixes: list[dict[str, Any]]) -> dict[int, Probe]:
    by_id: dict[int, list[tuple[int, float, float]]] = {}
    for frame in fixes:
        t = _ns(frame["timestamp"])
        for thing in frame["objs"]:
            by_id.setdefault(int(thing.get("id") or 0), []).append((t, float(thing["lat"]), float(thing["lon"])))
    probes = {}
    for number, rows in sorted(by_id.items()):
        t, lat, lon = (np.array(column) for column in zip(*rows, strict=True))
        first = np.unique(t, return_index=True)[1]
        probes[number] = Probe(t[first].astype(np.int64), np.column_stack(origin.to_local(lat[first], lon[first])))
    return probes


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
