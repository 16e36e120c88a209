"""What roadside units make of the truth: noise, range, occlusion, misses, clutter, delay, and clocks that are off."""

from dataclasses import dataclass

import numpy as np

from ...clock import MS
from ...schema import ObjectClass
from ..common.unsteady import BURSTY, STEADY, Unsteady, UnsteadyUnit
from ..scenario.scenario import POLE_M, RANGE_M, Junction
from .traffic import Truth

CONFUSED = np.array([ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN], np.int64)
OCCLUDER_M = 6.0  # a road user longer than this hides what stands behind it


@dataclass(frozen=True)
class Noise:
    """How bad a roadside unit is."""

    position: float = 0.3  # m per axis
    velocity: float = 0.4  # m/s per axis
    size: float = 0.1  # relative
    miss: float = 0.08
    far_miss: float = 0.25  # more at the edge of the range, growing with the square of distance
    clutter: float = 0.3  # false detections a frame
    confuse: float = 0.05  # share of wrong classes
    delay_ms: float = 40.0
    jitter_ms: float = 15.0  # mean of an exponential on top
    spike: float = 0.02  # share of frames that are late by SPIKE_MS more
    clock_ms: float = 30.0  # spread of the gateways' clock offsets
    unsteady: Unsteady = STEADY  # stalls, rounded stamps, frames sent twice


SPIKE_MS = 150.0
PERFECT = Noise(
    position=0.01,
    velocity=0.01,
    size=0.01,
    miss=0.0,
    far_miss=0.0,
    clutter=0.0,
    confuse=0.0,
    delay_ms=1.0,
    jitter_ms=0.0,
    spike=0.0,
    clock_ms=0.0,
)  # as it is, but for who stands behind something long
SENSING = {"noisy": Noise(), "perfect": PERFECT, "bursty": Noise(unsteady=BURSTY)}


@dataclass(frozen=True)
class Around:
    """Who is near an intersection, in its frame: metres east and north of its origin, m/s, rad; shared by its roadside units."""

    xy: np.ndarray
    velocity: np.ndarray
    heading: np.ndarray
    length: np.ndarray
    width: np.ndarray
    kind: np.ndarray


def near(truth: Truth, junction: Junction) -> Around:
    """Return who is near enough to an intersection for any of its units to see."""
    xy = junction.local(truth.xy)
    rows = np.flatnonzero((np.abs(xy) < POLE_M + RANGE_M).all(axis=1))
    ahead = np.empty((len(rows), 2))
    np.cos(truth.heading[rows], out=ahead[:, 0])
    np.sin(truth.heading[rows], out=ahead[:, 1])
    ahead = ahead @ junction.turn
    return Around(
        xy[rows],
        ahead * truth.speed[rows, None],
        np.arctan2(ahead[:, 1], ahead[:, 0]),
        truth.length[rows],
        truth.width[rows],
        truth.kind[rows],
    )


class RsuModel:
    """One roadside unit; its own random stream, so that one more or less changes nothing else."""

    def __init__(self, junction: Junction, index: int, noise: Noise, seed: int) -> None:
        self.junction, self.rsu, self.noise = junction, junction.rsus[index], noise
        self._rng = np.random.default_rng([seed, index, *junction.id.encode()])
        self._pole = (self.rsu.x, self.rsu.y)
        self._left = 0
        self._unsteady = UnsteadyUnit(noise.unsteady)
        self._scale = (0.85, 1.0, 1.3)[index % 3]

    def observe(self, around: Around) -> dict[str, np.ndarray]:
        """Return the columns of one frame, metres east-north of this unit's pole; `around` as `near` gives it."""
        noise, rng, reach = self.noise, self._rng, self.rsu.sensor.range
        xy = around.xy - self._pole
        distance = np.hypot(xy[:, 0], xy[:, 1])
        seen = distance < reach
        seen &= ~self._hidden(around, xy, distance, seen)
        seen &= rng.random(len(seen)) > noise.miss + noise.far_miss * np.minimum(distance / reach, 1.0) ** 2
        rows = np.flatnonzero(seen)
        n = len(rows)
        sigma = noise.position * self._scale * (0.7 + 0.6 * distance[rows] / reach)
        draw = rng.standard_normal((7, n))
        kinds = around.kind[rows]
        wrong = rng.random(n) < noise.confuse
        kinds[wrong] = rng.choice(CONFUSED, int(np.count_nonzero(wrong)))
        size = np.minimum(np.maximum(1 + noise.size * draw[5:7], 0.5), 1.5)
        frame = {
            "id": rows,
            "x": xy[rows, 0] + sigma * draw[0],
            "y": xy[rows, 1] + sigma * draw[1],
            "vx": around.velocity[rows, 0] + noise.velocity * draw[2],
            "vy": around.velocity[rows, 1] + noise.velocity * draw[3],
            "heading": around.heading[rows] + 0.05 * draw[4],
            "length": around.length[rows] * size[0],
            "width": around.width[rows] * size[1],
            "var_x": sigma**2,
            "var_y": sigma**2,
            "cov_xy": np.zeros(n),
            "confidence": 0.7 + 0.3 * rng.random(n),
            "class": kinds,
        }
        false = int(rng.poisson(noise.clutter))
        return (
            {name: np.concatenate([frame[name], more]) for name, more in self._clutter(false).items()}
            if false
            else frame
        )

    def _clutter(self, n: int) -> dict[str, np.ndarray]:
        """Return `n` detections of nothing, in the order of a frame's columns."""
        radius, angle = self.rsu.sensor.range * np.sqrt(self._rng.random(n)), 2 * np.pi * self._rng.random(n)
        unknown = np.full(n, np.nan)
        return {
            "id": np.full(n, 9999),
            "x": radius * np.cos(angle),
            "y": radius * np.sin(angle),
            "vx": unknown,
            "vy": unknown,
            "heading": unknown,
            "length": np.full(n, 2.0),
            "width": np.full(n, 1.0),
            "var_x": np.full(n, 0.2),
            "var_y": np.full(n, 0.2),
            "cov_xy": np.zeros(n),
            "confidence": 0.3 + 0.4 * self._rng.random(n),
            "class": np.full(n, int(ObjectClass.UNKNOWN)),
        }

    def stamps(self, t: int) -> list[int]:
        """Return the stamps (ns) under which the frame of `t` is sent: its own, but of a unit that is unsteady."""
        return self._unsteady.stamps(t, self._rng)

    def leaves(self, t: int) -> int:
        """Return when the frame of `t` leaves the unit (ns): late by its processing, never before an earlier one."""
        noise = self.noise
        late = SPIKE_MS if self._rng.random() < noise.spike else 0.0
        self._left = max(
            t + int((noise.delay_ms + self._rng.exponential(noise.jitter_ms) + late) * MS), self._left + MS
        )
        return self._left

    @staticmethod
    def _hidden(around: Around, xy: np.ndarray, distance: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Return what stands behind something long, as seen from the pole."""
        hidden = np.zeros(len(distance), bool)
        occluders = np.flatnonzero(near & (around.length > OCCLUDER_M))
        if not len(occluders):
            return hidden
        bearing = np.arctan2(xy[:, 1], xy[:, 0])
        for k in occluders:
            half = np.arctan2(around.length[k] / 2 * abs(np.sin(around.heading[k] - bearing[k])) + 1.2, distance[k])
            off = np.abs((bearing - bearing[k] + np.pi) % (2 * np.pi) - np.pi)
            hidden |= (off < half) & (distance > distance[k] + 4.0) & (distance < distance[k] + 30.0)
        return hidden
