"""Which days are holidays, and which weekend days are worked instead: what rules that depend on working days need
besides the date.

A `DayCalendar` is a file of the operator's (`cloudctl codes calendar`), an input of the engine, and published beside
the codes, so that a vehicle answers a rule from the same days as the node. Days are local dates: those of the time zone
that a rule's calendar names."""

from collections.abc import Collection, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from .findings import CodeError, Finding, fault
from .strict_json import read_file, read_json

MAX_DAYS = 10_000  # holidays or make-up days of one file: those of three centuries
# Days between a day off and the weekend day that is worked for it: the State Council's lie within a month
MAX_DAYS_APART = 60
DAY_FORMATS = (1,)
EPOCH = date(1970, 1, 1).toordinal()


class Holiday(Struct, frozen=True, forbid_unknown_fields=True):
    """A day off, whatever its weekday."""

    date: str  # YYYY-MM-DD
    name: str = ""


class MakeUpDay(Struct, frozen=True, forbid_unknown_fields=True):
    """A weekend day that is worked, and the working day that is off for it."""

    date: str
    replaces: str
    name: str = ""


class DayCalendar(Struct, frozen=True, forbid_unknown_fields=True):
    """The holidays and make-up working days of a place, from `first` to `last` (all of both given); outside these days
    nothing is known."""

    first: str = ""  # YYYY-MM-DD; "" where the calendar is empty
    last: str = ""
    holidays: tuple[Holiday, ...] = ()
    make_up_days: tuple[MakeUpDay, ...] = ()
    place: str = ""  # ISO 3166 code of the country, or country-region
    source: str = ""
    format: int = 1


NO_DAYS = DayCalendar()


class Days(NamedTuple):
    """A `DayCalendar` as rules ask it."""

    holidays: Collection[str]
    worked: Mapping[str, int]  # make-up day -> ISO weekday of the day that it is worked for


def days_of(calendar: "DayCalendar | Days | Collection[str]") -> Days:
    """Return the days of a calendar; a plain collection holds holidays, YYYY-MM-DD."""
    if isinstance(calendar, Days):
        return calendar

    if isinstance(calendar, DayCalendar):
        worked = {day.date: date.fromisoformat(day.replaces).isoweekday() for day in calendar.make_up_days}
        return Days(frozenset(day.date for day in calendar.holidays), worked)

    return Days(frozenset(calendar), {})


def covers(calendar: DayCalendar, day: str) -> bool:
    """Return whether the calendar covers a local day."""
    return calendar.first <= day <= calendar.last if calendar.first else False


def read_days(path: Path) -> DayCalendar:
    """Return the calendar of a file. Raises CodeError with every fault of it."""
    data = read_file(path, "make one with: cloudctl codes calendar CN 2026 --out calendar.json")
    return parse_days(data, str(path))


def parse_days(data: bytes, where: str) -> DayCalendar:
    """Return a calendar from JSON. Raises CodeError with every fault."""
    calendar = read_json(data, DayCalendar, where, DAY_FORMATS)
    faults = check_days(calendar)
    if faults:
        raise CodeError(where, faults)
    return calendar


def dump_days(calendar: DayCalendar) -> bytes:
    """Return a calendar as JSON for people to read and edit, a day a line."""
    header = {
        "format": calendar.format,
        "place": calendar.place,
        "source": calendar.source,
        "first": calendar.first,
        "last": calendar.last,
    }

    lines = [f" {_json(key)}: {_json(value)}" for key, value in header.items()]
    for key in ("holidays", "make_up_days"):
        rows = [_json(msgspec.to_builtins(row)) for row in getattr(calendar, key)]
        lines.append(f" {_json(key)}: [" + ",".join(f"\n  {row}" for row in rows) + ("\n ]" if rows else "]"))

    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def check_days(calendar: DayCalendar) -> list[Finding]:
    """Return every fault of a calendar."""
    return list(_faults(calendar))


def _faults(calendar: DayCalendar) -> Iterator[Finding]:
    dated_fields = [("first", calendar.first), ("last", calendar.last)] if calendar != NO_DAYS else []
    tables: tuple[tuple[str, tuple[Holiday | MakeUpDay, ...]], ...] = (
        ("holidays", calendar.holidays),
        ("make_up_days", calendar.make_up_days),
    )
    for name, days in tables:
        if len(days) > MAX_DAYS:
            yield fault(
                entity="calendar",
                field=name,
                value=len(days),
                rule=f"a calendar has at most {MAX_DAYS} of them",
                remedy="split it by years",
            )

            return

        dated_fields += [(f"{name}[{index}].date", day.date) for index, day in enumerate(days)]

    dated_fields += [
        (f"make_up_days[{index}].replaces", day.replaces) for index, day in enumerate(calendar.make_up_days)
    ]
    malformed = [(field, day) for field, day in dated_fields if not is_day(day)]
    for field, day in malformed:
        yield fault(
            entity="calendar",
            field=field,
            value=day,
            rule="is no day: YYYY-MM-DD, from 1990 to 2199",
            remedy="write it as 2026-10-01",
        )

    if not malformed:
        yield from _contradictions(calendar)


def _contradictions(calendar: DayCalendar) -> Iterator[Finding]:
    if calendar.last < calendar.first:
        yield fault(
            entity="calendar",
            field="last",
            value=calendar.last,
            rule=f"is before the first day, {calendar.first}",
            remedy="correct the days that the calendar covers",
        )

    listed_at: dict[str, str] = {}
    tables: tuple[tuple[str, tuple[Holiday | MakeUpDay, ...]], ...] = (
        ("holidays", calendar.holidays),
        ("make_up_days", calendar.make_up_days),
    )
    for name, days in tables:
        for index, day in enumerate(days):
            if day.date in listed_at:
                yield fault(
                    entity="calendar",
                    field=f"{name}[{index}].date",
                    value=day.date,
                    rule=f"stands in {listed_at[day.date]} already",
                    remedy="a day is a holiday or a make-up day, once",
                )
            elif not covers(calendar, day.date):
                yield fault(
                    entity="calendar",
                    field=f"{name}[{index}].date",
                    value=day.date,
                    rule=f"is not within {calendar.first} .. {calendar.last}",
                    remedy="correct the day, or what the calendar covers",
                )

            listed_at[day.date] = f"{name}[{index}]"

    yield from _make_up_days(calendar)
    yield from _empty_years(calendar)


def _make_up_days(calendar: DayCalendar) -> Iterator[Finding]:
    """Yield make-up days that cannot be meant: each is a weekend day, worked for a holiday of its own near by."""
    holidays, worked_for = {day.date for day in calendar.holidays}, dict[str, str]()
    for index, day in enumerate(calendar.make_up_days):
        field = f"make_up_days[{index}].replaces"
        worked_day, day_off = date.fromisoformat(day.date), date.fromisoformat(day.replaces)
        if worked_day.isoweekday() <= 5:
            yield fault(
                entity="calendar",
                field=f"make_up_days[{index}].date",
                value=day.date,
                rule=f"is a {worked_day:%A}, a working day anyway",
                remedy="name the Saturday or Sunday that is worked",
            )

        if day_off.isoweekday() > 5:
            yield fault(
                entity="calendar",
                field=field,
                value=day.replaces,
                rule="is a weekend day",
                remedy="name the working day that is off for it",
            )
        elif covers(calendar, day.replaces) and day.replaces not in holidays:
            yield fault(
                entity="calendar",
                field=field,
                value=day.replaces,
                rule="is no holiday of this calendar",
                remedy="name the working day that is off for it, and list it under holidays",
            )
        elif abs((worked_day - day_off).days) > MAX_DAYS_APART:
            yield fault(
                entity="calendar",
                field=field,
                value=day.replaces,
                rule=f"is {abs((worked_day - day_off).days)} days from {day.date}, which is worked for it",
                remedy="correct the year, or the day",
            )
        elif day.replaces in worked_for:
            yield fault(
                entity="calendar",
                field=field,
                value=day.replaces,
                rule=f"is worked for on {worked_for[day.replaces]} already",
                remedy="a day off is worked for once",
            )

        worked_for[day.replaces] = day.date


def _empty_years(calendar: DayCalendar) -> Iterator[Finding]:
    """Yield the first year that the calendar covers whole without a holiday, where other years have some: nothing was
    entered for it."""
    if not (is_day(calendar.first) and is_day(calendar.last)):
        # covers no day, as where there is no calendar, or is found as a fault of its own
        return

    years = {day.date[:4] for day in calendar.holidays}
    covered = (str(year) for year in range(int(calendar.first[:4]), int(calendar.last[:4]) + 1))

    empty = [
        year
        for year in covered
        if year not in years and calendar.first <= f"{year}-01-01" and f"{year}-12-31" <= calendar.last
    ]
    if years and empty:
        yield fault(
            entity="calendar",
            field="first, last",
            value=f"{calendar.first} .. {calendar.last}",
            rule=f"covers {len(empty)} year(s) without any holiday, {empty[0]} first",
            remedy="cover the years only whose holidays are listed",
        )


def is_day(text: str) -> bool:
    """Return whether a text is a day that can be meant."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False

    # Days are compared as texts: a week date, 2026-W10-1, is none
    return day.isoformat() == text and 1990 <= day.year <= 2199
