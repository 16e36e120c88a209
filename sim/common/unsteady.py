"""Faults of real roadside units beside noise: they stall and then send several frames at once, round their stamps, send
a frame twice, lose a road
user for a second or two, report one that is not there (a ghost).

As recorded at Mcity: a stall of 0.35 s, then the frames held back, stamped as they leave within 50 ms; and a second
road user reported beside a
vehicle, 1.4 m off, for 0.6 s.
"""

from dataclasses import dataclass

import numpy as np

from ...clock import MS, SECOND

GHOST_OFFSET = 1.4  # m
GHOST_DURATION = 6 * SECOND // 10  # ns
SECOND_STAMP = 20 * MS  # later, of a frame sent twice
FRAME_RATE = 10  # Hz


@dataclass(frozen=True, kw_only=True)
class Unsteady:
    """How a unit's stamps and frames go wrong; all 0: they do not."""

    stall: float = 0.0  # share of frames at which it stalls
    stall_ms: float = 350.0
    burst_ms: float = 12.0  # between the frames sent after a stall
    quantum_ms: float = 0.0  # stamps are whole multiples of it
    wander: bool = False  # frames are made at any moment of their period
    twice: float = 0.0  # share of frames sent twice, half of them under a second stamp
    ghosts: float = 0.0  # begun per second and road user
    dropouts: float = 0.0  # of 1 to 2 s, begun per second and road user


STEADY = Unsteady()
BURSTY = Unsteady(stall=0.03, twice=0.02)
ROUNDED = Unsteady(quantum_ms=100.0, wander=True)
LOSSY = Unsteady(dropouts=0.1)
GHOSTLY = Unsteady(ghosts=0.02)


class UnsteadyUnit:
    """Stamps the frames of one unit."""

    def __init__(self, unsteady: Unsteady) -> None:
        self.how = unsteady
        self._stalled_until = 0  # ns
        self._held_back = 0  # frames since it stalled
        self._last_stamp = 0  # ns
        self._ghosts: dict[int, tuple[int, float]] = {}
        self._lost: dict[int, int] = {}

    def stamps(self, time_ns: int, rng: np.random.Generator) -> list[int]:
        """Return the stamps (ns) under which the frame made at `time_ns` is sent: one, or two where it is sent
        twice."""
        unsteady = self.how
        if unsteady.stall and time_ns >= self._stalled_until and rng.random() < unsteady.stall:
            self._stalled_until, self._held_back = time_ns + int(unsteady.stall_ms * MS), 0
        stamp = time_ns
        if time_ns < self._stalled_until:
            stamp = self._stalled_until + int(self._held_back * unsteady.burst_ms * MS)
            self._held_back += 1

        if unsteady.quantum_ms:
            stamp -= stamp % int(unsteady.quantum_ms * MS)
        else:
            stamp = max(stamp, self._last_stamp)

        self._last_stamp = stamp

        if unsteady.twice and rng.random() < unsteady.twice:
            return [stamp, stamp + (SECOND_STAMP if rng.random() < 0.5 else 0)]

        return [stamp]

    def lost(self, time_ns: int, ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return bool[n]: which road users the unit does not detect now, for a second or two."""
        if self.how.dropouts:
            for number in ids[rng.random(len(ids)) < self.how.dropouts / FRAME_RATE].tolist():
                self._lost.setdefault(number, time_ns + int(rng.uniform(1.0, 2.0) * SECOND))
            self._lost = {number: until for number, until in self._lost.items() if time_ns < until}
        return np.array([number in self._lost for number in ids.tolist()], bool)

    def ghosts(
        self, time_ns: int, ids: np.ndarray, xy: np.ndarray, heading: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Return where ghosts are detected, m, float64[n, 2]: beside road users that are there."""
        if not self.how.ghosts:
            return np.empty((0, 2))

        for number in ids[rng.random(len(ids)) < self.how.ghosts / FRAME_RATE].tolist():
            self._ghosts.setdefault(number, (time_ns + GHOST_DURATION, GHOST_OFFSET * float(rng.choice((-1.0, 1.0)))))
        self._ghosts = {number: ghost for number, ghost in self._ghosts.items() if time_ns < ghost[0]}
        places = []

        for index, number in enumerate(ids.tolist()):
            if number in self._ghosts:
                aside = self._ghosts[number][1]
                places.append(xy[index] + aside * np.array([-np.sin(heading[index]), np.cos(heading[index])]))

        return np.reshape(places, (-1, 2))
