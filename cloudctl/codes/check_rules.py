"""Checks of rules: values and units, calendars, spans, and contradictions that precedence does not settle."""

from collections.abc import Iterator
from datetime import date
from itertools import combinations
from math import isfinite
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .findings import Finding
from .lines import length
from .model import IntersectionCode
from .rule import VALUED, Calendar, Rule

LIMITS = {
    "speed_max": (0.5, 42.0),
    "speed_min": (0.5, 42.0),
    "school_zone": (0.5, 42.0),
    "construction": (0.5, 42.0),
    "height_max": (1.0, 20.0),
    "width_max": (1.0, 20.0),
    "mass_max": (0.5, 200.0),
    "axle_max": (0.5, 50.0),
    "toll": (0.0, 10_000.0),
    "emission_zone": (1.0, 7.0),
}


def rules(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of rules; references must hold."""
    whole = {lane.id: length(lane.points) for lane in code.lanes} | {c.id: length(c.points) for c in code.connections}
    for rule in code.rules:
        yield from _value(rule)
        yield from _spans(rule, whole)
        if rule.calendar is not None:
            yield from _calendar(rule, rule.calendar)
        if rule.valid_from is not None and rule.valid_to is not None and rule.valid_to <= rule.valid_from:
            yield _error(rule, "valid_to", rule.valid_to, "must be after valid_from", "correct the interval")
    yield from _contradictions(code)


def _error(rule: Rule, field: str, value: object, broken: str, remedy: str, severity: str = "error") -> Finding:
    return Finding(rule.id, field, str(value), broken, severity, remedy)


def _value(rule: Rule) -> Iterator[Finding]:
    if not rule.targets:
        yield _error(
            rule,
            "targets",
            "none",
            "a rule holds somewhere",
            "name its links, lanes, connections or zones, or `code` for all",
        )
    if rule.kind not in VALUED:
        if rule.value is not None:
            yield _error(rule, "value", rule.value, f"{rule.kind} has no value", "drop it", "warning")
        return
    low, high = LIMITS[rule.kind]
    if rule.value is None and rule.kind in ("school_zone", "construction"):
        return
    if rule.value is None or not (isfinite(rule.value) and low <= rule.value <= high):
        yield _error(
            rule,
            "value",
            rule.value,
            f"{rule.kind} must be {low:g} .. {high:g} {VALUED[rule.kind]}",
            f"give it in {VALUED[rule.kind]}",
        )


def _spans(rule: Rule, whole: dict[str, float]) -> Iterator[Finding]:
    for target in rule.targets:
        if target.s_from is None and target.s_to is None:
            continue
        if target.entity not in whole:
            yield _error(
                rule,
                "targets.s",
                target.entity,
                "only lanes and connections have an s",
                "drop the span, or name the lane",
            )
            continue
        end = whole[target.entity]
        low, high = target.s_from or 0.0, end if target.s_to is None else target.s_to
        if not 0.0 <= low < high <= end * 1.01 + 0.5:
            yield _error(
                rule,
                "targets.s",
                f"{target.entity} {low:g} .. {high:g}",
                f"must be a span within 0 .. {end:.1f} m",
                "measure it along the lane",
            )


def _calendar(rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    if not calendar.weekdays or not set(calendar.weekdays) <= set(range(1, 8)):
        yield _error(rule, "calendar.weekdays", calendar.weekdays, "weekdays are 1 (Monday) .. 7", "correct them")
    for start, end in calendar.minutes:
        if not (0 <= start <= 1439 and 0 <= end <= 1440 and start != end):
            yield _error(
                rule,
                "calendar.minutes",
                f"{start}, {end}",
                "minutes of the day are 0 .. 1440, from and to differ",
                "give minutes since midnight",
            )
    if calendar.holidays not in ("as_weekday", "never", "only"):
        yield _error(
            rule, "calendar.holidays", calendar.holidays, "must be as_weekday, never or only", "take one of these words"
        )
    try:
        ZoneInfo(calendar.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield _error(rule, "calendar.tz", calendar.tz, "is not a time zone", "give a name such as Asia/Shanghai")
    try:
        first, last = (date.fromisoformat(day) for day in calendar.dates or ("2000-01-01", "2000-01-01"))
        if last < first:
            yield _error(
                rule, "calendar.dates", calendar.dates, "the last day is before the first", "correct the dates"
            )
    except ValueError:
        yield _error(rule, "calendar.dates", calendar.dates, "days are YYYY-MM-DD", "correct the dates")


def _contradictions(code: IntersectionCode) -> Iterator[Finding]:
    """Yield pairs of equal rank that cannot both be kept: a lowest speed above the highest, a bus lane that is closed to buses."""
    link = {lane.id: lane.link for lane in code.lanes}
    low = [r for r in code.rules if r.kind == "speed_min" and r.value is not None]
    high = [r for r in code.rules if r.kind == "speed_max" and r.value is not None]
    pairs = [(a, b) for a in low for b in high if (a.value or 0) > (b.value or 0)]
    pairs += [
        (a, b)
        for a, b in combinations(code.rules, 2)
        if a.kind == b.kind and a.value != b.value and a.kind in VALUED and a.sign and a.sign == b.sign
    ]
    for a, b in pairs:
        if _rank(a) == _rank(b) and _overlap(a, b, link) and a.calendar == b.calendar:
            yield _error(
                a,
                "value",
                a.value,
                f"contradicts {b.id} ({b.kind} {b.value}) at the same place, time and rank",
                "give one of them a higher priority, or correct its value",
            )


def _rank(rule: Rule) -> tuple[bool, int, tuple[str, ...], tuple[str, ...]]:
    return rule.temporary, rule.priority, rule.classes, rule.except_classes


def _overlap(a: Rule, b: Rule, link: dict[str, str]) -> bool:
    mine, theirs = ({target.entity for target in rule.targets} for rule in (a, b))
    up = {link.get(name, name) for name in mine}, {link.get(name, name) for name in theirs}
    return bool(mine & theirs or up[0] & theirs or mine & up[1] or "code" in mine | theirs)
