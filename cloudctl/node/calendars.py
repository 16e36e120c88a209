"""The days of a node: its calendar file, or the public holidays of the country that its rules' time zone lies in, as
an input of the engine.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ..clock import SECOND
from ..codes import CodeError, IntersectionCode
from ..codes.days import NO_DAYS, DayCalendar, covers, read_days
from ..codes.public_holidays import COUNTRY_OF_TIME_ZONE, from_library
from ..codes.rule import Rule, asks_for_days

MAKE_ONE = "make one with: cloudctl codes calendar CN 2026 --out calendar.json, and name it under [node] calendar"


class NodeDays(NamedTuple):
    """The days that a node answers rules with, and what the operator is to know of them ("" nothing)."""

    days: DayCalendar
    notice: str


def asking(codes: Iterable[IntersectionCode]) -> list[tuple[str, Rule]]:
    """Return the rules that rest on holidays or make-up days, with their intersections."""
    return [(code.id, rule) for code in codes for rule in code.rules if asks_for_days(rule.calendar)]


def node_days(file: str | None, codes: Iterable[IntersectionCode], t: int) -> NodeDays:
    """Return the days of a node at `t` ns: those of its file, else, where its rules ask for days, from the library.
    Raises CodeError for a faulty file.
    """
    rules = asking(codes)
    if file is not None:
        days = read_days(Path(file))
        return NodeDays(days, _other_place(file, days, rules))

    if not rules:
        return NodeDays(NO_DAYS, "")

    zones = sorted({rule.calendar.tz for _, rule in rules if rule.calendar is not None})
    places = sorted({COUNTRY_OF_TIME_ZONE.get(zone, "") for zone in zones})
    about = f"rule {rules[0][1].id} of {rules[0][0]}" + (f" and {len(rules) - 1} more" if len(rules) > 1 else "")

    if len(places) != 1 or not places[0]:
        return NodeDays(
            NO_DAYS,
            f"{about} rest on public holidays, and no calendar is given for {', '.join(zones)}: every day is "
            f"taken as its weekday; {MAKE_ONE}",
        )

    year = datetime.fromtimestamp(t // SECOND, UTC).year
    try:
        days = from_library(places[0], (year - 1, year, year + 1))
        if places[0] == "CN" and not any(day.date.startswith(str(year + 1)) for day in days.make_up_days):
            days = from_library(places[0], (year - 1, year))  # the year to come is not announced yet
    except CodeError as error:
        return NodeDays(
            NO_DAYS,
            f"{about} rest on public holidays, and there is no calendar ({error.findings[0].rule}): every day "
            f"is taken as its weekday; {MAKE_ONE}",
        )

    return NodeDays(
        days,
        f"{about} rest on public holidays: those of {places[0]} are taken from {days.source}, {days.first} to "
        f"{days.last}; for days of your own {MAKE_ONE}",
    )


def _other_place(file: str, days: DayCalendar, rules: list[tuple[str, Rule]]) -> str:
    """Return what the operator is to know where a calendar is not of the country of the rules that ask for it; ""
    where it is, or that is not known.
    """
    for name, rule in rules:
        place = COUNTRY_OF_TIME_ZONE.get(rule.calendar.tz, "") if rule.calendar is not None else ""
        if place and place != days.place.partition("-")[0].upper():
            of = f"of {days.place!r}" if days.place else "of a place that it does not name"
            zone = rule.calendar.tz if rule.calendar else ""
            return (
                f"the calendar {file} is {of}, and rule {rule.id} of {name} goes by the clock of {zone}, "
                f"which is in {place}: its holidays are taken all the same; {MAKE_ONE}"
            )

    return ""


def uncovered(days: DayCalendar, codes: Iterable[IntersectionCode], t: int) -> str:
    """Return the local day at `t` ns of which the calendar says nothing although rules ask for it; "" where there is
    none.
    """
    zones = sorted({rule.calendar.tz for _, rule in asking(codes) if rule.calendar is not None})
    today = (datetime.fromtimestamp(t // SECOND, ZoneInfo(zone)).date().isoformat() for zone in zones)
    return next((day for day in today if not covers(days, day)), "")
