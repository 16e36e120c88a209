"""What roadside units make of the truth: noise, range, occlusion, misses, clutter, delay, and clocks that are off."""

from dataclasses import dataclass

import numpy as np

from ...clock import MS
from ...schema import ObjectClass
from ..common.unsteady import BURSTY, STEADY, Unsteady, UnsteadyUnit
from ..scenario.scenario import POLE_M, RANGE_M, Junction
from .traffic import Truth

CONFUSED = np.array([ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN], np.int64)
CLUTTER_ID = 9999
HEADING_NOISE = 0.05  # rad, 1 sigma

# Occlusion
MIN_OCCLUDER_M = 6.0  # a road user longer than this hides others
OCCLUDER_HALF_WIDTH = 1.2  # m
SHADOW = (4.0, 30.0)  # m behind it, from and to


@dataclass(frozen=True, kw_only=True)
class Noise:
    """How bad a roadside unit is."""

    position: float = 0.3  # m per axis
    velocity: float = 0.4  # m/s per axis
    size: float = 0.1  # relative
    miss: float = 0.08
    far_miss: float = 0.25  # more at the edge of the range, growing with the square of distance
    clutter: float = 0.3  # false detections per frame
    confuse: float = 0.05  # share of wrong classes
    delay_ms: float = 40.0
    jitter_ms: float = 15.0  # mean of an exponential on top
    spike: float = 0.02  # share of frames that are late by SPIKE_MS more
    clock_ms: float = 30.0  # spread of the gateways' clock offsets
    unsteady: Unsteady = STEADY  # stalls, rounded stamps, frames sent twice


SPIKE_MS = 150.0
# The truth, but for what is occluded
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
)
SENSING = {"noisy": Noise(), "perfect": PERFECT, "bursty": Noise(unsteady=BURSTY)}


@dataclass(frozen=True, kw_only=True)
class Around:
    """Road users near an intersection, in its frame: m east and north of its origin, m/s, rad; shared by its roadside
    units.
    """

    xy: np.ndarray
    velocity: np.ndarray
    heading: np.ndarray
    length: np.ndarray
    width: np.ndarray
    kind: np.ndarray


def near(truth: Truth, junction: Junction) -> Around:
    """Return the road users near enough to an intersection for any of its units to detect."""
    xy = junction.local(truth.xy)
    rows = np.flatnonzero((np.abs(xy) < POLE_M + RANGE_M).all(axis=1))

    direction = np.empty((len(rows), 2))
    np.cos(truth.heading[rows], out=direction[:, 0])
    np.sin(truth.heading[rows], out=direction[:, 1])
    direction = direction @ junction.turn

    return Around(
        xy=xy[rows],
        velocity=direction * truth.speed[rows, None],
        heading=np.arctan2(direction[:, 1], direction[:, 0]),
        length=truth.length[rows],
        width=truth.width[rows],
        kind=truth.kind[rows],
    )


class RsuModel:
    """One roadside unit; its own random stream, so that one more or less changes nothing else."""

    def __init__(self, junction: Junction, index: int, noise: Noise, seed: int) -> None:
        self.junction, self.rsu, self.noise = junction, junction.rsus[index], noise
        self._rng = np.random.default_rng([seed, index, *junction.id.encode()])
        self._pole = (self.rsu.x, self.rsu.y)
        self._last_departure = 0  # ns
        self._unsteady = UnsteadyUnit(noise.unsteady)
        # Of the position's noise: no two units of an intersection are alike
        self._scale = (0.85, 1.0, 1.3)[index % 3]

    def observe(self, around: Around) -> dict[str, np.ndarray]:
        """Return the columns of one frame, m east and north of this unit's pole; `around` as `near` gives it.

        The order of the random draws is part of what a seed means: another order gives another run.
        """
        noise, rng, reach = self.noise, self._rng, self.rsu.sensor.range
        xy = around.xy - self._pole
        distance = np.hypot(xy[:, 0], xy[:, 1])

        in_range = distance < reach
        detected = in_range & ~self._occluded(around, xy, distance, in_range)
        detected &= rng.random(len(detected)) > noise.miss + noise.far_miss * np.minimum(distance / reach, 1.0) ** 2
        rows = np.flatnonzero(detected)
        count = len(rows)

        sigma = noise.position * self._scale * (0.7 + 0.6 * distance[rows] / reach)
        normal = rng.standard_normal((7, count))
        kinds = around.kind[rows]
        is_confused = rng.random(count) < noise.confuse
        kinds[is_confused] = rng.choice(CONFUSED, int(np.count_nonzero(is_confused)))
        size_factor = np.minimum(np.maximum(1 + noise.size * normal[5:7], 0.5), 1.5)

        frame = {
            "id": rows,
            "x": xy[rows, 0] + sigma * normal[0],
            "y": xy[rows, 1] + sigma * normal[1],
            "vx": around.velocity[rows, 0] + noise.velocity * normal[2],
            "vy": around.velocity[rows, 1] + noise.velocity * normal[3],
            "heading": around.heading[rows] + HEADING_NOISE * normal[4],
            "length": around.length[rows] * size_factor[0],
            "width": around.width[rows] * size_factor[1],
            "var_x": sigma**2,
            "var_y": sigma**2,
            "cov_xy": np.zeros(count),
            "confidence": 0.7 + 0.3 * rng.random(count),
            "class": kinds,
        }

        false_detections = int(rng.poisson(noise.clutter))
        if not false_detections:
            return frame

        clutter = self._clutter(false_detections)
        return {name: np.concatenate([frame[name], column]) for name, column in clutter.items()}

    def _clutter(self, count: int) -> dict[str, np.ndarray]:
        """Return `count` detections of nothing, in the order of a frame's columns."""
        radius, angle = self.rsu.sensor.range * np.sqrt(self._rng.random(count)), 2 * np.pi * self._rng.random(count)
        unknown = np.full(count, np.nan)

        return {
            "id": np.full(count, CLUTTER_ID),
            "x": radius * np.cos(angle),
            "y": radius * np.sin(angle),
            "vx": unknown,
            "vy": unknown,
            "heading": unknown,
            "length": np.full(count, 2.0),
            "width": np.full(count, 1.0),
            "var_x": np.full(count, 0.2),
            "var_y": np.full(count, 0.2),
            "cov_xy": np.zeros(count),
            "confidence": 0.3 + 0.4 * self._rng.random(count),
            "class": np.full(count, int(ObjectClass.UNKNOWN)),
        }

    def stamps(self, time_ns: int) -> list[int]:
        """Return the stamps (ns) under which the frame of `time_ns` is sent: `time_ns` itself, but for a unit that is
        unsteady."""
        return self._unsteady.stamps(time_ns, self._rng)

    def departure(self, time_ns: int) -> int:
        """Return when the frame of `time_ns` leaves the unit (ns): late by its processing, never before an earlier
        one."""
        noise = self.noise
        spike = SPIKE_MS if self._rng.random() < noise.spike else 0.0
        delay_ms = noise.delay_ms + self._rng.exponential(noise.jitter_ms) + spike
        self._last_departure = max(time_ns + int(delay_ms * MS), self._last_departure + MS)

        return self._last_departure

    @staticmethod
    def _occluded(around: Around, xy: np.ndarray, distance: np.ndarray, in_range: np.ndarray) -> np.ndarray:
        """Return bool[n]: which road users are behind something long, as seen from the pole."""
        occluded = np.zeros(len(distance), bool)
        occluders = np.flatnonzero(in_range & (around.length > MIN_OCCLUDER_M))
        if not len(occluders):
            return occluded

        bearing = np.arctan2(xy[:, 1], xy[:, 0])
        for occluder in occluders:
            across = (
                around.length[occluder] / 2 * abs(np.sin(around.heading[occluder] - bearing[occluder]))
                + OCCLUDER_HALF_WIDTH
            )
            half_angle = np.arctan2(across, distance[occluder])
            off = np.abs((bearing - bearing[occluder] + np.pi) % (2 * np.pi) - np.pi)
            behind = (distance > distance[occluder] + SHADOW[0]) & (distance < distance[occluder] + SHADOW[1])
            occluded |= (off < half_angle) & behind

        return occluded
