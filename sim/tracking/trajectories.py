"""Made-up detections of recorded road users: trajectories of a CSV file that were seen from above, such as those of the
SinD data set (`Veh_smoothed_tracks.csv`, `Ped_smoothed_tracks.csv`).

A quiet recording has one or two road users at a time. So the seed chooses when each of them comes, such that there are
PRESENT on the mean; where each goes, and how fast, is as recorded. They may then come nearer to one another than they
did.
"""

import csv
from pathlib import Path

import numpy as np

from ..common.unsteady import LOSSY
from .scenes import Case, Unit, play
from .traffic import Traffic

COLUMNS = ("track_id", "timestamp_ms", "x", "y")
PRESENT = 10  # road users at a time, on the mean
RATE = 10  # frames per second
HEADING_STEP = 0.1  # s: a heading is that of the way within it
UNITS = {"": Unit(), ", lost for 1 to 2 s": Unit(unsteady=LOSSY)}


class RecordedTraffic(Traffic):
    """Road users on their recorded ways: `tracks` are float64[n, 3] each, s from when it comes, x and y in m."""

    def __init__(self, tracks: list[np.ndarray], rng: np.random.Generator) -> None:
        everywhere = np.concatenate([track[:, 1:] for track in tracks])
        low, high = everywhere.min(0), everywhere.max(0)
        self.side = self.field = float((high - low).max())
        self.classes = {}

        spans = np.array([track[-1, 0] for track in tracks])
        self.duration = float(spans.sum() / PRESENT)  # s
        self._begins = rng.uniform(0.0, self.duration, len(tracks)) - 0.5 * spans
        self._ends = self._begins + spans
        self._tracks, self._middle, self._t = tracks, (low + high) / 2, 0.0
        self.step(0.0)

    def step(self, dt: float) -> None:
        """Move all by `dt` s along their recorded ways."""
        self._t += dt
        present = np.flatnonzero((self._begins <= self._t) & (self._t <= self._ends))
        now = [self._place(index, self._t) for index in present]
        way = [self._place(index, self._t + HEADING_STEP) - place for index, place in zip(present, now, strict=True)]

        self.n, self.ids = len(present), present.astype(np.int64)
        self.xy = np.reshape(now, (-1, 2)) - self._middle
        self.heading = np.arctan2(*np.reshape(way, (-1, 2)).T[::-1])
        self.speed = np.hypot(*np.reshape(way, (-1, 2)).T) / HEADING_STEP

    def _place(self, index: int, t: float) -> np.ndarray:
        track, since = self._tracks[index], t - self._begins[index]
        return np.array([np.interp(since, track[:, 0], track[:, column]) for column in (1, 2)])


def load(file: Path) -> list[np.ndarray]:
    """Return the trajectories of a CSV file, float64[n, 3] each: s from its first row, x, y (m).

    Raises ValueError naming the columns that are missing.
    """
    with file.open(newline="") as lines:
        reader = csv.DictReader(lines)
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ValueError(
                f"{file}: no column {', '.join(sorted(missing))} in it. Give a CSV file with {', '.join(COLUMNS)}"
            )
        by_id: dict[str, list[tuple[float, float, float]]] = {}
        for row in reader:
            place = float(row["timestamp_ms"]) / 1000, float(row["x"]), float(row["y"])
            by_id.setdefault(row["track_id"], []).append(place)

    tracks = [np.array(sorted(rows)) for rows in by_id.values() if len(rows) > 1]
    if not tracks:
        raise ValueError(f"{file}: no trajectory of two rows or more in it. Give a file that has some")

    return [track - (track[0, 0], 0.0, 0.0) for track in tracks]


def cases(file: Path, seed: int) -> list[Case]:
    """Return what one sensor (noise 0.3 m, 10 % missed, 5 % clutter) sees of them, without and with dropouts."""
    tracks, made = load(file), []
    for name, unit in UNITS.items():
        rng = np.random.default_rng(seed)
        traffic = RecordedTraffic(tracks, rng)
        frames = int(traffic.duration * RATE)
        made.append(play(f"{file.stem}{name}", traffic, units=(unit,), frames=frames, rng=rng))
    return made
