"""The public holidays of a country from the `holidays` library (MIT), the only importer of it (`pip install 'cloudctl[calendar]'`).

For China it knows the weekend days that are worked (调休), as the State Council announces them each November for the year that follows;
a year that is not announced yet has the days of the law only, and no make-up days.
"""

from collections.abc import Iterable
from datetime import date
from importlib import metadata
from typing import Any

from .days import DayCalendar, Holiday, MakeUpDay
from .findings import refuse

ZONES = {
    "Asia/Shanghai": "CN", "Asia/Urumqi": "CN", "Asia/Chongqing": "CN", "Asia/Harbin": "CN", "PRC": "CN", "Asia/Hong_Kong": "HK", "Asia/Macau": "MO",
    "Asia/Taipei": "TW", "Asia/Tokyo": "JP", "Asia/Seoul": "KR", "Asia/Singapore": "SG", "Europe/Berlin": "DE", "Europe/Vienna": "AT", "Europe/Zurich": "CH",
    "Europe/Paris": "FR", "Europe/Brussels": "BE", "Europe/Amsterdam": "NL", "Europe/Luxembourg": "LU", "Europe/Rome": "IT", "Europe/Madrid": "ES",
    "Europe/Lisbon": "PT", "Europe/Prague": "CZ", "Europe/Warsaw": "PL", "Europe/Copenhagen": "DK", "Europe/Stockholm": "SE", "Europe/Oslo": "NO",
    "Europe/Helsinki": "FI", "Europe/London": "GB", "Europe/Dublin": "IE", "America/New_York": "US", "America/Chicago": "US", "America/Denver": "US",
    "America/Los_Angeles": "US",
}  # countries of time zones that lie in one


def from_library(place: str, years: Iterable[int]) -> DayCalendar:
    """Return the calendar of a country (`CN`) or of a region of one (`DE-BY`) for some years. Raises CodeError."""
    library, wanted = _library(), sorted(set(years))
    country, _, region = place.partition("-")
    if not wanted or wanted[0] < 1990 or wanted[-1] > 2199:
        raise refuse("calendar", "calendar", "years", wanted, "years are 1990 .. 2199", "give one or several, such as 2026 2027")
    try:
        found = library.country_holidays(country, subdiv=region or None, years=wanted, expand=False)
    except NotImplementedError as error:
        raise refuse("calendar", "calendar", "place", place, f"is not known to the library ({error})", "give an ISO 3166 code as CN, DE or DE-BY, or write the calendar by hand (docs/codes.md)") from None
    inside = sorted(day for day in found if day.year in wanted)
    holidays = tuple(Holiday(day.isoformat(), found[day]) for day in inside)
    free = {day for day in inside}
    worked = tuple(_make_up(day, found, free) for day in sorted(getattr(found, "weekend_workdays", ())) if day.year in wanted and day not in free)
    return DayCalendar(f"{wanted[0]}-01-01", f"{wanted[-1]}-12-31", holidays, worked, place, f"holidays {metadata.version('holidays')}")


def _make_up(day: date, found: Any, free: set[date]) -> MakeUpDay:
    return MakeUpDay(day.isoformat(), _replaced(day, found, free).isoformat())


def _replaced(day: date, found: Any, free: set[date]) -> date:
    raise NotImplementedError


def _library() -> Any:
    try:
        import holidays
    except ImportError:
        raise refuse("calendar", "calendar", "source", "holidays", "the library of public holidays is not installed", "pip install 'cloudctl[calendar]', or write the calendar by hand (docs/codes.md)") from None
    return holidays
