"""When a rule holds: its validity, and its calendar on a local day."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from .days import DayCalendar, Days, days_of
from .rule import Calendar, Rule

SECOND = 1_000_000_000


def holds(calendar: Calendar | None, t: int, holidays: DayCalendar | Days | Collection[str] = ()) -> bool:
    """Return whether a calendar holds at `t` ns, given which local days are holidays. A span past midnight belongs to
    its first day."""
    if calendar is None:
        return True

    days = days_of(holidays)
    local = datetime.fromtimestamp(t // SECOND, UTC).astimezone(ZoneInfo(calendar.tz))
    minute, day = local.hour * 60 + local.minute, local.date()

    if not calendar.minutes:
        return day_holds(calendar, day, days)

    for start, end in calendar.minutes:
        if start <= minute and (minute < end or end < start) and day_holds(calendar, day, days):
            return True
        if end < start and minute < end and day_holds(calendar, day - timedelta(days=1), days):
            return True

    return False


def in_force(rule: Rule, t: int, days: Days) -> bool:
    """Return whether a rule is in force at `t` ns, by its validity and its calendar."""
    return (
        (rule.valid_from is None or rule.valid_from <= t)
        and (rule.valid_to is None or t < rule.valid_to)
        and holds(rule.calendar, t, days)
    )


def day_holds(calendar: Calendar, day: date, days: Days) -> bool:
    """Return whether a calendar holds on a local day, at the minutes that it names."""
    text = day.isoformat()
    ranges = (*((calendar.dates,) if calendar.dates is not None else ()), *calendar.date_ranges)
    if ranges and not any(is_day_within(text, first, last) for first, last in ranges):
        return False
    if calendar.month_days and day.day not in calendar.month_days:
        return False
    if calendar.holidays != "as_weekday" and text in days.holidays:
        return calendar.holidays != "never"

    weekday = day.isoweekday()
    if calendar.make_up == "as_workday":
        weekday = days.worked.get(text, weekday)

    return calendar.holidays != "only" and weekday in calendar.weekdays


def is_day_within(day: str, first: str, last: str) -> bool:
    """Return whether a day, YYYY-MM-DD, is in a range of days, or of days of the year (MM-DD; the last may be of the
    next year)."""
    if len(first) == 5:
        day = day[5:]
        return first <= day <= last if first <= last else day >= first or day <= last
    return first <= day <= last
