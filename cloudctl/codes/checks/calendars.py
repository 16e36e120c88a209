"""Checks of when rules hold: calendars that cannot be meant, rules that are never in force."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..days import is_day
from ..findings import Finding, Severity, fault
from ..model import IntersectionCode
from ..rule import ON_HOLIDAYS, ON_MAKE_UP_DAYS, Calendar, Rule
from ..when import SECOND, is_day_within
from .meaning import FIRST_TIME, LAST_TIME

# H between a place's mean solar time and its clocks: west China keeps Beijing time at 3.1 h
MAX_SOLAR_OFFSET_H = 3.5
# Within which every date of the year falls on most weekdays
SAMPLE_YEARS = (date(2024, 1, 1), date(2029, 1, 1))
MAX_SEARCHED_DAYS = 4_000  # days that a rule is looked for in force
# Names of the time zone files of a machine that are no place's clock
NON_PLACE_ZONES = (
    "localtime",
    "posixrules",
    "Factory",
)


def calendar_faults(code: IntersectionCode, rule: Rule) -> Iterator[Finding]:
    """Yield the faults of a rule's calendar."""
    calendar = rule.calendar
    if calendar is None:
        return

    faults = [*_days(rule, calendar), *_minutes(rule, calendar), *_zone(code, rule, calendar)]
    yield from faults

    if not any(fault.severity == Severity.ERROR for fault in faults) and not _ever_in_force(rule, calendar):
        yield fault(
            entity=rule.id,
            field="calendar",
            value="never",
            rule="no day fits its weekdays, dates, days of the month and validity: the rule is never in force",
            remedy="correct them",
            severity=Severity.WARNING,
        )


def _days(rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    if not calendar.weekdays or not set(calendar.weekdays) <= set(range(1, 8)):
        yield fault(
            entity=rule.id,
            field="calendar.weekdays",
            value=calendar.weekdays,
            rule="weekdays are 1 (Monday) .. 7 (Sunday), one at least",
            remedy="correct them: Sunday is 7, not 0",
        )

    if not set(calendar.month_days) <= set(range(1, 32)):
        yield fault(
            entity=rule.id,
            field="calendar.month_days",
            value=calendar.month_days,
            rule="days of the month are 1 .. 31",
            remedy="correct them; leave them out for all",
        )

    for field, words in (("holidays", ON_HOLIDAYS), ("make_up", ON_MAKE_UP_DAYS)):
        if getattr(calendar, field) not in words:
            yield fault(
                entity=rule.id,
                field=f"calendar.{field}",
                value=getattr(calendar, field),
                rule=f"must be one of {', '.join(words)}",
                remedy="take one of these words",
            )

    # Days of one year may not run backwards; MM-DD may, over New Year
    ranges = [("dates", calendar.dates)] if calendar.dates is not None else []
    ranges += [(f"date_ranges[{index}]", days) for index, days in enumerate(calendar.date_ranges)]
    for field, (first, last) in ranges:
        if not (is_day(first) and is_day(last)) and not (_is_day_of_year(first) and _is_day_of_year(last)):
            yield fault(
                entity=rule.id,
                field=f"calendar.{field}",
                value=(first, last),
                rule="days are YYYY-MM-DD (1990 .. 2199), or both MM-DD for every year",
                remedy="correct the dates",
            )
        elif len(first) == 10 and last < first:
            yield fault(
                entity=rule.id,
                field=f"calendar.{field}",
                value=(first, last),
                rule="the last day is before the first",
                remedy="correct the dates",
            )


def _is_day_of_year(text: str) -> bool:
    return is_day(f"2024-{text}")


def _minutes(rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    for start, end in calendar.minutes:
        if not (0 <= start <= 1439 and 0 <= end <= 1440 and start != end):
            yield fault(
                entity=rule.id,
                field="calendar.minutes",
                value=f"{start}, {end}",
                rule="minutes of the day are 0 .. 1440, from and to differ",
                remedy="give minutes since midnight: 7:30 is 450",
            )
        elif meant := _meant_clock_times(start, end):
            yield fault(
                entity=rule.id,
                field="calendar.minutes",
                value=f"{start}, {end}",
                rule=f"is from {_clock(start)} to {_clock(end)}",
                remedy=f"if {meant} is meant, minutes since midnight are hours x 60 + minutes",
                severity=Severity.WARNING,
            )


def _meant_clock_times(start: int, end: int) -> str:
    """Return the clock times that two numbers were probably meant as: hours, or HHMM; "" where they read well as
    minutes of the day."""
    reads_as_hhmm = all(number % 100 in (0, 15, 30, 45) and number >= 100 for number in (start, end))
    if start % 15 == 0 and end % 15 == 0:
        # minutes of whole hours are multiples of 60; those that are not, and read well as HHMM, are rather meant so
        certainly_hhmm = (
            reads_as_hhmm and any(number % 100 == 30 for number in (start, end)) and (start % 60, end % 60) != (0, 0)
        )
        if certainly_hhmm and end // 100 < 24:
            return f"{start // 100}:{start % 100:02d} to {end // 100}:{end % 100:02d}"
        return ""

    if max(start, end) <= 24 and end - start != 1:
        return f"{start}:00 to {end}:00"
    if reads_as_hhmm:
        return f"{start // 100}:{start % 100:02d} to {end // 100}:{end % 100:02d}"

    return ""


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _zone(code: IntersectionCode, rule: Rule, calendar: Calendar) -> Iterator[Finding]:
    try:
        if calendar.tz in NON_PLACE_ZONES or calendar.tz.startswith(("posix/", "right/")):
            raise ValueError(calendar.tz)
        zone = ZoneInfo(calendar.tz)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield fault(
            entity=rule.id,
            field="calendar.tz",
            value=calendar.tz,
            rule="is not a time zone",
            remedy="give a name such as Asia/Shanghai",
        )

        return

    utc_offsets = [datetime(2026, month, 1, tzinfo=UTC).astimezone(zone).utcoffset() or timedelta() for month in (1, 7)]
    solar_h = code.ref_lon_e7 / 1.5e8

    offset_h = min(abs((shift.total_seconds() / 3600 - solar_h + 12) % 24 - 12) for shift in utc_offsets)
    if offset_h > MAX_SOLAR_OFFSET_H:
        yield fault(
            entity=rule.id,
            field="calendar.tz",
            value=calendar.tz,
            rule=f"is {offset_h:.0f} h off the sun's time at longitude {code.ref_lon_e7 / 1e7:.1f}: the clocks of "
            "another place",
            remedy="name the time zone of the intersection",
            severity=Severity.WARNING,
        )


def _ever_in_force(rule: Rule, calendar: Calendar) -> bool:
    """Return whether a rule may be in force on any day."""
    ranges = (*((calendar.dates,) if calendar.dates is not None else ()), *calendar.date_ranges)
    if any(limit is not None and not FIRST_TIME <= limit <= LAST_TIME for limit in (rule.valid_from, rule.valid_to)):
        return True  # reported with the time

    start, end = (
        None if limit is None else datetime.fromtimestamp(limit // SECOND, UTC).date()
        for limit in (rule.valid_from, rule.valid_to)
    )
    if not ranges and start is None and end is None:
        ranges = (("2024-01-01", "2024-02-01"),) if not calendar.month_days else (("2024-01-01", "2028-12-31"),)

    windows = [
        (max(date.fromisoformat(first), start or date.min), min(date.fromisoformat(last), end or date.max))
        for first, last in ranges
        if len(first) == 10
    ]
    # Every year, or without dates: what its validity leaves
    if len(windows) < len(ranges) or not ranges:
        windows.append(
            (
                start or SAMPLE_YEARS[0],
                end or max(start or SAMPLE_YEARS[0], SAMPLE_YEARS[0]) + (SAMPLE_YEARS[1] - SAMPLE_YEARS[0]),
            )
        )

    for first, last in windows:
        for index in range(min((last - first).days + 1, MAX_SEARCHED_DAYS)):
            if _may_hold(calendar, first + timedelta(index), ranges):
                return True

    return not windows


def over_faults(code: IntersectionCode, time_ns: int) -> Iterator[Finding]:
    """Yield a warning for each rule that is over for good at `time_ns`: its validity has ended, or all its dates are
    past."""
    today = datetime.fromtimestamp(time_ns // SECOND, UTC).date()
    for rule in code.rules:
        if rule.calendar is None:
            ranges = ()
        else:
            ranges = (*((rule.calendar.dates,) if rule.calendar.dates is not None else ()), *rule.calendar.date_ranges)

        ends = [] if rule.valid_to is None else [datetime.fromtimestamp(rule.valid_to // SECOND, UTC).date()]
        if ranges and all(len(last) == 10 for _, last in ranges):
            ends.append(max(date.fromisoformat(last) for _, last in ranges))

        if ends and min(ends) < today - timedelta(1):  # a day of UTC may still run elsewhere
            yield fault(
                entity=rule.id,
                field="valid_to" if rule.valid_to is not None else "calendar",
                value=min(ends),
                rule=f"was in force last on {min(ends)}: it is over",
                remedy="take it out, or correct its dates",
                severity=Severity.WARNING,
            )


def _may_hold(calendar: Calendar, day: date, ranges: tuple[tuple[str, str], ...]) -> bool:
    """Return whether a calendar may hold on a day, whichever days are holidays or made up."""
    if ranges and not any(is_day_within(day.isoformat(), *days) for days in ranges):
        return False
    if calendar.month_days and day.day not in calendar.month_days:
        return False

    return (
        day.isoweekday() in calendar.weekdays
        or calendar.holidays in ("only", "also")
        or calendar.make_up == "as_workday"
    )
