"""Which rules hold for a vehicle on a lane at a time: `effective`, plain, with the deciding and the losing rules.

Of rules of one kind that hold at one place and time, one decides: temporary before permanent, then the higher priority, then the
narrower place (span, lane, link, zone, whole intersection), then the more restrictive value, then the one named first. Kinds add
up: school zones and works cap the speed whatever the limit says. `rules_table.py` is the same, compiled.
"""

import itertools
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, timedelta
from math import inf
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from .lines import length
from .model import IntersectionCode, Point
from .rule import Calendar, Rule, known_class

CAPS = ("speed_max", "school_zone", "construction")  # kinds that bound the speed from above
SIZES = {"height_max": "height", "width_max": "width", "mass_max": "mass", "axle_max": "axle"}  # and what they bound
REFUSING = ("closure", "no_entry", "turn_ban")
RESERVING = {
    "bus_lane": ("bus", "emergency"),
    "lane_use": (),
}  # kinds that name who may; and who may where they name nobody
NOTED = ("no_stopping", "no_overtaking", "toll")
SECOND = 1_000_000_000


class Vehicle(Struct, frozen=True):
    """Who asks: a class of `rule.CLASSES` (any other word is a car), and sizes (m, t; nan where not known), emission stage (0 not known)."""

    kind: str = "car"
    automated: bool = False
    height: float = float("nan")
    width: float = float("nan")
    mass: float = float("nan")
    axle: float = float("nan")
    stage: int = 0

    def is_one_of(self, classes: Collection[str]) -> bool:
        """Return whether the vehicle belongs to one of the classes."""
        return known_class(self.kind) in classes or (self.automated and "automated" in classes)


class Decision(NamedTuple):
    """The rule that decided for its kind, and those of the same kind that lost to it."""

    kind: str
    rule: str
    value: float | None
    lost: tuple[str, ...]


class Effective(NamedTuple):
    """What holds: bounds of speed (m/s; inf, 0 where none), whether the vehicle may be there, and which rules said so."""

    speed_max: float
    speed_min: float
    allowed: bool
    refused_by: str  # rule; "" where allowed
    decisions: tuple[Decision, ...]

    def rule_of(self, kind: str) -> str:
        """Return the rule that decided a kind; "" where none holds."""
        return next((d.rule for d in self.decisions if d.kind == kind), "")


class Place(NamedTuple):
    """A rule at a place: how narrow it is (0 the whole intersection .. 4 a span) and from where to where, m."""

    rule: int
    scope: int
    s_from: float
    s_to: float


def places(code: IntersectionCode) -> dict[str, list[Place]]:
    """Return the rules at each lane and connection, the one that decides first."""
    out: dict[str, list[Place]] = {
        name: [] for name in (*(x.id for x in code.lanes), *(x.id for x in code.connections))
    }
    zones = {zone.id: zone.polygon for zone in code.zones}
    members: dict[str, list[str]] = {"code": list(out)}
    for lane in code.lanes:
        members.setdefault(lane.link, []).append(lane.id)
    points = {lane.id: lane.points for lane in code.lanes} | {c.id: c.points for c in code.connections}
    for index, rule in enumerate(code.rules):
        for target in rule.targets:
            span = target.s_from is not None or target.s_to is not None
            whole = (target.s_from or 0.0, inf if target.s_to is None else target.s_to)
            if target.entity in out:
                out[target.entity].append(Place(index, 4 if span else 3, *whole))
            elif target.entity in zones:
                for name, line in points.items():
                    out[name] += [Place(index, 1, *part) for part in _inside(line, zones[target.entity])]
            else:
                for name in members.get(target.entity, ()):
                    out[name].append(Place(index, 0 if target.entity == "code" else 2, 0.0, inf))
    for found in out.values():
        found.sort(key=lambda place: _rank(code.rules[place.rule], place))
    return out


def _rank(rule: Rule, place: Place) -> tuple[object, ...]:
    value = 0.0 if rule.value is None else rule.value
    loose = rule.kind in ("speed_min", "emission_zone")  # where more is stricter
    return not rule.temporary, -rule.priority, -place.scope, -value if loose else value, place.rule, place.s_from


def _inside(line: tuple[Point, ...], polygon: tuple[Point, ...]) -> Iterator[tuple[float, float]]:
    """Yield the spans of a line (m) that lie in a polygon, to a metre."""
    s, start = 0.0, None
    for a, b in itertools.pairwise(line):
        part = length((a, b))
        steps = max(int(part), 1)
        for k in range(steps):
            at = (a[0] + (b[0] - a[0]) * (k + 0.5) / steps, a[1] + (b[1] - a[1]) * (k + 0.5) / steps)
            here = s + part * k / steps
            if contains(polygon, at) != (start is not None):
                if start is not None:
                    yield start, here
                start = here if start is None else None
        s += part
    if start is not None:
        yield start, inf


def contains(polygon: tuple[Point, ...], point: tuple[float, float]) -> bool:
    """Return whether a point (lat_e7, lon_e7) lies in a polygon."""
    inside = False
    for k, (y1, x1) in enumerate(polygon):
        y0, x0 = polygon[k - 1]
        if (y0 > point[0]) != (y1 > point[0]) and point[1] < x0 + (point[0] - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def holds(calendar: Calendar | None, t: int, holidays: Collection[str] = ()) -> bool:
    """Return whether a calendar holds at `t` ns; `holidays` are local days, YYYY-MM-DD. A span past midnight belongs to its first day."""
    if calendar is None:
        return True
    local = datetime.fromtimestamp(t // SECOND, UTC).astimezone(ZoneInfo(calendar.tz))
    minute, day = local.hour * 60 + local.minute, local.date()
    if not calendar.minutes:
        return _day_holds(calendar, day, holidays)
    for start, end in calendar.minutes:
        if start <= minute and (minute < end or end < start) and _day_holds(calendar, day, holidays):
            return True
        if end < start and minute < end and _day_holds(calendar, day - timedelta(days=1), holidays):
            return True
    return False


def _day_holds(calendar: Calendar, day: date, holidays: Collection[str]) -> bool:
    text = day.isoformat()
    if calendar.dates is not None and not calendar.dates[0] <= text <= calendar.dates[1]:
        return False
    if calendar.holidays != "as_weekday" and text in holidays:
        return calendar.holidays == "only"
    return calendar.holidays != "only" and day.isoweekday() in calendar.weekdays


def binds(rule: Rule, vehicle: Vehicle) -> bool:
    """Return whether a rule is addressed to a vehicle. Rules that reserve a lane are addressed to everyone they do not name."""
    if rule.except_classes and vehicle.is_one_of(rule.except_classes):
        return False
    if rule.kind in RESERVING:
        return not vehicle.is_one_of(rule.classes or RESERVING[rule.kind])
    return not rule.classes or vehicle.is_one_of(rule.classes)


def effective(
    code: IntersectionCode,
    path: str,
    vehicle: Vehicle,
    t: int,
    *,
    s: float | None = None,
    holidays: Collection[str] = (),
    at: dict[str, list[Place]] | None = None,
) -> Effective:
    """Return what holds for a vehicle on a lane or connection at `t` ns, at `s` m along it (None: anywhere on it).

    `at` is `places(code)`, where it is at hand. Raises KeyError for a path that the code has not.
    """
    active: dict[str, list[Rule]] = {}
    waits: list[Rule] = []  # rules that open a place, and are not in force
    for place in (at if at is not None else places(code))[path]:
        rule = code.rules[place.rule]
        if not rule.mandatory or (s is not None and not place.s_from <= s <= place.s_to) or not binds(rule, vehicle):
            continue
        if not (rule.valid_from is None or rule.valid_from <= t) or not (rule.valid_to is None or t < rule.valid_to):
            continue
        if holds(rule.calendar, t, holidays):
            active.setdefault(rule.kind, []).append(rule)
        elif rule.kind == "tidal_lane":
            waits.append(rule)
    decisions = {
        kind: Decision(
            kind, found[0].id, found[0].value, tuple(dict.fromkeys(r.id for r in found[1:] if r.id != found[0].id))
        )
        for kind, found in active.items()
    }
    refused = next(_refusals(code, vehicle, decisions, waits), "")
    top = min((decisions[kind].value or inf for kind in CAPS if kind in decisions), default=inf)
    low = decisions["speed_min"].value or 0.0 if "speed_min" in decisions else 0.0
    return Effective(top, min(low, top), not refused, refused, tuple(decisions[kind] for kind in sorted(decisions)))


def _refusals(
    code: IntersectionCode, vehicle: Vehicle, decisions: dict[str, Decision], waits: list[Rule]
) -> Iterator[str]:
    """Yield the rules that keep a vehicle out, in a fixed order of kinds."""
    for kind in (*REFUSING, *RESERVING):
        if kind in decisions:
            yield decisions[kind].rule
    for kind, size in SIZES.items():
        if kind in decisions and getattr(vehicle, size) > (decisions[kind].value or 0.0):
            yield decisions[kind].rule
    if "emission_zone" in decisions and 0 < vehicle.stage < (decisions["emission_zone"].value or 0.0):
        yield decisions["emission_zone"].rule
    if waits and "tidal_lane" not in decisions:
        yield waits[0].id
    if vehicle.automated and "av_operating_area" not in decisions:
        yield from (rule.id for rule in code.rules if rule.kind == "av_operating_area")
