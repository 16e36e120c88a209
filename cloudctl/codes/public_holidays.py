"""The public holidays of a country from the `holidays` library (MIT), the only importer of it (`pip install 'cloudctl[calendar]'`).

For China it knows the weekend days that are worked (调休), as the State Council announces them each November for the year that follows;
a year that is not announced yet has the days of the law only, and no make-up days.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from importlib import metadata
from typing import Any

from .days import DayCalendar, Holiday, MakeUpDay
from .findings import refuse

ZONES = {
    "Asia/Shanghai": "CN",
    "Asia/Urumqi": "CN",
    "Asia/Chongqing": "CN",
    "Asia/Harbin": "CN",
    "PRC": "CN",
    "Asia/Hong_Kong": "HK",
    "Asia/Macau": "MO",
    "Asia/Taipei": "TW",
    "Asia/Tokyo": "JP",
    "Asia/Seoul": "KR",
    "Asia/Singapore": "SG",
    "Europe/Berlin": "DE",
    "Europe/Vienna": "AT",
    "Europe/Zurich": "CH",
    "Europe/Paris": "FR",
    "Europe/Brussels": "BE",
    "Europe/Amsterdam": "NL",
    "Europe/Luxembourg": "LU",
    "Europe/Rome": "IT",
    "Europe/Madrid": "ES",
    "Europe/Lisbon": "PT",
    "Europe/Prague": "CZ",
    "Europe/Warsaw": "PL",
    "Europe/Copenhagen": "DK",
    "Europe/Stockholm": "SE",
    "Europe/Oslo": "NO",
    "Europe/Helsinki": "FI",
    "Europe/London": "GB",
    "Europe/Dublin": "IE",
    "America/New_York": "US",
    "America/Chicago": "US",
    "America/Denver": "US",
    "America/Los_Angeles": "US",
}  # countries of time zones that lie in one


def from_library(place: str, years: Iterable[int]) -> DayCalendar:
    """Return the calendar of a country (`CN`) or of a region of one (`DE-BY`) for some years. Raises CodeError."""
    library, wanted = _library(), sorted(set(years))
    country, _, region = place.partition("-")
    if not wanted or wanted[0] < 1990 or wanted[-1] > 2199:
        raise refuse(
            "calendar", "calendar", "years", wanted, "years are 1990 .. 2199", "give one or several, such as 2026 2027"
        )
    around = range(wanted[0] - 1, wanted[-1] + 2)  # a day of December may be worked for one of January
    try:
        found = library.country_holidays(country, subdiv=region or None, years=around, expand=False)
    except NotImplementedError as error:
        raise refuse(
            "calendar",
            "calendar",
            "place",
            place,
            f"is not known to the library ({error})",
            "give an ISO 3166 code as CN, DE or DE-BY, or write the calendar by hand (docs/codes.md)",
        ) from None
    worked = set(getattr(found, "weekend_workdays", ())) - set(found)
    free = dict(found) | (_weekends_within(found, worked) if country == "CN" else {})
    return DayCalendar(
        first=f"{wanted[0]}-01-01",
        last=f"{wanted[-1]}-12-31",
        holidays=tuple(Holiday(day.isoformat(), free[day]) for day in sorted(free) if day.year in wanted),
        make_up_days=tuple(
            MakeUpDay(day.isoformat(), _replaced(day, found).isoformat())
            for day in sorted(worked)
            if day.year in wanted
        ),
        place=place,
        source=f"holidays {metadata.version('holidays')}",
    )


def _weekends_within(found: Any, worked: set[date]) -> dict[date, str]:
    """Return the weekend days beside holidays that are not worked: they are part of the vacation as the State Council announces it."""
    added: dict[date, str] = {}
    for step in (timedelta(1), timedelta(-1)):
        for day in sorted(found):
            beside = day + step
            while beside.isoweekday() > 5 and beside not in found and beside not in worked:
                added.setdefault(beside, found[day])
                beside += step
    return added


def _replaced(day: date, found: Any) -> date:
    """Return the working day that is off for a day worked: the library's name of it says so; else the nearest holiday on a working day."""
    label = found.tr(found.substituted_label) % day.strftime(found.tr(found.substituted_date_format))
    named = [off for off in sorted(found) if label in found[off]]
    working = [off for off in sorted(found) if off.isoweekday() <= 5]
    off: date = named[0] if named else min(working, key=lambda other: abs(other - day))
    return off


def _library() -> Any:
    try:
        import holidays
    except ImportError:
        raise refuse(
            "calendar",
            "calendar",
            "source",
            "holidays",
            "the library of public holidays is not installed",
            "pip install 'cloudctl[calendar]', or write the calendar by hand (docs/codes.md)",
        ) from None
    return holidays
