"""True trajectories near intersections, kept by moment, and the conflicts with pedestrians and cyclists found in
them.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ...schema import ObjectClass
from ..loop.traffic import Truth
from ..scenario.scenario import Scenario
from .encounters import conflicts, merged, near_pairs, of_pair, radius
from .ssm import Conflict

# m around an intersection, east-west and north-south, within which conflicts are expected to be seen
REACH = 100.0
WALKERS = (ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE)
MEETING_DISTANCE = 25.0  # m at which a vehicle and a pedestrian or cyclist may be about to meet
STEP = 0.1  # s between moments
EARLY = 1.5  # s before a conflict that both must have been in reach for it to be visible that early


@dataclass
class Trails:
    """Where every road user near the intersections of a scenario was, ten times a second."""

    scenario: Scenario
    names: dict[int, str] = field(default_factory=dict)
    # length, width (m), class
    sizes: dict[int, tuple[float, float, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # s, numbers, x y heading speed
        self._moments: list[tuple[float, np.ndarray, np.ndarray]] = []
        self._tracks: dict[str, tuple[int, np.ndarray]] = {}

    def note(self, truth: Truth, now: float) -> list[int]:
        """Keep the road users in reach at `now` s; return their rows in `truth`."""
        in_reach = np.zeros(len(truth.ids), bool)
        for junction in self.scenario.junctions:
            in_reach |= (np.abs(junction.local(truth.xy)) < REACH).all(axis=1)
        rows = np.flatnonzero(in_reach)

        for row in rows.tolist():
            number = int(truth.numbers[row])
            if number not in self.names:
                self.names[number] = truth.ids[row]
                self.sizes[number] = (float(truth.length[row]), float(truth.width[row]), int(truth.kind[row]))

        columns = np.column_stack([truth.xy[rows], truth.heading[rows], truth.speed[rows]])
        self._moments.append((now, truth.numbers[rows], columns))
        return [int(row) for row in rows]

    def there(self, name: str, time_s: float) -> bool:
        """Return whether a road user was in reach at `time_s`."""
        return len(self.speeds(name, time_s, time_s)) > 0

    def speeds(self, name: str, begin: float, end: float) -> np.ndarray:
        """Return a road user's speeds (m/s) at the moments from `begin` to `end` s that it was in reach."""
        if not self._tracks:
            self._tracks = {self.names[key]: track for key, track in self._by_number().items()}
        if name not in self._tracks:
            return np.empty(0)

        first, rows = self._tracks[name]
        first_row, last_row = (round((time_s - self._moments[0][0]) / STEP) - first for time_s in (begin, end))
        speed = rows[max(first_row, 0) : max(last_row + 1, 0), 3]
        return speed[np.isfinite(speed)]

    def seen_early(self, conflict: Conflict) -> bool:
        """Return whether both of a conflict were in reach EARLY s before it."""
        names = [name for name in (conflict.a, conflict.b) if name]
        return all(self.there(name, conflict.crossed - EARLY) for name in names)

    def meetings(self) -> list[Conflict]:
        """Return the conflicts of vehicles with pedestrians and cyclists, by time; `a` is the vehicle, `b` the first it
        met.
        """
        walkers = {key for key, (_, _, kind) in self.sizes.items() if kind in WALKERS}
        places = [(moment[1], moment[2][:, :2], np.isin(moment[1], list(walkers))) for moment in self._moments]
        tracks = self._by_number()

        found: list[Conflict] = []

        for vehicle, walker in sorted(near_pairs(places, MEETING_DISTANCE)):
            first, vehicle_rows = tracks[vehicle]
            walker_first, walker_rows = tracks[walker]
            length, width, _ = self.sizes[vehicle]
            walker_length, _, walker_class = self.sizes[walker]
            size = (length, width, radius(walker_class == ObjectClass.BICYCLE, walker_length))
            measures = of_pair(vehicle_rows, walker_rows, (first, walker_first), size, STEP)
            times = self._moments[0][0] + STEP * (first + np.arange(len(vehicle_rows)))
            found += conflicts((self.names[vehicle], self.names[walker]), measures, times)

        return merged(found)

    def _by_number(self) -> dict[int, tuple[int, np.ndarray]]:
        """Return, for each road user, the first moment and the rows from then on; nan while out of reach."""
        rows_of: defaultdict[int, list[tuple[int, np.ndarray]]] = defaultdict(list)
        for index, (_, numbers, columns) in enumerate(self._moments):
            for number, row in zip(numbers.tolist(), columns, strict=True):
                rows_of[number].append((index, row))

        tracks = {}
        for number, rows in rows_of.items():
            first, last = rows[0][0], rows[-1][0]
            track = np.full((last - first + 1, 4), np.nan)
            track[[index - first for index, _ in rows]] = [row for _, row in rows]
            tracks[number] = (first, track)

        return tracks
