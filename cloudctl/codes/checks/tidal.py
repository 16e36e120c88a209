"""Checks of tidal lanes: one strip of road that is a lane of either direction must never be open both ways.

Whether two rules may be in force at once is decided for every day from 1990 to 2199, and for every kind of day: an
ordinary one, a holiday, a weekend day that is worked for a Monday .. Friday. A time that both share begins where one of
them begins, so only beginnings are looked at."""

from collections.abc import Iterator
from datetime import date, datetime
from functools import lru_cache
from itertools import product
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cloudctl.geo import Origin

from ..compiled.calendars import shifts_of
from ..compiled.code import csr, local_lines
from ..findings import Finding, Severity, fault
from ..model import IntersectionCode, Lane
from ..polylines import F8, arc_lengths, middles, points_along
from ..rule import Calendar, Rule, asks_for_days
from ..when import SECOND

Mask = NDArray[np.bool_]

MAX_STRIP_OFFSET = 1.2  # m between the middle lines of lanes that are one strip of road
MAX_OPPOSITE_COSINE = -0.7  # cosine between their directions
FIRST_DAY, LAST_DAY = date(1990, 1, 1).toordinal(), date(2199, 12, 31).toordinal()
# An example from then on is named rather than an earlier one
EXAMPLES_FROM = date(2026, 1, 1).toordinal()
# kinds of day; 1 .. 5: a weekend day that is worked for a Monday .. Friday
ORDINARY, HOLIDAY = 0, -1
KINDS = (ORDINARY, HOLIDAY, 1, 2, 3, 4, 5)
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
ALWAYS_OPEN = Rule(id="", kind="tidal_lane", targets=())  # of a lane without rules
ROAD_USES = ("vehicle", "bus", "tram")


def tidal_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield pairs of lanes that lie on one another, run in opposite directions, and are open at the same time;
    calendars must be sound."""
    rules_of = {lane.id: _rules_of(code, lane) for lane in code.lanes}
    for lane, other in _opposite_pairs(code):
        stated = [*rules_of[lane.id], *rules_of[other.id]]
        if not stated and (lane.revocable or other.revocable):
            continue  # the signals decide its direction

        # A lane without a mandatory rule is always open: advice closes nothing
        opening = [[rule for rule in rules_of[name] if rule.mandatory] or [ALWAYS_OPEN] for name in (lane.id, other.id)]
        common = next((common for first, second in product(*opening) if (common := common_time(first, second))), "")
        if not common:
            continue

        severity = Severity.ERROR if stated else Severity.WARNING
        entity = stated[0].id if stated else lane.id

        yield fault(
            entity=entity,
            field="targets" if stated else "points",
            value=lane.id,
            rule=f"{lane.id} and {other.id} are one strip of road in opposite directions, and both open {common}",
            severity=severity,
            remedy="give each a mandatory tidal_lane rule whose calendar ends before the other's begins, on "
            "holidays and "
            "make-up days too",
        )


def _rules_of(code: IntersectionCode, lane: Lane) -> list[Rule]:
    """Return the tidal rules on a lane, advice too."""
    return [
        rule
        for rule in code.rules
        if rule.kind == "tidal_lane" and {lane.id, lane.link} & {target.entity for target in rule.targets}
    ]


def _opposite_pairs(code: IntersectionCode) -> Iterator[tuple[Lane, Lane]]:
    """Yield pairs of lanes for vehicles that are one strip of road in opposite directions, each pair once."""
    lanes = [lane for lane in code.lanes if lane.use in ROAD_USES and len(lane.points) >= 2]
    if not lanes:
        return

    lines = local_lines(Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7), [lane.points for lane in lanes])
    points, begins = np.concatenate(lines), csr(map(len, lines))[:-1]
    south_west = np.minimum.reduceat(points, begins) - MAX_STRIP_OFFSET
    north_east = np.maximum.reduceat(points, begins) + MAX_STRIP_OFFSET
    midpoints = middles(lines)[:, None]
    is_near = ((south_west <= midpoints) & (midpoints <= north_east)).all(axis=2)
    yielded: set[tuple[int, int]] = set()

    for index, other in np.argwhere(is_near).tolist():
        pair = (min(index, other), max(index, other))
        if other != index and pair not in yielded and lies_against(lines[index], lines[other]):
            yielded.add(pair)
            yield lanes[index], lanes[other]


def lies_against(line: F8, other: F8) -> bool:
    """Return whether the middle of a lane lies on another lane that runs the other way; lines in m."""
    along = arc_lengths(line)
    half = along[-1] / 2
    midpoint = points_along(line, along, half)
    direction = points_along(line, along, half + 1) - points_along(line, along, half - 1)

    steps = np.diff(other, axis=0)
    lengths = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)
    share = np.clip(((midpoint - other[:-1]) * steps).sum(axis=1) / lengths**2, 0.0, 1.0)
    gaps = np.hypot(*(other[:-1] + steps * share[:, None] - midpoint).T)
    nearest = int(np.argmin(gaps))
    cosine = float(steps[nearest] @ direction) / (float(lengths[nearest]) * max(float(np.hypot(*direction)), 1e-9))

    return bool(gaps[nearest] < MAX_STRIP_OFFSET and cosine < MAX_OPPOSITE_COSINE)


# --- whether two rules are ever in force at once ---


class Almanac(NamedTuple):
    """Every day from 1990 to 2199."""

    ordinal: NDArray[np.int64]
    weekday: NDArray[np.int64]  # 1 Monday .. 7 Sunday
    of_month: NDArray[np.int64]
    of_year: NDArray[np.int64]  # month x 100 + day


@lru_cache(maxsize=1)
def almanac() -> Almanac:
    ordinal = np.arange(FIRST_DAY, LAST_DAY + 1)
    days = (ordinal - date(1970, 1, 1).toordinal()).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    of_month = (days - months).astype(np.int64) + 1

    return Almanac(
        ordinal=ordinal,
        weekday=(ordinal - 1) % 7 + 1,
        of_month=of_month,
        of_year=(months.astype(np.int64) % 12 + 1) * 100 + of_month,
    )


def common_time(first: Rule, other: Rule) -> str:
    """Return a time at which both rules are in force, in words, whichever days are holidays or made up; "" where there
    is none. Calendars must be sound."""
    if (
        first.calendar is None
        and other.calendar is None
        and (first.valid_from, first.valid_to, other.valid_from, other.valid_to) == (None,) * 4
    ):
        return "always"

    zones = [rule.calendar.tz for rule in (first, other) if rule.calendar is not None]
    if len(zones) == 2 and shifts_of((zones[0],)).rows.tolist() != shifts_of((zones[1],)).rows.tolist():
        return f"at times that cannot be compared: one calendar is of {zones[0]}, the other of {zones[1]}"

    zone = ZoneInfo(zones[0] if zones else "UTC")
    local_rules = [_LocalRule(rule, zone) for rule in (first, other)]

    # Holidays and make-up days are not known here, so every combination of kinds of days must be free of conflict
    kinds = KINDS if any(asks_for_days(rule.calendar) for rule in (first, other)) else (ORDINARY,)
    for today, yesterday in product(
        kinds, kinds if any(local.is_past_midnight for local in local_rules) else (ORDINARY,)
    ):
        # A common span begins where one of the two begins: at a minute of the day, or when a rule comes into force
        for minute in sorted({0}.union(*(local.starts for local in local_rules))):
            open_days = local_rules[0].days_at(minute, 0, today, yesterday) & local_rules[1].days_at(
                minute, 0, today, yesterday
            )
            if open_days.any():
                return _example_text(open_days, minute, today, yesterday)

        for day, second in [begin for local in local_rules for begin in local.begins]:
            open_days = local_rules[0].days_at(second // 60, second % 60, today, yesterday) & local_rules[1].days_at(
                second // 60, second % 60, today, yesterday
            )
            if FIRST_DAY <= day <= LAST_DAY and open_days[day - FIRST_DAY]:
                on_that_day = np.zeros_like(open_days)
                on_that_day[day - FIRST_DAY] = True
                return _example_text(on_that_day, second // 60, today, yesterday)

    return ""


def _example_text(days: Mask, minute: int, today: int, yesterday: int) -> str:
    """Return the first of some days from SHOWN_FROM on, else the last, and what kind of day it would be."""
    ordinals = almanac().ordinal[days]
    later = ordinals[ordinals >= EXAMPLES_FROM]
    day = date.fromordinal(int(later[0] if len(later) else ordinals[-1]))
    kind = _kind_in_words(today) and f", if it is {_kind_in_words(today)}"
    before = _kind_in_words(yesterday) and f", if the day before is {_kind_in_words(yesterday)}"

    return f"on {day:%A %Y-%m-%d} at {minute // 60:02d}:{minute % 60:02d}{kind}{before}"


def _kind_in_words(kind: int) -> str:
    return {ORDINARY: "", HOLIDAY: "a holiday"}.get(kind) if kind < 1 else f"worked for a {WEEKDAYS[kind - 1]}"  # type: ignore[return-value]


class _LocalRule:
    """One rule in local time, day by day."""

    def __init__(self, rule: Rule, zone: ZoneInfo) -> None:
        self.calendar = rule.calendar or Calendar()
        self.starts = {start for start, _ in self.calendar.minutes}
        self.is_past_midnight = any(end < start for start, end in self.calendar.minutes)
        self.first, self.last = (
            None if time_ns is None else _local_second(time_ns, zone) for time_ns in (rule.valid_from, rule.valid_to)
        )
        self.begins = [] if self.first is None else [divmod(self.first, 86_400)]
        self._days: dict[int, Mask] = {}

    def days_at(self, minute: int, second: int, today: int, yesterday: int) -> Mask:
        """Return the days on which the rule is in force at a time of the day, given of what kind they and the days
        before are."""
        spans = self.calendar.minutes or ((0, 1440),)
        in_force = np.zeros(len(almanac().ordinal), np.bool_)
        if any(start <= minute and (minute < end or end < start) for start, end in spans):
            in_force |= self._days_of_kind(today)

        if any(end < start and minute < end for start, end in spans):
            in_force[1:] |= self._days_of_kind(yesterday)[:-1]

        local = almanac().ordinal * 86_400 + minute * 60 + second
        in_force &= _possible_days(today)
        in_force[1:] &= _possible_days(yesterday)[:-1]

        if self.first is not None:
            in_force &= local >= self.first

        if self.last is not None:
            in_force &= local < self.last

        return in_force

    def _days_of_kind(self, kind: int) -> Mask:
        if kind not in self._days:
            self._days[kind] = _days_of(self.calendar, kind)
        return self._days[kind]


def _local_second(time_ns: int, zone: ZoneInfo) -> int:
    """Return local seconds since day 0 of the calendar."""
    second = min(max(time_ns // SECOND, 0), 7_258_118_400)
    local = datetime.fromtimestamp(second, zone)
    return local.toordinal() * 86_400 + local.hour * 3600 + local.minute * 60 + local.second


def _possible_days(kind: int) -> Mask:
    """Return which days may be of a kind: only weekend days are worked for others."""
    return almanac().weekday >= 6 if kind >= 1 else np.ones(len(almanac().ordinal), np.bool_)


def _days_of(calendar: Calendar, kind: int) -> Mask:
    """Return the days on which a calendar holds if they are of a kind: `rules.day_holds` for all days at once."""
    days = almanac()
    holding = np.ones(len(days.ordinal), np.bool_)
    ranges = (*((calendar.dates,) if calendar.dates is not None else ()), *calendar.date_ranges)

    if ranges:
        holding = np.logical_or.reduce([_in_range(days, first, last) for first, last in ranges])

    if calendar.month_days:
        holding = holding & np.isin(days.of_month, calendar.month_days)

    if kind == HOLIDAY and calendar.holidays != "as_weekday":
        return holding if calendar.holidays != "never" else np.zeros_like(holding)
    if calendar.holidays == "only":
        return np.zeros_like(holding)
    if kind >= 1 and calendar.make_up == "as_workday":
        return holding if kind in calendar.weekdays else np.zeros_like(holding)

    return holding & np.isin(days.weekday, calendar.weekdays)


def _in_range(days: Almanac, first: str, last: str) -> Mask:
    if len(first) == 5:
        low, high = (int(day[:2]) * 100 + int(day[3:]) for day in (first, last))
        from_low, until_high = days.of_year >= low, days.of_year <= high
        return from_low & until_high if low <= high else from_low | until_high
    low, high = (date.fromisoformat(day).toordinal() for day in (first, last))
    return (days.ordinal >= low) & (days.ordinal <= high)
