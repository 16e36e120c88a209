"""Checks of when rules hold: calendars that cannot be meant, rules that are never in force, tidal lanes that run both ways at once."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import product
from math import hypot
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from cloudctl.geo import Origin

from .check_meaning import FIRST_TIME, LAST_TIME
from .compile import local_lines
from .days import Days, is_day
from .findings import Finding
from .lines import F8, arc, at
from .model import IntersectionCode
from .rule import ON_HOLIDAYS, ON_MAKE_UP_DAYS, Calendar, Rule
from .rules import SECOND, in_force, within

MAX_ZONE_SHIFT = 3.5  # h between a place's mean solar time and its clocks: west China keeps Beijing time at 3.1 h
YEARLY = (date(2024, 1, 1), date(2029, 1, 1))  # within which every date of the year falls on most weekdays
MAX_LOOKED = 4_000  # days that a rule is looked for in force
NO_HOLIDAYS = Days((), {})
SAME_ROAD = 1.2  # m between the middle lines of lanes that are one strip of road
OPPOSITE = -0.7  # cosine between their directions


def calendar_faults(code: IntersectionCode, rule: Rule) -> Iterator[Finding]:
    """Yield the faults of a rule's calendar."""
    calendar = rule.calendar
    if calendar is None:
        return
    faults = [*_days(rule, calendar), *_minutes(rule, calendar), *_zone(code, rule, calendar)]
    yield from faults
    if not any(fault.severity == "error" for fault in faults) and not _ever(rule, calendar):
        yield _error(rule, "calendar", "never", "no day fits its weekdays, dates, days of the month and validity: the rule is never in force", "correct them", "warning")


def _error(rule: Rule, field: str, value: object, broken: str, remedy: str, severity: str = "error") -> Finding:
    return Finding(rule.id, field, str(value), broken, severity, remedy)


def _days(rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    if not calendar.weekdays or not set(calendar.weekdays) <= set(range(1, 8)):
        yield _error(rule, "calendar.weekdays", calendar.weekdays, "weekdays are 1 (Monday) .. 7 (Sunday), one at least", "correct them: Sunday is 7, not 0")
    if not set(calendar.month_days) <= set(range(1, 32)):
        yield _error(rule, "calendar.month_days", calendar.month_days, "days of the month are 1 .. 31", "correct them; leave them out for all")
    for field, words in (("holidays", ON_HOLIDAYS), ("make_up", ON_MAKE_UP_DAYS)):
        if getattr(calendar, field) not in words:
            yield _error(rule, f"calendar.{field}", getattr(calendar, field), f"must be one of {', '.join(words)}", "take one of these words")
    ranges = [("dates", calendar.dates)] if calendar.dates is not None else []
    ranges += [(f"date_ranges[{k}]", days) for k, days in enumerate(calendar.date_ranges)]
    for field, (first, last) in ranges:
        if not (is_day(first) and is_day(last)) and not (_is_day_of_year(first) and _is_day_of_year(last)):
            yield _error(rule, f"calendar.{field}", (first, last), "days are YYYY-MM-DD (1990 .. 2199), or both MM-DD for every year", "correct the dates")
        elif len(first) == 10 and last < first:
            yield _error(rule, f"calendar.{field}", (first, last), "the last day is before the first", "correct the dates")


def _is_day_of_year(text: str) -> bool:
    try:
        return len(text) == 5 and bool(date.fromisoformat(f"2024-{text}"))
    except ValueError:
        return False


def _minutes(rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    for start, end in calendar.minutes:
        if not (0 <= start <= 1439 and 0 <= end <= 1440 and start != end):
            yield _error(
                rule,
                "calendar.minutes",
                f"{start}, {end}",
                "minutes of the day are 0 .. 1440, from and to differ",
                "give minutes since midnight: 7:30 is 450",
            )
        elif meant := _as_clock(start, end):
            yield _error(rule, "calendar.minutes", f"{start}, {end}", f"is from {_clock(start)} to {_clock(end)}", f"if {meant} is meant, minutes since midnight are hours x 60 + minutes", "warning")


def _as_clock(start: int, end: int) -> str:
    """Return the clock times that two numbers were probably meant as: hours, or HHMM; "" where they read well as minutes of the day."""
    if start % 15 == 0 and end % 15 == 0:
        return ""
    if max(start, end) <= 24 and end - start != 1:
        return f"{start}:00 to {end}:00"
    if all(number % 100 in (0, 15, 30, 45) and number >= 100 for number in (start, end)):
        return f"{start // 100}:{start % 100:02d} to {end // 100}:{end % 100:02d}"
    return ""


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _zone(code: IntersectionCode, rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    try:
        zone = ZoneInfo(calendar.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield _error(rule, "calendar.tz", calendar.tz, "is not a time zone", "give a name such as Asia/Shanghai")
        return
    shifts = [datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() or timedelta() for month in (1, 7)]
    solar = code.ref_lon_e7 / 1.5e8
    apart = min(abs((shift.total_seconds() / 3600 - solar + 12) % 24 - 12) for shift in shifts)
    if apart > MAX_ZONE_SHIFT:
        yield _error(rule, "calendar.tz", calendar.tz, f"is {apart:.0f} h off the sun's time at longitude {code.ref_lon_e7 / 1e7:.1f}: the clocks of another place", "name the time zone of the intersection", "warning")


def _ever(rule: Rule, calendar: Calendar) -> bool:
    """Return whether a rule may be in force on any day."""
    ranges = (*((calendar.dates,) if calendar.dates is not None else ()), *calendar.date_ranges)
    if any(t is not None and not FIRST_TIME <= t <= LAST_TIME for t in (rule.valid_from, rule.valid_to)):
        return True  # said of the time itself
    start, end = (None if t is None else datetime.fromtimestamp(t // SECOND, UTC).date() for t in (rule.valid_from, rule.valid_to))
    if not ranges and start is None and end is None:
        ranges = (("2024-01-01", "2024-02-01"),) if not calendar.month_days else (("2024-01-01", "2028-12-31"),)
    windows = [(max(date.fromisoformat(first), start or date.min), min(date.fromisoformat(last), end or date.max)) for first, last in ranges if len(first) == 10]
    if len(windows) < len(ranges) or not ranges:  # every year, or without dates: what its validity leaves
        windows.append((start or YEARLY[0], end or max(start or YEARLY[0], YEARLY[0]) + (YEARLY[1] - YEARLY[0])))
    for first, last in windows:
        for k in range(min((last - first).days + 1, MAX_LOOKED)):
            if _may_hold(calendar, first + timedelta(k), ranges):
                return True
    return not windows


def _may_hold(calendar: Calendar, day: date, ranges: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a calendar may hold on a day, whichever days are holidays or made up."""
    if ranges and not any(within(day.isoformat(), *days) for days in ranges):
        return False
    if calendar.month_days and day.day not in calendar.month_days:
        return False
    return day.isoweekday() in calendar.weekdays or calendar.holidays in ("only", "also") or calendar.make_up == "as_workday"


# --- tidal lanes: one strip of road that is a lane of either direction, by the time ---


def tidal_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield pairs of lanes that lie on one another, run in opposite directions, and are open at the same time."""
    rules = [rule for rule in code.rules if rule.kind == "tidal_lane" and rule.mandatory]
    if not rules or any(rule.calendar is not None and not _is_zone(rule.calendar.tz) for rule in rules):
        return
    of = {lane.id: [rule for rule in rules if {lane.id, lane.link, "code"} & {target.entity for target in rule.targets}] for lane in code.lanes}
    lines = dict(zip(of, local_lines(Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7), [lane.points for lane in code.lanes]), strict=True))
    seen: set[tuple[str, str]] = set()
    for name in (lane.id for lane in code.lanes if of[lane.id]):
        for other in of:
            pair = (min(name, other), max(name, other))
            if pair in seen or not lies_against(lines[name], lines[other]):
                continue
            seen.add(pair)
            both = _both_open(of[name], of[other])
            if both is not None:
                yield _error(of[name][0], "targets", name, f"{name} and {other} are one strip of road in opposite directions, and both open {both}",
                             "give each a tidal_lane rule whose calendar ends before the other's begins")  # fmt: skip


def lies_against(line: F8, other: F8) -> bool:
    """Return whether the middle of a lane lies on another lane that runs the other way; lines in m."""
    along = arc(line)
    middle, ahead = at(line, along, along[-1] / 2), at(line, along, along[-1] / 2 + 1) - at(line, along, along[-1] / 2 - 1)
    parts = np.diff(other, axis=0)
    lengths = np.maximum(np.hypot(parts[:, 0], parts[:, 1]), 1e-9)
    share = np.clip(((middle - other[:-1]) * parts).sum(axis=1) / lengths**2, 0.0, 1.0)
    gaps = np.hypot(*(other[:-1] + parts * share[:, None] - middle).T)
    k = int(np.argmin(gaps))
    cosine = float(parts[k] @ ahead) / (float(lengths[k]) * max(hypot(*ahead.tolist()), 1e-9))
    return bool(gaps[k] < SAME_ROAD and cosine < OPPOSITE)


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False


def _both_open(a: list[Rule], b: list[Rule]) -> str | None:
    """Return a time at which both lanes are open, in words; None where there is none in a year of days without holidays. A lane without tidal rules is always open."""
    calendars = [rule.calendar for rule in (*a, *b) if rule.calendar is not None]
    if not calendars:
        return "always"
    zone = ZoneInfo(calendars[0].tz)
    edges = sorted({0, *(minute % 1440 for calendar in calendars for span in calendar.minutes for minute in span)})
    for k, edge in product(range(366), edges):
        moment = datetime(2026, 1, 1, tzinfo=zone) + timedelta(days=k)
        t = int(moment.replace(hour=edge // 60, minute=edge % 60).timestamp()) * SECOND
        if all(not rules or any(in_force(rule, t, NO_HOLIDAYS) for rule in rules) for rules in (a, b)):
            return f"on {moment:%A %Y-%m-%d} at {_clock(edge)}"
    return None
