"""The public holidays of a country from the `holidays` library (MIT), the only importer of it (`pip install
'cloudctl[calendar]'`).

For China it knows the weekend days that are worked (调休), as the State Council announces them each November for the year
that follows; a year that is not announced yet has the days of the law only, and no make-up days."""  # noqa: E501

from collections.abc import Iterable
from datetime import date, timedelta
from importlib import metadata
from typing import Any

from .days import DayCalendar, Holiday, MakeUpDay
from .findings import refuse

# Countries of time zones that lie in one
COUNTRY_OF_TIME_ZONE = {
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
}


def from_library(place: str, years: Iterable[int]) -> DayCalendar:
    """Return the calendar of a country (`CN`) or of a region of one (`DE-BY`) for some years. Raises CodeError."""
    library, wanted_years = _library(), sorted(set(years))
    country, _, region = place.partition("-")

    if not wanted_years or wanted_years[0] < 1990 or wanted_years[-1] > 2199:
        raise refuse(
            where="calendar",
            entity="calendar",
            field="years",
            value=wanted_years,
            rule="years are 1990 .. 2199",
            remedy="give one or several, such as 2026 2027",
        )

    # a day of December may be worked for one of January
    years_around = range(wanted_years[0] - 1, wanted_years[-1] + 2)
    try:
        library_days = library.country_holidays(country, subdiv=region or None, years=years_around, expand=False)
    except NotImplementedError as error:
        raise refuse(
            where="calendar",
            entity="calendar",
            field="place",
            value=place,
            rule=f"is not known to the library ({error})",
            remedy="give an ISO 3166 code as CN, DE or DE-BY, or write the calendar by hand (docs/codes.md)",
        ) from None

    worked = set(getattr(library_days, "weekend_workdays", ())) - set(library_days)
    days_off = dict(library_days) | (_adjoining_weekends(library_days, worked) if country == "CN" else {})

    return DayCalendar(
        first=f"{wanted_years[0]}-01-01",
        last=f"{wanted_years[-1]}-12-31",
        holidays=tuple(Holiday(day.isoformat(), days_off[day]) for day in sorted(days_off) if day.year in wanted_years),
        make_up_days=tuple(
            MakeUpDay(day.isoformat(), _replaced_day(day, library_days).isoformat())
            for day in sorted(worked)
            if day.year in wanted_years
        ),
        place=place,
        source=f"holidays {metadata.version('holidays')}",
    )


def _adjoining_weekends(library_days: Any, worked: set[date]) -> dict[date, str]:
    """Return the weekend days beside holidays that are not worked: they are part of the vacation as the State Council
    announces it."""
    added: dict[date, str] = {}
    for step in (timedelta(1), timedelta(-1)):
        for day in sorted(library_days):
            adjoining = day + step
            while adjoining.isoweekday() > 5 and adjoining not in library_days and adjoining not in worked:
                added.setdefault(adjoining, library_days[day])
                adjoining += step

    return added


def _replaced_day(day: date, library_days: Any) -> date:
    """Return the working day that is off for a day worked: by the library's name of it; else the nearest holiday
    on a working day."""
    label = library_days.tr(library_days.substituted_label) % day.strftime(
        library_days.tr(library_days.substituted_date_format)
    )
    named_days = [day_off for day_off in sorted(library_days) if label in library_days[day_off]]
    working_days = [day_off for day_off in sorted(library_days) if day_off.isoweekday() <= 5]
    day_off: date = named_days[0] if named_days else min(working_days, key=lambda other: abs(other - day))

    return day_off


def _library() -> Any:
    try:
        import holidays
    except ImportError:
        raise refuse(
            where="calendar",
            entity="calendar",
            field="source",
            value="holidays",
            rule="the library of public holidays is not installed",
            remedy="pip install 'cloudctl[calendar]', or write the calendar by hand (docs/codes.md)",
        ) from None

    return holidays
