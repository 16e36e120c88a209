"""Speed limits by kind, as messages list them (SpeedLimitType of J2735 and YD/T 3709, steps of 0.02 m/s), and as a code does.

message                                     code
vehicleMaxSpeed                             the lane's speed
vehicleMinSpeed, truckMinSpeed              rule speed_min (for trucks)
truckMaxSpeed                               rule speed_max for trucks
vehicleNightMaxSpeed, truckNightMaxSpeed    rule speed_max at night, which the message does not bound: NIGHT
maxSpeedInSchoolZone (also with children)   rule school_zone
maxSpeedInConstructionZone                  rule construction
vehiclesWithTrailers..., unknown            a line of the report
"""

from collections.abc import Iterable
from math import floor
from typing import NamedTuple

from msgspec.structs import fields

from cloudctl.datums import CHINA

from ...model import Point
from ...rule import Calendar, Rule
from ..importing.accounting import JsonRecord

STEP = 0.02  # m/s
MAX_STEPS = 8190  # 163.8 m/s; 8191 is "not available"
DEFAULT_SPEED = 13.89  # m/s, 50 km/h
NIGHT = (
    1080,
    420,
)  # 18:00 to 07:00: the longest night that a regulation is likely to mean, for no limit to be lifted too early
CAR = "vehicleMaxSpeed"
CHILDREN = "maxSpeedInSchoolZoneWhenChildrenArePresent"


class LimitKind(NamedTuple):
    """What a kind of limit is in a code: the rule's kind, whom it binds, and whether at night only."""

    kind: str
    classes: tuple[str, ...] = ()
    night: bool = False


KINDS = {
    "vehicleMinSpeed": LimitKind("speed_min"),
    "vehicleNightMaxSpeed": LimitKind("speed_max", (), True),
    "truckMinSpeed": LimitKind("speed_min", ("truck",)),
    "truckMaxSpeed": LimitKind("speed_max", ("truck",)),
    "truckNightMaxSpeed": LimitKind("speed_max", ("truck",), True),
    "maxSpeedInSchoolZone": LimitKind("school_zone"),
    CHILDREN: LimitKind("school_zone"),
    "maxSpeedInConstructionZone": LimitKind("construction"),
}
NO_KIND = {
    "unknown": "it is of no known kind",
    "vehiclesWithTrailersMinSpeed": "a code has no class for vehicles with trailers",
    "vehiclesWithTrailersMaxSpeed": "a code has no class for vehicles with trailers",
    "vehiclesWithTrailersNightMaxSpeed": "a code has no class for vehicles with trailers",
}
TYPES = (
    "unknown",
    "maxSpeedInSchoolZone",
    CHILDREN,
    "maxSpeedInConstructionZone",
    "vehicleMinSpeed",
    CAR,
    "vehicleNightMaxSpeed",
    "truckMinSpeed",
    "truckMaxSpeed",
    "truckNightMaxSpeed",
    "vehiclesWithTrailersMinSpeed",
    "vehiclesWithTrailersMaxSpeed",
    "vehiclesWithTrailersNightMaxSpeed",
)  # in the order of their numbers
WRITTEN = frozenset(
    ("id", "kind", "targets", "value", "classes", "except_classes", "calendar", "priority", "authority", "sign", "text")
)  # fields of a rule
WORDS = {name: name for name in TYPES} | {str(k): name for k, name in enumerate(TYPES)}


def read_limits(rows: Iterable[JsonRecord]) -> dict[str, float]:
    """Return the limits of a list by their type, m/s; what is not known, not available, or listed twice is reported."""
    out: dict[str, float] = {}
    for row in rows:
        kind, steps = row.choice("type", WORDS, ""), row.number("speed")
        if not kind:
            continue
        if not 0 < steps <= MAX_STEPS:
            row.unknown("speed", f"{steps:g}", f"{kind} left out, which must be 1 .. {MAX_STEPS} steps of 0.02 m/s")
            continue
        speed = round(steps * STEP, 2)
        if out.setdefault(kind, speed) != speed:
            row.unknown("speed", f"{steps:g}", f"{kind} is listed twice: the lower limit is taken")
            out[kind] = max(out[kind], speed) if "Min" in kind else min(out[kind], speed)
    return out


def night_calendar(ref: Point) -> Calendar:
    """Return the night at a place: its time zone is China's there, elsewhere that of its longitude."""
    lat, lon = ref[0] / 1e7, ref[1] / 1e7
    if CHINA[0] <= lat <= CHINA[1] and CHINA[2] <= lon <= CHINA[3]:
        return Calendar(minutes=(NIGHT,))
    hours = round(lon / 15)
    return Calendar(minutes=(NIGHT,), tz=f"Etc/GMT{-hours:+d}" if hours else "Etc/GMT")  # Etc counts westwards


def steps(speed: float) -> int:
    """Return a limit in steps of a message: never more than it is."""
    return floor(speed / STEP + 1e-6)


def narrowed(rule: Rule) -> tuple[str, ...]:
    """Return the fields by which a rule is narrowed beyond what a message has words for (plates, fuels, dates): all but `WRITTEN` that are set."""
    return tuple(
        field.name for field in fields(rule) if field.name not in WRITTEN and getattr(rule, field.name) != field.default
    )


def written_kind(rule: Rule) -> str:
    """Return the type under which a message lists a rule that is no plain limit; "" where there is none. Times of day are lost."""
    for name, kind in KINDS.items():
        if (
            (rule.kind, rule.classes, rule.except_classes) == (kind.kind, kind.classes, ())
            and rule.value is not None
            and not narrowed(rule)
        ):
            night = rule.calendar is not None and rule.calendar.minutes == (NIGHT,)
            if kind.night == night and (night or rule.calendar is None):
                return name
    return ""
