"""Made-up detections with their truth, from a seed: one sensor, a dense crowd, three late roadside units.

Nothing here looks at the tracker: the road users, what the sensors see and when it arrives follow from the seed alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from ...clock import MS, SECOND
from ...fusion import DETECTION, Rows
from ..common.unsteady import BURSTY, GHOSTLY, LOSSY, ROUNDED, STEADY, Unsteady, UnsteadyUnit
from .traffic import Crowd, PassingTraffic, Traffic

BEGIN = 1_767_225_600 * SECOND
STEP = 100 * MS


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
    # Ticks of 20 ms, five to a frame: units out of step differ by one or more
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

    # Delays reorder what is sent: the tracker gets scans as they arrive
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
