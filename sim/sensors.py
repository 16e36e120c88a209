"""What roadside units make of the truth: noise, range, occlusion, misses, clutter, delay, and clocks that are off."""

from dataclasses import dataclass

import numpy as np

from ..clock import MS
from ..schema import ObjectClass
from .scenario import POLE_M, RANGE_M, Junction
from .traffic import Truth

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


SPIKE_MS = 150.0


def near(truth: Truth, junction: Junction) -> Truth:
    """Return who is near enough to an intersection for any of its units to see."""
    xy = junction.local(truth.xy)
    rows = np.flatnonzero((np.abs(xy) < POLE_M + RANGE_M).all(axis=1))
    return Truth(
        truth.t,
        [],
        truth.numbers[rows],
        truth.xy[rows],
        truth.speed[rows],
        truth.heading[rows],
        truth.length[rows],
        truth.width[rows],
        truth.kind[rows],
        0,
    )


class RsuModel:
    """One roadside unit; its own random stream, so that one more or less changes nothing else."""

    def __init__(self, junction: Junction, index: int, noise: Noise, seed: int) -> None:
        self.junction, self.rsu, self.noise = junction, junction.rsus[index], noise
        self._rng = np.random.default_rng([seed, index, *junction.id.encode()])
        self._left = 0
        self._scale = (0.85, 1.0, 1.3)[index % 3]

    def observe(self, truth: Truth) -> dict[str, np.ndarray]:
        """Return the columns of one frame, metres east-north of this unit's pole; `truth` as `near` gives it."""
        noise, rng = self.noise, self._rng
        xy = self.junction.local(truth.xy) - (self.rsu.x, self.rsu.y)
        distance = np.hypot(xy[:, 0], xy[:, 1])
        reach = self.rsu.sensor.range
        seen = distance < reach
        seen &= ~self._hidden(truth, xy, distance, seen)
        seen &= rng.random(len(seen)) > noise.miss + noise.far_miss * np.minimum(distance / reach, 1.0) ** 2
        rows = np.flatnonzero(seen)
        n, false = len(rows), int(rng.poisson(noise.clutter))
        sigma = noise.position * self._scale * (0.7 + 0.6 * distance[rows] / reach)
        velocity = (
            np.c_[np.cos(truth.heading[rows]), np.sin(truth.heading[rows])]
            * truth.speed[rows, None]
            @ self.junction.turn
        )
        kinds = truth.kind[rows].copy()
        wrong = rng.random(n) < noise.confuse
        kinds[wrong] = rng.choice(
            [ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN], int(wrong.sum())
        )
        radius, angle = reach * np.sqrt(rng.random(false)), 2 * np.pi * rng.random(false)
        far = np.full(false, np.nan)
        return {
            "id": np.concatenate([rows, np.full(false, 9999)]),
            "x": np.concatenate([xy[rows, 0] + sigma * rng.standard_normal(n), radius * np.cos(angle)]),
            "y": np.concatenate([xy[rows, 1] + sigma * rng.standard_normal(n), radius * np.sin(angle)]),
            "vx": np.concatenate([velocity[:, 0] + noise.velocity * rng.standard_normal(n), far]),
            "vy": np.concatenate([velocity[:, 1] + noise.velocity * rng.standard_normal(n), far]),
            "heading": np.concatenate([self._heading(truth.heading[rows]) + 0.05 * rng.standard_normal(n), far]),
            "length": np.concatenate([truth.length[rows] * self._size_error(n), np.full(false, 2.0)]),
            "width": np.concatenate([truth.width[rows] * self._size_error(n), np.full(false, 1.0)]),
            "var_x": np.concatenate([sigma**2, np.full(false, 0.2)]),
            "var_y": np.concatenate([sigma**2, np.full(false, 0.2)]),
            "cov_xy": np.zeros(n + false),
            "confidence": np.concatenate([0.7 + 0.3 * rng.random(n), 0.3 + 0.4 * rng.random(false)]),
            "class": np.concatenate([kinds, np.full(false, ObjectClass.UNKNOWN)]),
        }

    def _size_error(self, n: int) -> np.ndarray:
        return np.clip(1 + self.noise.size * self._rng.standard_normal(n), 0.5, 1.5)

    def leaves(self, t: int) -> int:
        """Return when the frame of `t` leaves the unit (ns): late by its processing, never before an earlier one."""
        noise = self.noise
        late = SPIKE_MS if self._rng.random() < noise.spike else 0.0
        self._left = max(
            t + int((noise.delay_ms + self._rng.exponential(noise.jitter_ms) + late) * MS), self._left + MS
        )
        return self._left

    def _heading(self, heading: np.ndarray) -> np.ndarray:
        turned = np.c_[np.cos(heading), np.sin(heading)] @ self.junction.turn
        return np.arctan2(turned[:, 1], turned[:, 0])

    @staticmethod
    def _hidden(truth: Truth, xy: np.ndarray, distance: np.ndarray, near: np.ndarray) -> np.ndarray:
        """Return what stands behind something long, as seen from the pole."""
        hidden = np.zeros(len(distance), bool)
        bearing = np.arctan2(xy[:, 1], xy[:, 0])
        for k in np.flatnonzero(near & (truth.length > OCCLUDER_M)):
            half = np.arctan2(truth.length[k] / 2 * abs(np.sin(truth.heading[k] - bearing[k])) + 1.2, distance[k])
            off = np.abs((bearing - bearing[k] + np.pi) % (2 * np.pi) - np.pi)
            hidden |= (off < half) & (distance > distance[k] + 4.0) & (distance < distance[k] + 30.0)
        return hidden
