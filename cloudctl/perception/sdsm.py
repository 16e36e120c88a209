"""SDSM of SAE J3224 -> our objects.

Offsets are 0.1 m from the reference position, along the axes that `axes` names (the standard's text is not free; public
implementations disagree, so that the gateway's operator says which its sender has). Headings are 0.0125 degrees
clockwise from north, speeds 0.02 m/s. An object's time is the message's plus its measurementTime.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from ..clock import MS, SECOND
from ..schema import ObjectClass
from ..signals.spat_fields import Refusals
from .fields import (
    MAX_OBJECT_ID,
    Tree,
    choice_of,
    enumerated,
    member,
    millisecond_of_minute,
    part,
    quantity,
    reference_of,
)
from .objects import ReadMessage, SeenObject, no_object_error, read_objects
from .road_user_classes import class_of_vehicle
from .rsm import position_variance, set_motion, set_size, speed_sigma

C = ObjectClass
OBJECT_TYPES: Final = ("unknown", "vehicle", "vru", "animal")
CLASS_OF_TYPE: Final = (C.UNKNOWN, C.CAR, C.PEDESTRIAN, C.UNKNOWN)
DEVICE_USERS: Final = ("unavailable", "aPEDESTRIAN", "aPEDALCYCLIST", "aPUBLICSAFETYWORKER", "anANIMAL")
CLASS_OF_USER: Final = (None, C.PEDESTRIAN, C.BICYCLE, C.PEDESTRIAN, C.UNKNOWN)
OFFSET_UNIT: Final = 0.1  # m
MAX_OFFSET: Final = 32_767
MAX_TIME_OFFSET: Final = 1500  # ms
OBSTACLE_UNIT: Final = 0.1  # m
MAX_OBSTACLE: Final = 1023
MAX_ZONE: Final = 840  # minutes of a local time from UTC
MAX_TIME: Final = 2**63 - 1  # ns since 1970 that the wire can carry: into the year 2262
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
# DDateTime: the greatest number of each field, and the one that stands for "not available".
DATE_FIELDS: Final = {"year": (4095, 0), "month": (12, 0), "day": (31, 0), "hour": (31, 31), "minute": (60, 60)}


class SdsmAxes(StrEnum):
    """Which way the axes of offsetX and offsetY point."""

    EAST_NORTH = "east-north"
    NORTH_EAST = "north-east"


def read_sdsm(tree: Tree, received: int, axes: SdsmAxes, refusals: Refusals) -> ReadMessage:
    """Return the objects of an SDSM, in a MessageFrame or bare. `received` (ns) decides what its time leaves open.
    Raises CodeError for what is no SDSM, or has no time or place."""
    sdsm = _body(tree)
    position = part(sdsm, "refPos", "SDSM", refusals)
    reference = reference_of(position, ("lat", "long"), "refPos", refusals)
    t = _time(part(sdsm, "sDSMTimeStamp", "SDSM", refusals), received, refusals)
    objects = read_objects(
        member(sdsm, "objects"), lambda item, entity: _object(item, entity, t, axes, refusals), "objects", refusals
    )

    return ReadMessage(reference, objects, t)


def _body(tree: Tree) -> Tree:
    """Return the message within a frame, however the frame is written."""
    frame = member(tree, "MessageFrame")
    value = member(frame if isinstance(frame, dict) else tree, "value")
    found = choice_of(value)

    if found is not None and isinstance(found.value, dict):
        return found.value

    inner = member(tree, "SensorDataSharingMessage")
    return inner if isinstance(inner, dict) else tree


def _object(item: Any, entity: str, t: int, axes: SdsmAxes, refusals: Refusals) -> SeenObject:
    if not isinstance(item, dict):
        raise no_object_error("SDSM", "must be a DetectedObjectData", item)

    common = part(item, "detObjCommon", entity, refusals)
    object_id = refusals.number(entity, "objectID", member(common, "objectID"), MAX_OBJECT_ID)
    entity = f"{entity} (object {object_id})"
    offset = member(common, "measurementTime")
    delta = refusals.number(entity, "measurementTime", offset, MAX_TIME_OFFSET, -MAX_TIME_OFFSET)

    pos = part(common, "pos", entity, refusals)
    first = refusals.number(entity, "pos.offsetX", member(pos, "offsetX"), MAX_OFFSET, -MAX_OFFSET) * OFFSET_UNIT
    second = refusals.number(entity, "pos.offsetY", member(pos, "offsetY"), MAX_OFFSET, -MAX_OFFSET) * OFFSET_UNIT
    variance = position_variance(entity, member(common, "posConfidence"), refusals)
    kind = enumerated(entity, "objType", member(common, "objType"), OBJECT_TYPES, refusals)

    seen = SeenObject(
        entity=entity,
        t=t + delta * MS,
        x=first if axes is SdsmAxes.EAST_NORTH else second,
        y=second if axes is SdsmAxes.EAST_NORTH else first,
        id=object_id,
        object_class=CLASS_OF_TYPE[kind or 0],
        var_x=variance,
        var_y=variance,
        speed_sigma=speed_sigma(entity, member(common, "speedConfidence"), refusals),
    )
    set_motion(seen, member(common, "speed"), member(common, "heading"), refusals)
    _set_details(seen, member(item, "detObjOptData"), refusals)

    return seen


def _set_details(seen: SeenObject, details: Any, refusals: Refusals) -> None:
    """Set class and size from what only vehicles, road users on foot, or obstacles have."""
    if details is None:
        return

    found = choice_of(details)
    if found is None or not isinstance(found.value, dict):
        refusals.add(seen.entity, "detObjOptData", details, "must be one of detVeh, detVRU and detObst")
    elif found.name == "detVeh":
        own_class = class_of_vehicle(seen.entity, "vehicleClass", member(found.value, "vehicleClass"), refusals)
        seen.object_class = own_class or seen.object_class
        set_size(seen, member(found.value, "size"), member(found.value, "height"), refusals)
    elif found.name == "detVRU":
        user = enumerated(seen.entity, "basicType", member(found.value, "basicType"), DEVICE_USERS, refusals)
        user_class = None if user is None else CLASS_OF_USER[user]
        seen.object_class = seen.object_class if user_class is None else user_class
    elif found.name == "detObst":
        seen.object_class = C.STATIC
        size = member(found.value, "obstSize")
        for name in ("length", "width", "height"):
            value = member(size, name)
            metres = quantity(
                seen.entity,
                f"obstSize.{name}",
                value,
                unit=OBSTACLE_UNIT,
                high=MAX_OBSTACLE,
                absent=(0,),
                refusals=refusals,
            )

            setattr(seen, name, metres)
    else:
        refusals.add(seen.entity, "detObjOptData", found.name, "must be one of detVeh, detVRU and detObst")


# --- the message's time ---


def _time(stamp: Tree, received: int, refusals: Refusals) -> int:
    """Return ns of a DDateTime. What it leaves out of year, month, day, hour and minute is that of the nearest time
    with the rest of its name. Raises CodeError where it names none."""
    ms = millisecond_of_minute("sDSMTimeStamp", "second", member(stamp, "second"), refusals)
    zone = refusals.optional("sDSMTimeStamp", "offset", member(stamp, "offset"), MAX_ZONE, -MAX_ZONE)
    shift = (zone or 0) * MINUTE
    known = {}

    for name, (high, absent) in DATE_FIELDS.items():
        value = member(stamp, name)
        number = absent if value is None else refusals.number("sDSMTimeStamp", name, value, high)
        known[name] = None if number == absent else number

    candidates = [t + ms * MS - shift for t in _minutes(known, received + shift)]
    candidates = [t for t in candidates if 0 <= t <= MAX_TIME]
    if not candidates:
        raise refusals.error("sDSMTimeStamp", "date", stamp, "is no date of the calendar from 1970 to 2261")

    return min(candidates, key=lambda t: abs(t - received))


def _minutes(known: dict[str, int | None], local: int) -> Iterator[int]:
    """Yield the beginnings (ns) of the minutes about `local` (ns) that have the fields that are known."""
    for day in _days(known, local):
        hours = [known["hour"]] if known["hour"] is not None else range(24)
        for hour in hours:
            if hour is None or hour > 23:
                continue
            minutes = [known["minute"]] if known["minute"] is not None else range(60)
            yield from (day + hour * HOUR + minute * MINUTE for minute in minutes if minute is not None)


def _days(known: dict[str, int | None], local: int) -> Iterator[int]:
    """Yield the beginnings (ns) of the days that have the year, month and day that are known: of those left out, the
    ones next to `local`."""
    today = datetime.fromtimestamp(local // SECOND, UTC)
    year, month, day = known["year"], known["month"], known["day"]
    if year is None and month is None and day is None:
        nearby = [today + timedelta(days=days) for days in (-1, 0, 1)]
        yield from (_day(each.year, each.month, each.day) for each in nearby)
        return

    for some_year in [year] if year is not None else (today.year - 1, today.year, today.year + 1):
        for some_month in [month] if month is not None else range(1, 13):
            for some_day in [day] if day is not None else range(1, 32):
                try:
                    yield _day(some_year, some_month, some_day)
                except ValueError:
                    continue  # no day of the calendar


def _day(year: int, month: int, day: int) -> int:
    return int((datetime(year, month, day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * SECOND
