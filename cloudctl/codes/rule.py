"""Traffic rules as data: what holds where, for which users, when, and with which value."""

from msgspec import Struct

RULE_KINDS = (
    "speed_max",
    "speed_min",
    "turn_ban",
    "no_entry",
    "lane_use",
    "bus_lane",
    "tidal_lane",
    "height_max",
    "width_max",
    "mass_max",
    "axle_max",
    "school_zone",
    "construction",
    "toll",
    "closure",
    "no_stopping",
    "no_overtaking",
    "emission_zone",
    "av_operating_area",
)
CLASSES = (
    "car",
    "taxi",
    "bus",
    "tram",
    "truck",
    "logistics_robot",
    "sanitation",
    "emergency",
    "bicycle",
    "pedestrian",
    "automated",
    "coach",
    "motorcycle",
    "dangerous_goods",
)
# classes that a vehicle of any other class can belong to besides
MANNERS = ("automated", "dangerous_goods")
VEHICLE_CLASSES = frozenset(CLASSES) - frozenset(MANNERS)  # what a vehicle can be
FUELS = ("petrol", "diesel", "gas", "hybrid", "plug_in_hybrid", "electric", "hydrogen")
# Emission stages: China I .. VI (GB 18352, GB 17691) as 1 .. 6, Euro 1 .. 7 as 1 .. 7
STAGES = (1, 7)
ON_HOLIDAYS = ("as_weekday", "never", "only", "also")
ON_MAKE_UP_DAYS = ("as_weekday", "as_workday")
# Kinds with a value, and its unit
VALUED = {
    "speed_max": "m/s",
    "speed_min": "m/s",
    "school_zone": "m/s",
    "construction": "m/s",
    "height_max": "m",
    "width_max": "m",
    "mass_max": "t",
    "axle_max": "t",
    "toll": "CNY",
    "emission_zone": "stage",
}


def known_class(kind: str) -> str:
    """Return the class whose rules hold for a vehicle of class `kind`: car where the list has no such class (GB 7258
    has many more)."""
    return kind if kind in VEHICLE_CLASSES else "car"


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a rule holds: a link, lane, connection, zone, or the whole intersection (`code`); between `s` on a lane or
    connection."""

    entity: str
    s_from: float | None = None  # m along it; None: from its beginning
    s_to: float | None = None


class Calendar(Struct, frozen=True, forbid_unknown_fields=True):
    """When a rule holds, in local time of `tz`: days (weekdays, dates, holidays, make-up working days), and minutes of
    those days.

    Which days are holidays and which weekend days are worked instead is not the rule's: a `days.DayCalendar` has it.
    """

    weekdays: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)  # ISO: 1 Monday
    # [from, to) of the local day; to < from runs past midnight; () all day
    minutes: tuple[tuple[int, int], ...] = ()
    dates: tuple[str, str] | None = None  # first and last day, YYYY-MM-DD; MM-DD every year
    # as_weekday, never (not on a holiday), only (on holidays only), also (on holidays whatever the weekday)
    holidays: str = "as_weekday"
    tz: str = "Asia/Shanghai"
    date_ranges: tuple[tuple[str, str], ...] = ()  # several of `dates`: it holds in any of them
    month_days: tuple[int, ...] = ()  # days of the month, 1 .. 31; () all
    # a weekend day that is worked: as_weekday, or as_workday (as the day off that it is worked for)
    make_up: str = "as_weekday"


def asks_for_days(calendar: Calendar | None) -> bool:
    """Return whether a calendar rests on which days are holidays or made up."""
    return calendar is not None and (calendar.holidays != "as_weekday" or calendar.make_up != "as_weekday")


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """One rule. `value` in the kind's unit (`VALUED`); `classes` it binds, () all; `except_classes` it does not bind.

    `plates` and `fuels` narrow this further; of kinds that reserve a lane (`rules.RESERVING_KINDS`), `classes`
    are those that may use it."""

    id: str
    kind: str
    targets: tuple[Target, ...]
    value: float | None = None
    classes: tuple[str, ...] = ()
    except_classes: tuple[str, ...] = ()
    calendar: Calendar | None = None
    priority: int = 0
    temporary: bool = False
    mandatory: bool = True
    valid_from: int | None = None  # ns
    valid_to: int | None = None
    authority: str = ""
    # GB 5768.2 sign index, GB/T 30699 sign code or GB/T 29100 event code, as "gb5768:85"
    sign: str = ""
    text: str = ""
    plates: tuple[int, ...] = ()  # last digits of the number plates it binds; () all
    fuels: tuple[str, ...] = ()  # of `FUELS`; () all
    except_fuels: tuple[str, ...] = ()
