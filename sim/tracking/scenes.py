"""Made-up detections with their truth, from a seed: one sensor, a dense crowd, three late roadside units.

Nothing here looks at the tracker: the road users, what the sensors see and when it arrives follow from the seed alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ...clock import MS, SECOND
from ...fusion import DETECTION, Rows
from ..common.unsteady import BURSTY, GHOSTLY, LOSSY, ROUNDED, STEADY, Unsteady, UnsteadyUnit

BEGIN = 1_767_225_600 * SECOND
STEP = 100 * MS
ROAD = 0.3  # share of the square's side that the two crossing roads are wide


@dataclass(frozen=True)
class Scan:
    """What one source saw at `t` (its own stamp) and the moment it arrived (ns)."""

    t: int
    arrival: int
    source: int
    rows: Rows


@dataclass
class Case:
    """Scans in order of arrival, and the truth at each tick: (t, ids int64[n], xy float64[n, 2])."""

    name: str
    scans: list[Scan]
    truth: list[tuple[int, np.ndarray, np.ndarray]]
    side: float
    match_m: float = 2.0
    classes: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Unit:
    """One sensor: noise, miss probability, clutter as a share of the road users, bias, arrival delay and its spikes;
    stamps late by `lag`.
    """

    sigma: float = 0.3
    miss: float = 0.1
    clutter: float = 0.05
    bias: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    spikes: float = 0.0
    spike_ms: float = 200.0
    lag_ms: float = 0.0
    rate: int = 1
    unsteady: Unsteady = STEADY


THREE = tuple(
    Unit(sigma, miss, bias=0.1, delay_ms=40, jitter_ms=30, spikes=0.05)
    for sigma, miss in ((0.25, 0.20), (0.35, 0.25), (0.5, 0.30))
)


class Traffic:
    """`n` road users in a square: each enters at the edge, drives, turns, stops or walks, and leaves; another takes its
    place.
    """

    SPEED = ((6.0, 13.0), (3.0, 5.5), (1.0, 1.7))  # m/s: vehicles, cyclists, pedestrians
    KIND = (1, 5, 6)
    SHARE = (0.6, 0.1, 0.3)

    def __init__(self, n: int, side: float, rng: np.random.Generator) -> None:
        self.n, self.side, self.rng = n, side, rng
        self.field = side  # m: the square that a sensor looks at
        self.xy, self.heading, self.speed = np.empty((n, 2)), np.empty(n), np.empty(n)
        self.wish, self.turn, self.left = np.empty(n), np.zeros(n), np.zeros(n)
        self.ids, self.kind = np.zeros(n, np.int64), np.zeros(n, int)
        self.next, self.classes = 0, dict[int, int]()
        for k in range(n):
            self._enter(k, anywhere=True)

    def _enter(self, k: int, anywhere: bool = False) -> None:
        rng, h = self.rng, self.side / 2
        self.ids[k], self.next = self.next, self.next + 1
        self.kind[k] = rng.choice(3, p=self.SHARE)
        self.classes[int(self.ids[k])] = self.KIND[self.kind[k]]
        self.speed[k] = self.wish[k] = rng.uniform(*self.SPEED[self.kind[k]])
        self.turn[k] = self.left[k] = 0.0
        edge = rng.integers(4)
        along = rng.uniform(-h, h) * ROAD
        self.xy[k] = ((-h, along), (h, along), (along, -h), (along, h))[edge]
        self.heading[k] = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge] + rng.normal(0, 0.3)
        if anywhere:
            self.xy[k], self.heading[k] = (
                rng.uniform(-h, h, 2) * (1.0, ROAD)[:: rng.choice((-1, 1))],
                rng.uniform(-np.pi, np.pi),
            )

    def step(self, dt: float) -> None:
        """Move everybody by `dt` s; manoeuvres begin at random: a turn of up to 90 degrees, a stop, a new speed."""
        rng = self.rng
        self.left -= dt
        self._turn_back(dt)
        self.turn[self.left <= 0] = 0.0
        for k in np.flatnonzero((self.left <= 0) & (rng.random(self.n) < dt / 5.0)):
            self._manoeuvre(int(k), rng)
        accel = np.clip(self.wish - self.speed, -3.0 * dt, 2.0 * dt)
        self.speed += accel
        self.heading += self.turn * dt + rng.normal(0, 0.02, self.n) * np.sqrt(dt)
        self.xy += dt * self.speed[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        for k in np.flatnonzero(np.abs(self.xy).max(1) > self.side / 2):
            self._enter(int(k))

    def _turn_back(self, dt: float) -> None:
        """Most steer inwards near the edge, as hard as their kind does; two in five never do, and leave."""
        radius = np.maximum(np.array([5.0, 2.0, 0.5])[self.kind], self.speed**2 / np.array([3.5, 2.0, 1.5])[self.kind])
        ahead = self.xy + 1.6 * radius[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        out = (np.abs(ahead).max(1) > self.side / 2) & (self.ids % 5 < 3)
        home = np.arctan2(-self.xy[:, 1], -self.xy[:, 0])
        off = np.angle(np.exp(1j * (home - self.heading)))
        self.turn[out] = (np.sign(off) * self.speed / radius)[out]
        self.left[out] = np.maximum(self.left, 2 * dt)[out]

    def _manoeuvre(self, k: int, rng: np.random.Generator) -> None:
        choice, (low, high) = rng.random(), self.SPEED[self.kind[k]]
        if choice < 0.5 and self.speed[k] > 0.5:
            angle = rng.choice((-1.0, 1.0)) * rng.uniform(0.5, np.pi / 2)
            radius = rng.uniform(8.0, 25.0) if self.kind[k] == 0 else rng.uniform(1.5, 6.0)
            self.left[k] = abs(angle) * radius / self.speed[k]
            self.turn[k] = angle / self.left[k]
        elif choice < 0.65:
            self.wish[k], self.left[k] = 0.0, rng.uniform(1.0, 4.0)
        else:
            self.wish[k], self.left[k] = rng.uniform(low, high), 1.0
        if self.wish[k] == 0.0 and choice >= 0.65:
            self.wish[k] = low


class PassingTraffic(Traffic):
    """Road users that enter anywhere along the edge, at once and at full speed, and vanish as abruptly wherever they
    get to it.
    """

    SHARE = (0.8, 0.1, 0.1)

    def _enter(self, k: int, anywhere: bool = False) -> None:
        super()._enter(k, anywhere)
        if anywhere:
            self.xy[k] = self.rng.uniform(-0.5, 0.5, 2) * self.side
            return
        edge = int(self.rng.integers(4))
        along = self.rng.uniform(-0.5, 0.5) * self.side
        inwards = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge]
        half = self.side / 2
        self.xy[k] = ((-half, along), (half, along), (along, -half), (along, half))[edge]
        self.heading[k] = inwards + self.rng.uniform(-1.0, 1.0)

    def _turn_back(self, dt: float) -> None:
        """Nobody turns back."""


class Crowd(Traffic):
    """Pedestrians in files 1 m apart, half of them each way, that sway, keep their distance and now and then change
    file.
    """

    SHARE = (0.0, 0.0, 1.0)
    FILE = 1.0  # m

    def __init__(self, n: int, side: float, rng: np.random.Generator) -> None:
        self.files = max(n // 18, 2)
        self.file, self.phase = np.zeros(n, int), rng.uniform(0, 2 * np.pi, n)
        super().__init__(n, side, rng)
        self.field = 2 * side

    def _enter(self, k: int, anywhere: bool = False) -> None:
        super()._enter(k)
        self.file[k] = k % self.files if anywhere else self.file[k]
        along = self.rng.uniform(-0.5, 0.5) * self.side if anywhere else -0.5 * self.side
        self.xy[k] = along * self._way(self.file[k]), self._middle(self.file[k])

    def _way(self, file: np.ndarray | int) -> np.ndarray:
        return np.where(np.asarray(file) < self.files // 2, 1.0, -1.0)

    def _middle(self, file: np.ndarray | int) -> np.ndarray:
        return (np.asarray(file) - (self.files - 1) / 2) * self.FILE

    def _change_file(self, k: int) -> None:
        to = int(np.clip(self.file[k] + self.rng.choice((-1, 1)), 0, self.files - 1))
        near = (self.file == to) & (np.abs(self.xy[:, 0] - self.xy[k, 0]) < 1.2)
        if self._way(to) == self._way(self.file[k]) and not near.any():
            self.file[k] = to

    def step(self, dt: float) -> None:
        """Walk on; nobody comes nearer than 0.8 m to who walks before, in the same file."""
        rng, way = self.rng, self._way(self.file)
        self.phase += dt * 2 * np.pi * 0.4
        along = self.xy[:, 0] * way
        ahead = np.where(self.file[:, None] == self.file[None], along[None] - along[:, None], np.inf)
        gap = np.where(ahead > 0, ahead, np.inf).min(1)
        goal = np.where(gap < 0.8, 0.0, np.minimum(self.wish, self.wish * (gap - 0.6)))
        self.speed += np.clip(goal - self.speed, -2.0 * dt, 1.0 * dt)
        for k in np.flatnonzero(rng.random(self.n) < dt / 20.0):
            self._change_file(int(k))
        across = self._middle(self.file) + 0.1 * np.sin(self.phase) - self.xy[:, 1]
        self.xy[:, 0] += dt * self.speed * way
        self.xy[:, 1] += np.clip(across, -0.7 * dt, 0.7 * dt)
        for k in np.flatnonzero(self.xy[:, 0] * way > self.side / 2):
            self._enter(int(k))


def look(
    unit: Unit,
    traffic: Traffic,
    bias: np.ndarray,
    rng: np.random.Generator,
    features: bool,
    unsteady: UnsteadyUnit,
    t: int,
) -> Rows:
    """Return what `unit` sees of the traffic now, in no order; positions only, or with class and size too."""
    ghosts = unsteady.ghosts(t, traffic.ids, traffic.xy, traffic.heading, rng)
    lost = unsteady.lost(t, traffic.ids, rng)
    seen = traffic.xy[(rng.random(traffic.n) >= unit.miss) & ~lost]
    seen_index = np.flatnonzero((traffic.xy[:, None] == seen[None]).all(-1).any(1)) if features else None
    made_up = rng.poisson(unit.clutter * traffic.n)
    xy = np.vstack([seen + bias, ghosts, rng.uniform(-traffic.field / 2, traffic.field / 2, (made_up, 2))])
    xy[: len(seen)] += rng.normal(0, unit.sigma, (len(seen), 2))
    rows = positions(xy)
    if features and seen_index is not None:
        n = len(seen)
        rows["class"][:n] = np.array(Traffic.KIND)[traffic.kind[seen_index]]
        rows["length"][:n] = np.array([4.6, 1.8, 0.5])[traffic.kind[seen_index]] * rng.normal(1, 0.08, n)
        rows["width"][:n] = np.array([1.8, 0.7, 0.5])[traffic.kind[seen_index]] * rng.normal(1, 0.08, n)
        heading, speed = traffic.heading[seen_index], traffic.speed[seen_index]
        rows["vx"][:n] = speed * np.cos(heading) + rng.normal(0, 0.5, n)
        rows["vy"][:n] = speed * np.sin(heading) + rng.normal(0, 0.5, n)
        rows["heading"][:n] = heading + rng.normal(0, 0.1, n)
        false = len(rows) - n
        rows["class"][n:] = rng.choice(Traffic.KIND, false)
        rows["length"][n:], rows["width"][n:] = rng.uniform(0.5, 5.0, false), rng.uniform(0.5, 2.0, false)
        rows["vx"][n:], rows["vy"][n:] = rng.normal(0, 3.0, (2, false))
        rows["heading"][n:] = rng.uniform(-np.pi, np.pi, false)
        sure = np.concatenate([rng.normal(0.65, 0.15, n), rng.normal(0.35, 0.15, false)])
        rows["confidence"] = np.clip(sure, 0.05, 1.0)
    rng.shuffle(rows)
    return rows


def positions(xy: np.ndarray) -> Rows:
    """Return detections (ndarray[DETECTION]) of positions float64[n, 2] in metres: nothing else measured."""
    rows = np.zeros(len(xy), DETECTION)
    for name in DETECTION.names or ():
        if rows[name].dtype.kind == "f":
            rows[name] = np.nan
    rows["x"], rows["y"] = xy[:, 0], xy[:, 1]
    return rows


def play(
    name: str, traffic: Traffic, units: tuple[Unit, ...], frames: int, rng: np.random.Generator, features: bool = False
) -> Case:
    """Run the traffic at 20 ms; ticks of truth and each unit's scans at 10 Hz, units out of step with one another."""
    case = Case(name, [], [], traffic.side)
    angle = rng.uniform(0, 2 * np.pi, len(units))
    bias = [u.bias * np.array([np.cos(a), np.sin(a)]) for u, a in zip(units, angle, strict=True)]
    sub, unsteady = 5, [UnsteadyUnit(unit.unsteady) for unit in units]
    phase = [0] if len(units) == 1 else [int(v) for v in rng.integers(0, sub, len(units))]
    for k in range(frames * sub):
        t = BEGIN + k * (STEP // sub)
        traffic.step(0.1 / sub)
        if k % sub == 0:
            case.truth.append((t, traffic.ids.copy(), traffic.xy.copy()))
        for source, unit in enumerate(units):
            if unit.unsteady.wander and k % sub == 0:
                phase[source] = int(rng.integers(0, sub))
            if k % (sub * unit.rate) != phase[source]:
                continue
            rows = look(unit, traffic, bias[source], rng, features, unsteady[source], t)
            wait = unit.delay_ms + (rng.exponential(unit.jitter_ms) if unit.jitter_ms else 0.0)
            wait += unit.spike_ms if rng.random() < unit.spikes else 0.0
            for stamp in unsteady[source].stamps(t + int(unit.lag_ms * MS), rng):
                case.scans.append(Scan(stamp, max(stamp, t) + int(wait * MS), source, rows))
    case.scans.sort(key=lambda scan: (scan.arrival, scan.source))
    case.classes = traffic.classes
    return case


def one_sensor(seed: int, n: int = 60, frames: int = 500, features: bool = False) -> Case:
    """`n` mixed road users at 60 per 120 x 120 m, one sensor at 10 Hz: noise 0.3 m, 10 % missed, 5 % clutter."""
    rng = np.random.default_rng(seed)
    return play(f"one sensor, n={n}", Traffic(n, 120.0 * (n / 60) ** 0.5, rng), (Unit(),), frames, rng, features)


def crowd(seed: int, n: int = 100, frames: int = 500, features: bool = False) -> Case:
    """`n` pedestrians in files 1 m apart: noise 0.1 m, 10 % missed, 5 % clutter."""
    rng = np.random.default_rng(seed)
    traffic = Crowd(n, 40.0, rng)
    case = play("dense crowd", traffic, (Unit(sigma=0.1),), frames, rng, features)
    case.match_m = 1.0
    return case


def three_units(seed: int, n: int = 60, frames: int = 500, features: bool = False) -> Case:
    """Three roadside units: noise .25/.35/.5 m, missed 20/25/30 %, bias 0.1 m, latency 40 ms + exp(30 ms), 5 % spikes
    of 200 ms.
    """
    rng = np.random.default_rng(seed)
    return play("three units, late", Traffic(n, 120.0 * (n / 60) ** 0.5, rng), THREE, frames, rng, features)


def lagged(seed: int, n: int = 60, frames: int = 500) -> Case:
    """The three units, of which the second stamps what it sees 150 ms late."""
    rng = np.random.default_rng(seed)
    units = tuple(replace(unit, lag_ms=150.0 if k == 1 else 0.0) for k, unit in enumerate(THREE))
    return play("three units, one lagging", Traffic(n, 120.0 * (n / 60) ** 0.5, rng), units, frames, rng)


def passing(seed: int, n: int = 60, frames: int = 500, features: bool = False) -> Case:
    """One sensor as in `one_sensor`; road users enter and vanish abruptly, anywhere at the edge."""
    rng = np.random.default_rng(seed)
    return play(
        "one sensor, abrupt exits", PassingTraffic(n, 120.0 * (n / 60) ** 0.5, rng), (Unit(),), frames, rng, features
    )


def passing_three(seed: int, n: int = 60, frames: int = 500) -> Case:
    """The three units, late and out of order; road users enter and vanish abruptly, anywhere at the edge."""
    rng = np.random.default_rng(seed)
    return play("three units, abrupt exits", PassingTraffic(n, 120.0 * (n / 60) ** 0.5, rng), THREE, frames, rng)


def _unsteady(name: str, how: Unsteady) -> Callable[[int], Case]:
    def make(seed: int, n: int = 60, frames: int = 500) -> Case:
        rng = np.random.default_rng(seed)
        return play(name, PassingTraffic(n, 120.0 * (n / 60) ** 0.5, rng), (Unit(unsteady=how),), frames, rng)

    return make


def described(seed: int) -> Case:
    """One sensor as in `one_sensor` that gives every column."""
    case = one_sensor(seed, features=True)
    case.name = "one sensor, every column"
    return case


def driving(seed: int, n: int = 60, frames: int = 500) -> Case:
    """A lidar's detector at 2 Hz: every column, 0.4 m, 15 % missed, a third as many false detections as road users, of
    lower confidence.
    """
    rng = np.random.default_rng(seed)
    unit = Unit(sigma=0.4, miss=0.15, clutter=0.33, rate=5)
    return play(
        "detector at 2 Hz, every column", PassingTraffic(n, 120.0 * (n / 60) ** 0.5, rng), (unit,), frames, rng, True
    )


CASES: dict[str, Callable[[int], Case]] = {
    "one": one_sensor,
    "crowd": crowd,
    "three": three_units,
    "lagged": lagged,
    "described": described,
    "driving": driving,
    "passing": passing,
    "passing_three": passing_three,
    "bursty": _unsteady("one sensor, bursts and frames sent twice", BURSTY),
    "rounded": _unsteady("one sensor, stamps of whole 100 ms", ROUNDED),
    "lossy": _unsteady("one sensor, lost for 1 to 2 s", LOSSY),
    "ghostly": _unsteady("one sensor, ghosts beside road users", GHOSTLY),
}
