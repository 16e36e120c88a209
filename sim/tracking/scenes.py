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

    def __init__(self, count: int, side: float, rng: np.random.Generator) -> None:
        self.n, self.side, self.rng = count, side, rng
        self.field = side  # m: the square that a sensor looks at
        self.xy, self.heading, self.speed = np.empty((count, 2)), np.empty(count), np.empty(count)
        self.wish, self.turn, self.left = np.empty(count), np.zeros(count), np.zeros(count)
        self.ids, self.kind = np.zeros(count, np.int64), np.zeros(count, int)
        self.next, self.classes = 0, dict[int, int]()
        for index in range(count):
            self._enter(index, anywhere=True)

    def _enter(self, index: int, anywhere: bool = False) -> None:
        rng, half_side = self.rng, self.side / 2
        self.ids[index], self.next = self.next, self.next + 1
        self.kind[index] = rng.choice(3, p=self.SHARE)
        self.classes[int(self.ids[index])] = self.KIND[self.kind[index]]
        self.speed[index] = self.wish[index] = rng.uniform(*self.SPEED[self.kind[index]])
        self.turn[index] = self.left[index] = 0.0
        edge = rng.integers(4)
        along = rng.uniform(-half_side, half_side) * ROAD
        self.xy[index] = ((-half_side, along), (half_side, along), (along, -half_side), (along, half_side))[edge]
        self.heading[index] = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge] + rng.normal(0, 0.3)

        if anywhere:
            self.xy[index], self.heading[index] = (
                rng.uniform(-half_side, half_side, 2) * (1.0, ROAD)[:: rng.choice((-1, 1))],
                rng.uniform(-np.pi, np.pi),
            )

    def step(self, dt: float) -> None:
        """Move everybody by `dt` s; manoeuvres begin at random: a turn of up to 90 degrees, a stop, a new speed."""
        rng = self.rng
        self.left -= dt
        self._turn_back(dt)
        self.turn[self.left <= 0] = 0.0
        for index in np.flatnonzero((self.left <= 0) & (rng.random(self.n) < dt / 5.0)):
            self._manoeuvre(int(index), rng)
        accel = np.clip(self.wish - self.speed, -3.0 * dt, 2.0 * dt)
        self.speed += accel
        self.heading += self.turn * dt + rng.normal(0, 0.02, self.n) * np.sqrt(dt)
        self.xy += dt * self.speed[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        for index in np.flatnonzero(np.abs(self.xy).max(1) > self.side / 2):
            self._enter(int(index))

    def _turn_back(self, dt: float) -> None:
        """Most steer inwards near the edge, as hard as their kind does; two in five never do, and leave."""
        radius = np.maximum(np.array([5.0, 2.0, 0.5])[self.kind], self.speed**2 / np.array([3.5, 2.0, 1.5])[self.kind])
        ahead = self.xy + 1.6 * radius[:, None] * np.column_stack([np.cos(self.heading), np.sin(self.heading)])
        leaving = (np.abs(ahead).max(1) > self.side / 2) & (self.ids % 5 < 3)
        inward = np.arctan2(-self.xy[:, 1], -self.xy[:, 0])
        off = np.angle(np.exp(1j * (inward - self.heading)))
        self.turn[leaving] = (np.sign(off) * self.speed / radius)[leaving]
        self.left[leaving] = np.maximum(self.left, 2 * dt)[leaving]

    def _manoeuvre(self, index: int, rng: np.random.Generator) -> None:
        choice, (low, high) = rng.random(), self.SPEED[self.kind[index]]
        if choice < 0.5 and self.speed[index] > 0.5:
            angle = rng.choice((-1.0, 1.0)) * rng.uniform(0.5, np.pi / 2)
            radius = rng.uniform(8.0, 25.0) if self.kind[index] == 0 else rng.uniform(1.5, 6.0)
            self.left[index] = abs(angle) * radius / self.speed[index]
            self.turn[index] = angle / self.left[index]
        elif choice < 0.65:
            self.wish[index], self.left[index] = 0.0, rng.uniform(1.0, 4.0)
        else:
            self.wish[index], self.left[index] = rng.uniform(low, high), 1.0

        if self.wish[index] == 0.0 and choice >= 0.65:
            self.wish[index] = low


class PassingTraffic(Traffic):
    """Road users that enter anywhere along the edge, at once and at full speed, and vanish as abruptly wherever they
    get to it.
    """

    SHARE = (0.8, 0.1, 0.1)

    def _enter(self, index: int, anywhere: bool = False) -> None:
        super()._enter(index, anywhere)
        if anywhere:
            self.xy[index] = self.rng.uniform(-0.5, 0.5, 2) * self.side
            return

        edge = int(self.rng.integers(4))
        along = self.rng.uniform(-0.5, 0.5) * self.side
        inwards = (0.0, np.pi, np.pi / 2, -np.pi / 2)[edge]
        half = self.side / 2
        self.xy[index] = ((-half, along), (half, along), (along, -half), (along, half))[edge]
        self.heading[index] = inwards + self.rng.uniform(-1.0, 1.0)

    def _turn_back(self, dt: float) -> None:
        """Nobody turns back."""


class Crowd(Traffic):
    """Pedestrians in files 1 m apart, half of them each way, that sway, keep their distance and now and then change
    file.
    """

    SHARE = (0.0, 0.0, 1.0)
    FILE = 1.0  # m

    def __init__(self, count: int, side: float, rng: np.random.Generator) -> None:
        self.files = max(count // 18, 2)
        self.file, self.phase = np.zeros(count, int), rng.uniform(0, 2 * np.pi, count)
        super().__init__(count, side, rng)
        self.field = 2 * side

    def _enter(self, index: int, anywhere: bool = False) -> None:
        super()._enter(index)
        self.file[index] = index % self.files if anywhere else self.file[index]
        along = self.rng.uniform(-0.5, 0.5) * self.side if anywhere else -0.5 * self.side
        self.xy[index] = along * self._way(self.file[index]), self._middle(self.file[index])

    def _way(self, file: np.ndarray | int) -> np.ndarray:
        return np.where(np.asarray(file) < self.files // 2, 1.0, -1.0)

    def _middle(self, file: np.ndarray | int) -> np.ndarray:
        return (np.asarray(file) - (self.files - 1) / 2) * self.FILE

    def _change_file(self, index: int) -> None:
        to = int(np.clip(self.file[index] + self.rng.choice((-1, 1)), 0, self.files - 1))
        near = (self.file == to) & (np.abs(self.xy[:, 0] - self.xy[index, 0]) < 1.2)
        if self._way(to) == self._way(self.file[index]) and not near.any():
            self.file[index] = to

    def step(self, dt: float) -> None:
        """Walk on; nobody comes nearer than 0.8 m to who walks before, in the same file."""
        rng, direction = self.rng, self._way(self.file)
        self.phase += dt * 2 * np.pi * 0.4
        along = self.xy[:, 0] * direction
        ahead = np.where(self.file[:, None] == self.file[None], along[None] - along[:, None], np.inf)
        gap = np.where(ahead > 0, ahead, np.inf).min(1)
        goal = np.where(gap < 0.8, 0.0, np.minimum(self.wish, self.wish * (gap - 0.6)))
        self.speed += np.clip(goal - self.speed, -2.0 * dt, 1.0 * dt)
        for index in np.flatnonzero(rng.random(self.n) < dt / 20.0):
            self._change_file(int(index))
        across = self._middle(self.file) + 0.1 * np.sin(self.phase) - self.xy[:, 1]
        self.xy[:, 0] += dt * self.speed * direction
        self.xy[:, 1] += np.clip(across, -0.7 * dt, 0.7 * dt)
        for index in np.flatnonzero(self.xy[:, 0] * direction > self.side / 2):
            self._enter(int(index))


def look(
    unit: Unit,
    traffic: Traffic,
    bias: np.ndarray,
    rng: np.random.Generator,
    features: bool,
    unsteady: UnsteadyUnit,
    time_ns: int,
) -> Rows:
    """Return what `unit` sees of the traffic now, in no order; positions only, or with class and size too."""
    ghosts = unsteady.ghosts(time_ns, traffic.ids, traffic.xy, traffic.heading, rng)
    lost = unsteady.lost(time_ns, traffic.ids, rng)
    visible = traffic.xy[(rng.random(traffic.n) >= unit.miss) & ~lost]
    seen_index = np.flatnonzero((traffic.xy[:, None] == visible[None]).all(-1).any(1)) if features else None
    made_up = rng.poisson(unit.clutter * traffic.n)
    xy = np.vstack([visible + bias, ghosts, rng.uniform(-traffic.field / 2, traffic.field / 2, (made_up, 2))])
    xy[: len(visible)] += rng.normal(0, unit.sigma, (len(visible), 2))
    rows = positions(xy)

    if features and seen_index is not None:
        count = len(visible)
        rows["class"][:count] = np.array(Traffic.KIND)[traffic.kind[seen_index]]
        rows["length"][:count] = np.array([4.6, 1.8, 0.5])[traffic.kind[seen_index]] * rng.normal(1, 0.08, count)
        rows["width"][:count] = np.array([1.8, 0.7, 0.5])[traffic.kind[seen_index]] * rng.normal(1, 0.08, count)
        heading, speed = traffic.heading[seen_index], traffic.speed[seen_index]
        rows["vx"][:count] = speed * np.cos(heading) + rng.normal(0, 0.5, count)
        rows["vy"][:count] = speed * np.sin(heading) + rng.normal(0, 0.5, count)
        rows["heading"][:count] = heading + rng.normal(0, 0.1, count)
        false = len(rows) - count
        rows["class"][count:] = rng.choice(Traffic.KIND, false)
        rows["length"][count:], rows["width"][count:] = rng.uniform(0.5, 5.0, false), rng.uniform(0.5, 2.0, false)
        rows["vx"][count:], rows["vy"][count:] = rng.normal(0, 3.0, (2, false))
        rows["heading"][count:] = rng.uniform(-np.pi, np.pi, false)
        sure = np.concatenate([rng.normal(0.65, 0.15, count), rng.normal(0.35, 0.15, false)])
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
    case = Case(name=name, scans=[], truth=[], side=traffic.side)
    angle = rng.uniform(0, 2 * np.pi, len(units))
    bias = [profile.bias * np.array([np.cos(a), np.sin(a)]) for profile, a in zip(units, angle, strict=True)]
    sub, unsteady = 5, [UnsteadyUnit(unit.unsteady) for unit in units]
    phase = [0] if len(units) == 1 else [int(value) for value in rng.integers(0, sub, len(units))]

    for index in range(frames * sub):
        time_ns = BEGIN + index * (STEP // sub)
        traffic.step(0.1 / sub)
        if index % sub == 0:
            case.truth.append((time_ns, traffic.ids.copy(), traffic.xy.copy()))

        for source, unit in enumerate(units):
            if unit.unsteady.wander and index % sub == 0:
                phase[source] = int(rng.integers(0, sub))
            if index % (sub * unit.rate) != phase[source]:
                continue

            rows = look(
                unit, traffic, bias=bias[source], rng=rng, features=features, unsteady=unsteady[source], time_ns=time_ns
            )
            wait = unit.delay_ms + (rng.exponential(unit.jitter_ms) if unit.jitter_ms else 0.0)
            wait += unit.spike_ms if rng.random() < unit.spikes else 0.0
            for stamp in unsteady[source].stamps(time_ns + int(unit.lag_ms * MS), rng):
                case.scans.append(Scan(t=stamp, arrival=max(stamp, time_ns) + int(wait * MS), source=source, rows=rows))

    case.scans.sort(key=lambda scan: (scan.arrival, scan.source))
    case.classes = traffic.classes
    return case


def one_sensor(seed: int, count: int = 60, frames: int = 500, features: bool = False) -> Case:
    """`count` mixed road users at 60 per 120 x 120 m, one sensor at 10 Hz: noise 0.3 m, 10 % missed, 5 % clutter."""
    rng = np.random.default_rng(seed)
    return play(
        f"one sensor, n={count}",
        Traffic(count, 120.0 * (count / 60) ** 0.5, rng),
        units=(Unit(),),
        frames=frames,
        rng=rng,
        features=features,
    )


def crowd(seed: int, count: int = 100, frames: int = 500, features: bool = False) -> Case:
    """`count` pedestrians in files 1 m apart: noise 0.1 m, 10 % missed, 5 % clutter."""
    rng = np.random.default_rng(seed)
    traffic = Crowd(count, side=40.0, rng=rng)
    case = play("dense crowd", traffic, units=(Unit(sigma=0.1),), frames=frames, rng=rng, features=features)
    case.match_m = 1.0
    return case


def three_units(seed: int, count: int = 60, frames: int = 500, features: bool = False) -> Case:
    """Three roadside units: noise .25/.35/.5 m, missed 20/25/30 %, bias 0.1 m, latency 40 ms + exp(30 ms), 5 % spikes
    of 200 ms.
    """
    rng = np.random.default_rng(seed)
    return play(
        "three units, late",
        Traffic(count, 120.0 * (count / 60) ** 0.5, rng),
        units=THREE,
        frames=frames,
        rng=rng,
        features=features,
    )


def lagged(seed: int, count: int = 60, frames: int = 500) -> Case:
    """The three units, of which the second stamps what it sees 150 ms late."""
    rng = np.random.default_rng(seed)
    units = tuple(replace(unit, lag_ms=150.0 if index == 1 else 0.0) for index, unit in enumerate(THREE))
    return play("three units, one lagging", Traffic(count, 120.0 * (count / 60) ** 0.5, rng), units, frames, rng)


def passing(seed: int, count: int = 60, frames: int = 500, features: bool = False) -> Case:
    """One sensor as in `one_sensor`; road users enter and vanish abruptly, anywhere at the edge."""
    rng = np.random.default_rng(seed)
    return play(
        "one sensor, abrupt exits",
        PassingTraffic(count, 120.0 * (count / 60) ** 0.5, rng),
        units=(Unit(),),
        frames=frames,
        rng=rng,
        features=features,
    )


def passing_three(seed: int, count: int = 60, frames: int = 500) -> Case:
    """The three units, late and out of order; road users enter and vanish abruptly, anywhere at the edge."""
    rng = np.random.default_rng(seed)
    return play(
        "three units, abrupt exits", PassingTraffic(count, 120.0 * (count / 60) ** 0.5, rng), THREE, frames, rng
    )


def _unsteady(name: str, unsteady: Unsteady) -> Callable[[int], Case]:
    def make(seed: int, count: int = 60, frames: int = 500) -> Case:
        rng = np.random.default_rng(seed)
        return play(
            name, PassingTraffic(count, 120.0 * (count / 60) ** 0.5, rng), (Unit(unsteady=unsteady),), frames, rng
        )

    return make


def described(seed: int) -> Case:
    """One sensor as in `one_sensor` that gives every column."""
    case = one_sensor(seed, features=True)
    case.name = "one sensor, every column"
    return case


def driving(seed: int, count: int = 60, frames: int = 500) -> Case:
    """A lidar's detector at 2 Hz: every column, 0.4 m, 15 % missed, a third as many false detections as road users, of
    lower confidence.
    """
    rng = np.random.default_rng(seed)
    unit = Unit(sigma=0.4, miss=0.15, clutter=0.33, rate=5)

    return play(
        "detector at 2 Hz, every column",
        PassingTraffic(count, 120.0 * (count / 60) ** 0.5, rng),
        units=(unit,),
        frames=frames,
        rng=rng,
        features=True,
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
