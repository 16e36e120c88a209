"""How the values of these messages are read: one by one, so that a wrong one costs only itself or its object, and is
named.

Decoders differ in how they write what ASN.1 calls CHOICE, ENUMERATED and BIT STRING; each way is read here. Names may
be written with dashes or underscores.
"""

from collections.abc import Sequence
from math import pi
from typing import Any, Final, NamedTuple

import msgspec

from ..codes.findings import CodeError, refuse
from ..geo import MAX_LATITUDE as MAX_ORIGIN_LATITUDE
from ..signals.spat_fields import Refusals, shown
from ..signals.spat_time import MAX_MILLISECOND, NO_MILLISECOND

Tree = dict[str, Any]

MAX_LATITUDE: Final = 900_000_000  # 1e-7 degrees
MAX_LONGITUDE: Final = 1_800_000_000
NO_LATITUDE: Final = MAX_LATITUDE + 1  # not available
NO_LONGITUDE: Final = MAX_LONGITUDE + 1
MAX_OBJECT_ID: Final = 65_535
DEGREES: Final = 1e7  # units of a latitude or longitude per degree
TWO_SIGMA: Final = 1.96  # of a normal distribution, 95 % are within so many standard deviations

# Of J2735, and of YD/T 3709 which has the same.
SPEED_UNIT: Final = 0.02  # m/s
NO_SPEED: Final = 8191
HEADING_UNIT: Final = 0.0125  # degrees, clockwise from north
NO_HEADING: Final = 28_800
SIZE_UNIT: Final = 0.01  # m, of a width and a length; 0: not available
HEIGHT_UNIT: Final = 0.05  # m; 0: not available
MAX_WIDTH: Final = 1023
MAX_LENGTH: Final = 4095
MAX_HEIGHT: Final = 127
POSITION_CONFIDENCE: Final = (  # m, 95 %; None: not available
    None, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01,
)  # fmt: skip
POSITION_CONFIDENCE_NAMES: Final = (
    "unavailable", "a500m", "a200m", "a100m", "a50m", "a20m", "a10m", "a5m", "a2m", "a1m", "a50cm", "a20cm", "a10cm",
    "a5cm", "a2cm", "a1cm",
)  # fmt: skip
SPEED_CONFIDENCE: Final = (None, 100.0, 10.0, 5.0, 1.0, 0.1, 0.05, 0.01)  # m/s, 95 %; None: not available
SPEED_CONFIDENCE_NAMES: Final = (
    "unavailable", "prec100ms", "prec10ms", "prec5ms", "prec1ms", "prec0-1ms", "prec0-05ms", "prec0-01ms",
)  # fmt: skip


class Choice(NamedTuple):
    """The alternative that a CHOICE has, and its value."""

    name: str
    value: Any


class Position(NamedTuple):
    """A reference position, degrees."""

    lat: float
    lon: float


def tree_of(message: bytes | str, where: str) -> Tree:
    """Return the tree of a message in JSON. Raises CodeError."""
    try:
        tree = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise refuse(
            where, where, "JSON", f"{len(message)} bytes", f"cannot be read ({error})", "send whole JSON"
        ) from (None)

    if not isinstance(tree, dict):
        raise refuse(where, where, "JSON", shown(tree), "must be an object", "send the message's fields by their names")

    return tree


def member(tree: Any, name: str) -> Any:
    """Return a field by its name of the standard, written with dashes or underscores; None where it is absent."""
    if not isinstance(tree, dict):
        return None
    value = tree.get(name)
    return tree.get(name.replace("-", "_")) if value is None and "-" in name else value


def part(tree: Any, name: str, entity: str, refusals: Refusals) -> Tree:
    """Return a field that holds further fields. Raises CodeError where it is absent or something else."""
    value = member(tree, name)
    if not isinstance(value, dict):
        raise refusals.error(entity, name, value, "must be there, with the fields of the standard")
    return value


def choice_of(value: Any) -> Choice | None:
    """Return which alternative a CHOICE has: an object of one key, or a pair of its name and value."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, inner),) = value.items()
        return Choice(str(name), inner)
    if isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str):
        return Choice(value[0], value[1])
    return None


def enumerated(entity: str, field: str, value: Any, names: Sequence[str], refusals: Refusals) -> int | None:
    """Return the number of an ENUMERATED by its name or number; None where it is absent, or refused with a note."""
    if value is None:
        return None

    if isinstance(value, dict) and len(value) == 1:  # XML turned to JSON: {"rsu": null}
        value = next(iter(value))

    if isinstance(value, str) and not value.isdecimal():
        spelled = _spelling(value)
        for number, name in enumerate(names):
            if _spelling(name) == spelled:
                return number
        refusals.add(entity, field, value, f"must be one of {', '.join(names)}")
        return None

    return refusals.optional(entity, field, value, len(names) - 1)


def _spelling(name: str) -> str:
    return name.replace("_", "-").lower()


def quantity(
    entity: str,
    field: str,
    value: Any,
    *,
    unit: float,
    high: int,
    absent: Sequence[int],
    refusals: Refusals,
    low: int = 0,
) -> float:
    """Return a measured number in our unit; NaN where it is left out, one of the values `absent`, or refused with a
    note."""
    if value is None:
        return float("nan")

    try:
        number = refusals.number(entity, field, value, high, low)
    except CodeError as error:
        refusals.take(error)
        return float("nan")

    return float("nan") if number in absent else number * unit


def reference_of(tree: Tree, names: tuple[str, str], entity: str, refusals: Refusals) -> Position:
    """Return a reference position, by the names of its latitude and longitude; some converters write "long" as "lon".
    Raises CodeError where it is not available."""
    longitude = tree.get(names[1])
    longitude = tree.get("lon") if longitude is None else longitude
    lat = refusals.number(entity, names[0], tree.get(names[0]), NO_LATITUDE, -MAX_LATITUDE)
    lon = refusals.number(entity, names[1], longitude, NO_LONGITUDE, -MAX_LONGITUDE)

    if lat == NO_LATITUDE or lon == NO_LONGITUDE:
        rule = "is not available: objects are placed by their offsets from it"
        raise refusals.error(entity, names[0] if lat == NO_LATITUDE else names[1], "unavailable", rule)

    position = Position(lat / DEGREES, lon / DEGREES)
    if abs(position.lat) >= MAX_ORIGIN_LATITUDE:
        raise refusals.error(entity, names[0], lat, f"must be within {MAX_ORIGIN_LATITUDE:g} degrees")

    return position


def millisecond_of_minute(entity: str, field: str, value: Any, refusals: Refusals) -> int:
    """Return a DSecond that names a time: 0 .. 60999. Raises CodeError."""
    ms = refusals.number(entity, field, value, NO_MILLISECOND)
    if ms > MAX_MILLISECOND:
        rule = (
            "is not available"
            if ms == NO_MILLISECOND
            else f"{MAX_MILLISECOND + 1} .. {NO_MILLISECOND - 1} are reserved"
        )
        raise refusals.error(entity, field, ms, f"{rule}: the time of measurement is not known")

    return ms


def from_north(heading: float) -> float:
    """Return an angle of ours (rad, counter-clockwise from east) of degrees clockwise from north, within a half turn
    either way."""
    return wrapped(pi / 2 - heading * pi / 180)


def wrapped(angle: float) -> float:
    """Return an angle (rad) within a half turn either way."""
    return (angle + pi) % (2 * pi) - pi
