"""The calendars of rules as arrays, and the kernel that answers whether one holds: `rules.holds`, compiled."""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..days import EPOCH
from ..rule import Calendar

DAY = 86_400  # s
YEARS = (2015, 2045)  # within which changes of local time are known
ALWAYS = (-(2**62), 2**62)
MODES = {"as_weekday": 0, "never": 1, "only": 2, "also": 3}


def number_of(day: str) -> int:
    """Return the days since 1970 of a day."""
    return date.fromisoformat(day).toordinal() - EPOCH


class Calendars(NamedTuple):
    """The calendars of some rules."""

    rows: NDArray[
        np.int64
    ]  # a rule: weekday bits, bits of the days of the month, holiday mode, whether make-up days are working days
    range_start: NDArray[
        np.int64
    ]  # ranges of days in CSR: first, last, and whether they are days of the year (month x 100 + day)
    ranges: NDArray[np.int64]
    span_start: NDArray[np.int64]  # spans of minutes in CSR
    spans: NDArray[np.int64]


def tabulate(calendars: list[Calendar | None]) -> Calendars:
    rows, ranges, spans = [], list[list[tuple[int, int, bool]]](), list[tuple[tuple[int, int], ...]]()
    for c in calendars:
        calendar = c or Calendar()
        weekdays = sum(1 << (day - 1) for day in set(calendar.weekdays))
        month_days = sum(1 << day for day in set(calendar.month_days or range(1, 32)))
        rows.append((weekdays, month_days, MODES[calendar.holidays], calendar.make_up == "as_workday"))
        ranges.append(
            [_range(*days) for days in (*((calendar.dates,) if calendar.dates else ()), *calendar.date_ranges)]
        )
        spans.append(calendar.minutes)
    return Calendars(
        np.array(rows, np.int64).reshape(-1, 4),
        np.cumsum([0, *map(len, ranges)]).astype(np.int64),
        np.array([row for found in ranges for row in found], np.int64).reshape(-1, 3),
        np.cumsum([0, *map(len, spans)]).astype(np.int64),
        np.array([row for found in spans for row in found], np.int64).reshape(-1, 2),
    )


def _range(first: str, last: str) -> tuple[int, int, bool]:
    if len(first) == 5:
        return int(first[:2]) * 100 + int(first[3:]), int(last[:2]) * 100 + int(last[3:]), True
    return number_of(first), number_of(last), False


class Shifts(NamedTuple):
    """Local times of some zones, in CSR by zone: local time is UTC + offset s from that second on."""

    start: NDArray[np.int64]
    rows: NDArray[np.int64]  # from, offset


@lru_cache(maxsize=256)
def shifts_of(zones: tuple[str, ...]) -> Shifts:
    """Return the local times of zones, their changes found by halving."""
    counts, rows = [0], []
    ends = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in YEARS]
    for name in zones:
        zone = ZoneInfo(name)
        before = _offset(zone, ends[0])
        rows.append((ALWAYS[0], before))
        for low in range(ends[0], ends[1], 7 * DAY):
            high = low + 7 * DAY
            if _offset(zone, high) != before:
                a, b = low, high
                while b - a > 1:
                    middle = (a + b) // 2
                    a, b = (middle, b) if _offset(zone, middle) == before else (a, middle)
                before = _offset(zone, high)
                rows.append((b, before))
        counts.append(len(rows))
    return Shifts(np.array(counts, np.int64), np.array(rows, np.int64).reshape(-1, 2))


def _offset(zone: ZoneInfo, second: int) -> int:
    shift = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if shift is None else int(shift.total_seconds())


@njit(cache=True)
def _month_day(day: int) -> tuple[int, int]:
    """Return (month, day of the month) of days since 1970 (Gregorian; H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days)."""
    z = day + 719_468
    of_era = z % 146_097
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    return (month + 3 if month < 10 else month - 9), of_year - (153 * month + 2) // 5 + 1


@njit(cache=True)
def _in_ranges(day: int, of_year: int, first: int, last: int, ranges: Any) -> bool:
    if first == last:
        return True
    for k in range(first, last):
        low, high = ranges[k, 0], ranges[k, 1]
        at = of_year if ranges[k, 2] else day
        if (low <= at <= high) if low <= high else (ranges[k, 2] == 1 and (at >= low or at <= high)):
            return True
    return False


@njit(cache=True)
def _day_holds(r: int, day: int, calendar: Any, holidays: Any, worked: Any) -> bool:
    month, of_month = _month_day(day)
    weekdays, month_days, mode, made_up = (
        calendar.rows[r, 0],
        calendar.rows[r, 1],
        calendar.rows[r, 2],
        calendar.rows[r, 3],
    )
    if not _in_ranges(
        day, month * 100 + of_month, calendar.range_start[r], calendar.range_start[r + 1], calendar.ranges
    ):
        return False
    if (month_days >> of_month) & 1 == 0:
        return False
    if mode != 0:
        at = np.searchsorted(holidays, day)
        if at < len(holidays) and holidays[at] == day:
            return bool(mode != 1)
    weekday = (day + 3) % 7
    if made_up:
        at = np.searchsorted(worked[:, 0], day)
        if at < len(worked) and worked[at, 0] == day:
            weekday = worked[at, 1] - 1
    return bool(mode != 2 and (weekdays >> weekday) & 1 == 1)


@njit(cache=True)
def holds_at(r: int, second: int, zone: Any, calendar: Any, shifts: Any, holidays: Any, worked: Any) -> bool:
    if zone[r] < 0:
        return True
    offset = 0
    for k in range(shifts.start[zone[r]], shifts.start[zone[r] + 1]):
        if shifts.rows[k, 0] > second:
            break
        offset = shifts.rows[k, 1]
    local = second + offset
    day, minute = local // 86_400, local % 86_400 // 60
    if calendar.span_start[r] == calendar.span_start[r + 1]:
        return _day_holds(r, day, calendar, holidays, worked)
    for k in range(calendar.span_start[r], calendar.span_start[r + 1]):
        start, end = calendar.spans[k, 0], calendar.spans[k, 1]
        if start <= minute and (minute < end or end < start) and _day_holds(r, day, calendar, holidays, worked):
            return True
        if end < start and minute < end and _day_holds(r, day - 1, calendar, holidays, worked):
            return True
    return False
