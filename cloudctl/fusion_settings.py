"""What a tracker and its sources can be told: every value has a range, and one outside it is refused with the field,
the rule and the remedy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import pi
from numbers import Integral, Real
from typing import Any, NamedTuple

from . import _core

MAX_SOURCES: int = _core.LIMITS["sources"]  # of one intersection
MAX_CAPACITY: int = _core.BOUNDS["capacity"]  # tracks of one tracker, 1 KiB each: 64 MiB
MAX_JUMP_MS = 24 * 3600 * 1000  # a day
MAX_WAIT_MS = 3600 * 1000  # an hour
MAX_PLACE = 1e6  # m from the origin
WHOLE_TURN = 7.0  # rad; over 2 pi: all around
KINDS: dict[str, int] = _core.KINDS  # of sources, by name
FEATURES: dict[str, int] = _core.FEATURES  # bits of what can be left out, by name


class Range(NamedTuple):
    """What a number may be; `above`: it must be over `low`, which itself is not allowed."""

    low: float
    high: float
    unit: str
    above: bool = False

    def rule(self) -> str:
        least = f"over {self.low:g} and at most" if self.above else f"within {self.low:g} and"
        return f"{least} {self.high:g}{f' ({self.unit})' if self.unit else ''}"

    def holds(self, value: Any) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low)


MOTION_RANGES = {
    "straight": Range(0, 1000, "m^2/s^3", above=True),
    "turning": Range(0, 1000, "m^2/s^3"),
    "rate": Range(0, 100, "rad^2/s^3"),
    "enter": Range(0, 100, "1/s"),
    "leave": Range(0, 100, "1/s"),
}
FUSION_RANGES = {
    "max_tracks": Range(1, MAX_CAPACITY, "tracks"),
    "gate": Range(0, 1000, "squared Mahalanobis distance", above=True),
    "miss_cost": Range(0, 1000, "squared Mahalanobis distance", above=True),
    "confirm": Range(0.01, 0.998, "a probability that an existence can exceed"),
    "false_cost": Range(0, 499, "missed road users"),
    "drop": Range(0, 0.5, "a probability"),
    "survive_s": Range(0, 86_400, "s", above=True),
    "coast_ms": Range(1, MAX_WAIT_MS, "ms"),
    "window_ms": Range(0, MAX_WAIT_MS, "ms"),
    "jump_ms": Range(1, MAX_JUMP_MS, "ms"),
}
SOURCE_RANGES = {
    "x": Range(-MAX_PLACE, MAX_PLACE, "m from the origin"),
    "y": Range(-MAX_PLACE, MAX_PLACE, "m from the origin"),
    "heading": Range(-2 * pi - 1e-3, 2 * pi + 1e-3, "rad, counter-clockwise from east"),
    "fov": Range(0, WHOLE_TURN, "rad", above=True),
    "range_m": Range(0, 100_000, "m", above=True),
    "sigma_m": Range(0.001, 100, "m"),
    "sigma_v": Range(0.001, 100, "m/s"),
    "p_detect": Range(0.01, 0.999, "a probability"),
    "clutter": Range(1e-9, 1, "false detections per m^2"),
    "latency_ms": Range(-60_000, 60_000, "ms"),
}
WHOLE = {"max_tracks", "coast_ms", "window_ms", "jump_ms"}


@dataclass(frozen=True)
class Motion:
    """How a class of road user moves: spectral densities of acceleration (m^2/s^3) and of the turn rate (rad^2/s^3),
    rates of change (1/s).
    """

    straight: float  # acceleration's, of the constant-velocity model
    turning: float  # acceleration's, of the turning model
    rate: float  # the turn rate's
    enter: float  # manoeuvres begun a second; 0: never, and the turning model is not run
    leave: float  # manoeuvres ended a second

    def __post_init__(self) -> None:
        _check_ranges(self, MOTION_RANGES)


@dataclass(frozen=True)
class FusionConfig:
    """How an intersection's tracker works; the defaults need no tuning. docs/fusion.md describes what each does.

    Raises ValueError or TypeError naming the field, its value, the rule and the remedy.
    """

    max_tracks: int = 512
    gate: float = 20.0  # squared Mahalanobis distance
    miss_cost: float = 12.0  # of leaving a track without a detection, in the same unit
    # Existence probability from which a track is kept through misses, and teaches what is found of sources.
    confirm: float = 0.97
    false_cost: float = 1.0  # of a false road user given out, in missed ones: shown is whoever exists with more than false_cost / (1 + false_cost)  # noqa: E501
    drop: float = 0.01
    survive_s: float = 30.0  # mean stay of a road user that nobody sees
    coast_ms: int = 2500  # without a measurement
    window_ms: int = 1000  # an older scan is refused
    jump_ms: int = 10_000  # a scan further ahead of the newest is put aside until another agrees
    motion: tuple[tuple[int, Motion], ...] = ()  # (class, how it moves), where not the default
    without: tuple[str, ...] = ()  # of FEATURES, left out to see what each is worth

    def __post_init__(self) -> None:
        _check_ranges(self, FUSION_RANGES)
        if self.drop >= self.confirm:
            raise ValueError(
                f"FusionConfig.drop = {self.drop}: must be below confirm ({self.confirm}). Leave it out for the"
                " default, 0.01"
            )

        _check_motion(self.motion)
        _check_without(self.without)


@dataclass(frozen=True)
class SourceConfig:
    """What is known of one source: its place (m), field of view (rad), range (m), noise, detection probability and
    clutter (per m^2).

    Without `x` and `y` it is taken to look where it has seen road users, and `heading`, `fov` and `range_m` say
    nothing. Noise, bias (m), latency (ms),
    detection probability and clutter are where the estimates begin; `Fusion.stats` has where they are. Raises
    ValueError or TypeError naming
    the field, its value, the rule and the remedy.
    """

    x: float | None = None
    y: float | None = None
    heading: float = 0.0
    fov: float = WHOLE_TURN
    range_m: float = 250.0
    sigma_m: float = 0.35
    sigma_v: float = 0.6
    p_detect: float = 0.9
    clutter: float = 1e-4
    kind: str = "detections"
    bias_m: tuple[float, float] = (0.0, 0.0)
    latency_ms: float = 0.0

    def __post_init__(self) -> None:
        if (self.x is None) != (self.y is None):
            raise ValueError(
                f"SourceConfig.x, y = {self.x}, {self.y}: one is given without the other. Give both, or neither where"
                " its place is not known"
            )

        _check_ranges(
            self,
            {
                name: allowed
                for name, allowed in SOURCE_RANGES.items()
                if getattr(self, name) is not None or name not in "xy"
            },
        )
        if not isinstance(self.kind, str) or self.kind not in KINDS:
            raise ValueError(
                f"SourceConfig.kind = {self.kind!r}: must be one of {', '.join(KINDS)}. detections is what sensors"
                " send; tracks, what has ids that stay"
            )

        if isinstance(self.bias_m, str) or not hasattr(self.bias_m, "__len__") or len(self.bias_m) != 2:
            raise TypeError(
                f"SourceConfig.bias_m = {self.bias_m!r}: must be two numbers, east and north in m. Leave it out for"
                " none"
            )

        for axis, value in zip("xy", self.bias_m, strict=True):
            check_number(f"SourceConfig.bias_m ({axis})", value, Range(-100, 100, "m"), "Leave it out for none")


def check_number(name: str, value: object, allowed: Range, remedy: str, whole: bool = False) -> None:
    """Raise TypeError for what is no number (no whole one), ValueError for one outside its range."""
    kind = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise TypeError(f"{name} = {value!r}: must be {kind}, {allowed.rule()}. {remedy}")
    if not allowed.holds(value):
        raise ValueError(f"{name} = {value}: must be {kind} {allowed.rule()}. {remedy}")


def features_of(without: tuple[str, ...]) -> int:
    """Return the bits of the features left out."""
    return sum(FEATURES[name] for name in set(without))


def _check_ranges(config: Any, ranges: Mapping[str, Range]) -> None:
    defaults = {field.name: field.default for field in fields(config)}
    for name, allowed in ranges.items():
        known = isinstance(defaults[name], int | float)
        remedy = f"Leave it out for the default, {defaults[name]}" if known else f"Give it in {allowed.unit}"
        check_number(f"{type(config).__name__}.{name}", getattr(config, name), allowed, remedy, name in WHOLE)


def _check_motion(motion: object) -> None:
    rule = "must be pairs of a class (0..7) and a Motion. Write ((6, Motion(.08, .8, 1, .2, .6)),)"
    if not isinstance(motion, tuple | list):
        raise TypeError(f"FusionConfig.motion = {motion!r}: {rule}")

    for item in motion:
        if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[1], Motion):
            raise TypeError(f"FusionConfig.motion has {item!r}: {rule}")

        check_number(
            "FusionConfig.motion, its class",
            item[0],
            Range(0, _core.LIMITS["classes"] - 1, "ObjectClass"),
            "Use an ObjectClass",
            whole=True,
        )


def _check_without(without: object) -> None:
    if isinstance(without, str) or not isinstance(without, tuple | list | set | frozenset):
        raise TypeError(f"FusionConfig.without = {without!r}: must be names in a tuple. Write ('turns',)")
    unknown = [name for name in without if not isinstance(name, str) or name not in FEATURES]
    if unknown:
        raise ValueError(f"FusionConfig.without = {unknown}: there are {', '.join(FEATURES)}. Name some of these")
