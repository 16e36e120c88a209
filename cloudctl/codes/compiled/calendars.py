"""The calendars of rules as arrays, and the kernel that answers whether one holds: `rules.holds`, compiled."""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ...kernels import njit
from ..days import EPOCH
from ..rule import Calendar

DAY_SECONDS = 86_400  # s
SHIFT_YEARS = (2015, 2045)  # within which changes of local time are known
UNBOUNDED_NS = (-(2**62), 2**62)
HOLIDAY_MODES = {"as_weekday": 0, "never": 1, "only": 2, "also": 3}


def day_number(day: str) -> int:
    """Return the days since 1970 of a day."""
    return date.fromisoformat(day).toordinal() - EPOCH


class Calendars(NamedTuple):
    """The calendars of some rules."""

    # a rule: weekday bits, bits of the days of the month, holiday mode, whether make-up days are working days
    rows: NDArray[np.int64]
    # Ranges of days in CSR: first, last, and whether they are days of the year (month x 100 + day)
    range_start: NDArray[np.int64]
    ranges: NDArray[np.int64]
    span_start: NDArray[np.int64]  # spans of minutes in CSR
    spans: NDArray[np.int64]


def tabulate(calendars: list[Calendar | None]) -> Calendars:
    rows, ranges, minute_spans = [], list[list[tuple[int, int, bool]]](), list[tuple[tuple[int, int], ...]]()
    for given in calendars:
        calendar = given or Calendar()
        weekdays = sum(1 << (day - 1) for day in set(calendar.weekdays))
        month_days = sum(1 << day for day in set(calendar.month_days or range(1, 32)))
        rows.append((weekdays, month_days, HOLIDAY_MODES[calendar.holidays], calendar.make_up == "as_workday"))
        ranges.append(
            [_range(*days) for days in (*((calendar.dates,) if calendar.dates else ()), *calendar.date_ranges)]
        )
        minute_spans.append(calendar.minutes)

    return Calendars(
        rows=np.array(rows, np.int64).reshape(-1, 4),
        range_start=np.cumsum([0, *map(len, ranges)]).astype(np.int64),
        ranges=np.array([entry for rows_of_rule in ranges for entry in rows_of_rule], np.int64).reshape(-1, 3),
        span_start=np.cumsum([0, *map(len, minute_spans)]).astype(np.int64),
        spans=np.array([entry for rows_of_rule in minute_spans for entry in rows_of_rule], np.int64).reshape(-1, 2),
    )


def _range(first: str, last: str) -> tuple[int, int, bool]:
    if len(first) == 5:
        return int(first[:2]) * 100 + int(first[3:]), int(last[:2]) * 100 + int(last[3:]), True
    return day_number(first), day_number(last), False


class Shifts(NamedTuple):
    """Local times of some zones, in CSR by zone: local time is UTC + offset s from that second on."""

    start: NDArray[np.int64]
    rows: NDArray[np.int64]  # from, offset


@lru_cache(maxsize=256)
def shifts_of(zones: tuple[str, ...]) -> Shifts:
    """Return the local times of zones, their changes found by halving."""
    counts, rows = [0], []
    year_limits = [int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in SHIFT_YEARS]
    for name in zones:
        zone = ZoneInfo(name)
        offset = _offset(zone, year_limits[0])
        rows.append((UNBOUNDED_NS[0], offset))

        for week_start in range(year_limits[0], year_limits[1], 7 * DAY_SECONDS):
            week_end = week_start + 7 * DAY_SECONDS
            if _offset(zone, week_end) != offset:
                earlier, later = week_start, week_end
                while later - earlier > 1:
                    middle = (earlier + later) // 2
                    earlier, later = (middle, later) if _offset(zone, middle) == offset else (earlier, middle)
                offset = _offset(zone, week_end)
                rows.append((later, offset))

        counts.append(len(rows))

    return Shifts(np.array(counts, np.int64), np.array(rows, np.int64).reshape(-1, 2))


def _offset(zone: ZoneInfo, second: int) -> int:
    shift = datetime.fromtimestamp(second, zone).utcoffset()
    return 0 if shift is None else int(shift.total_seconds())


@njit(cache=True)
def _month_day(day: int) -> tuple[int, int]:
    """Return (month, day of the month) of days since 1970 (Gregorian; H. Hinnant, "chrono-compatible low-level date
    algorithms", civil_from_days)."""
    shifted_day = day + 719_468
    day_of_era = shifted_day % 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    return (march_month + 3 if march_month < 10 else march_month - 9), day_of_year - (153 * march_month + 2) // 5 + 1


@njit(cache=True)
def _in_ranges(day: int, day_of_year: int, first: int, last: int, ranges: Any) -> bool:
    if first == last:
        return True

    for k in range(first, last):
        low, high = ranges[k, 0], ranges[k, 1]
        compared = day_of_year if ranges[k, 2] else day
        if (low <= compared <= high) if low <= high else (ranges[k, 2] == 1 and (compared >= low or compared <= high)):
            return True

    return False


@njit(cache=True)
def _day_holds(rule: int, day: int, calendar: Any, holidays: Any, worked: Any) -> bool:
    month, day_of_month = _month_day(day)
    weekdays, month_days, holiday_mode, make_up_counts = (
        calendar.rows[rule, 0],
        calendar.rows[rule, 1],
        calendar.rows[rule, 2],
        calendar.rows[rule, 3],
    )

    if not _in_ranges(
        day, month * 100 + day_of_month, calendar.range_start[rule], calendar.range_start[rule + 1], calendar.ranges
    ):
        return False

    if (month_days >> day_of_month) & 1 == 0:
        return False

    if holiday_mode != 0:
        index = np.searchsorted(holidays, day)
        if index < len(holidays) and holidays[index] == day:
            return bool(holiday_mode != 1)

    weekday = (day + 3) % 7
    if make_up_counts:
        index = np.searchsorted(worked[:, 0], day)
        if index < len(worked) and worked[index, 0] == day:
            weekday = worked[index, 1] - 1

    return bool(holiday_mode != 2 and (weekdays >> weekday) & 1 == 1)


@njit(cache=True)
def holds_at(rule: int, second: int, zone: Any, calendar: Any, shifts: Any, holidays: Any, worked: Any) -> bool:
    if zone[rule] < 0:
        return True

    offset = 0
    for k in range(shifts.start[zone[rule]], shifts.start[zone[rule] + 1]):
        if shifts.rows[k, 0] > second:
            break
        offset = shifts.rows[k, 1]

    local = second + offset
    day, minute = local // 86_400, local % 86_400 // 60
    if calendar.span_start[rule] == calendar.span_start[rule + 1]:
        return _day_holds(rule, day, calendar, holidays, worked)

    for k in range(calendar.span_start[rule], calendar.span_start[rule + 1]):
        start, end = calendar.spans[k, 0], calendar.spans[k, 1]
        if start <= minute and (minute < end or end < start) and _day_holds(rule, day, calendar, holidays, worked):
            return True
        if end < start and minute < end and _day_holds(rule, day - 1, calendar, holidays, worked):
            return True

    return False
