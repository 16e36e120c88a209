"""Speed limits by kind, as messages list them (SpeedLimitType of J2735 and YD/T 3709, steps of 0.02 m/s), and as a code
does.

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

SPEED_STEP = 0.02  # m/s
MAX_STEPS = 8190  # 163.8 m/s; 8191 is "not available"
# 18:00 to 07:00: the longest night that a regulation is likely to mean, for no limit to be lifted too early
NIGHT_MINUTES = (
    1080,
    420,
)
CAR_LIMIT = "vehicleMaxSpeed"
CHILDREN_LIMIT = "maxSpeedInSchoolZoneWhenChildrenArePresent"


class LimitKind(NamedTuple):
    """What a kind of limit is in a code: the rule's kind, the classes it binds, and whether at night only."""

    kind: str
    classes: tuple[str, ...] = ()
    night: bool = False


LIMIT_KINDS = {
    "vehicleMinSpeed": LimitKind("speed_min"),
    "vehicleNightMaxSpeed": LimitKind("speed_max", (), night=True),
    "truckMinSpeed": LimitKind("speed_min", ("truck",)),
    "truckMaxSpeed": LimitKind("speed_max", ("truck",)),
    "truckNightMaxSpeed": LimitKind("speed_max", ("truck",), night=True),
    "maxSpeedInSchoolZone": LimitKind("school_zone"),
    CHILDREN_LIMIT: LimitKind("school_zone"),
    "maxSpeedInConstructionZone": LimitKind("construction"),
}
LIMITS_WITHOUT_RULE = {
    "unknown": "it is of no known kind",
    "vehiclesWithTrailersMinSpeed": "a code has no class for vehicles with trailers",
    "vehiclesWithTrailersMaxSpeed": "a code has no class for vehicles with trailers",
    "vehiclesWithTrailersNightMaxSpeed": "a code has no class for vehicles with trailers",
}
# In the order of their numbers
LIMIT_TYPES = (
    "unknown",
    "maxSpeedInSchoolZone",
    CHILDREN_LIMIT,
    "maxSpeedInConstructionZone",
    "vehicleMinSpeed",
    CAR_LIMIT,
    "vehicleNightMaxSpeed",
    "truckMinSpeed",
    "truckMaxSpeed",
    "truckNightMaxSpeed",
    "vehiclesWithTrailersMinSpeed",
    "vehiclesWithTrailersMaxSpeed",
    "vehiclesWithTrailersNightMaxSpeed",
)
# Fields of a rule
WRITABLE_FIELDS = frozenset(
    ("id", "kind", "targets", "value", "classes", "except_classes", "calendar", "priority", "authority", "sign", "text")
)
LIMIT_TYPE_NAMES = {name: name for name in LIMIT_TYPES} | {str(k): name for k, name in enumerate(LIMIT_TYPES)}


def read_limits(rows: Iterable[JsonRecord]) -> dict[str, float]:
    """Return the limits of a list by their type, m/s; what is not known, not available, or listed twice is reported."""
    limits: dict[str, float] = {}
    for row in rows:
        limit_type, speed_steps = row.choice("type", LIMIT_TYPE_NAMES, ""), row.number("speed")
        if not limit_type:
            continue

        if not 0 < speed_steps <= MAX_STEPS:
            row.unknown(
                "speed", f"{speed_steps:g}", f"{limit_type} left out, which must be 1 .. {MAX_STEPS} steps of 0.02 m/s"
            )
            continue

        speed = round(speed_steps * SPEED_STEP, 2)
        if limits.setdefault(limit_type, speed) != speed:
            row.unknown("speed", f"{speed_steps:g}", f"{limit_type} is listed twice: the lower limit is taken")
            limits[limit_type] = (
                max(limits[limit_type], speed) if "Min" in limit_type else min(limits[limit_type], speed)
            )

    return limits


def night_calendar(reference: Point) -> Calendar:
    """Return the night at a place: its time zone is China's there, elsewhere that of its longitude."""
    lat, lon = reference[0] / 1e7, reference[1] / 1e7
    if CHINA[0] <= lat <= CHINA[1] and CHINA[2] <= lon <= CHINA[3]:
        return Calendar(minutes=(NIGHT_MINUTES,))

    offset_h = round(lon / 15)
    # Etc counts westwards
    return Calendar(minutes=(NIGHT_MINUTES,), tz=f"Etc/GMT{-offset_h:+d}" if offset_h else "Etc/GMT")


def speed_steps(speed: float) -> int:
    """Return a limit in steps of a message: never more than it is."""
    return floor(speed / SPEED_STEP + 1e-6)


def narrowing_fields(rule: Rule) -> tuple[str, ...]:
    """Return the fields by which a rule is narrowed beyond what a message has words for (plates, fuels, dates): all but
    `WRITTEN` that are set."""
    return tuple(
        field.name
        for field in fields(rule)
        if field.name not in WRITABLE_FIELDS and getattr(rule, field.name) != field.default
    )


def message_limit_type(rule: Rule) -> str:
    """Return the type under which a message lists a rule that is no plain limit; "" where there is none. Times of day
    are lost."""
    for name, kind in LIMIT_KINDS.items():
        if (
            (rule.kind, rule.classes, rule.except_classes) == (kind.kind, kind.classes, ())
            and rule.value is not None
            and not narrowing_fields(rule)
        ):
            night = rule.calendar is not None and rule.calendar.minutes == (NIGHT_MINUTES,)
            if kind.night == night and (night or rule.calendar is None):
                return name

    return ""
