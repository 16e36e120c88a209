"""Objects of one perception message, however a standard writes them, and the frame of ours that they become.

Each object of a message may have been measured at a time of its own; a frame of ours has one. The frame's is that of
the newest object; the others are moved there by their own velocity, and their variances grow by what that velocity is
uncertain: var += (sigma_v * dt)^2. Where no velocity was measured, the position stays and sigma_v is UNKNOWN_SPEED.
"""

from collections.abc import Callable, Iterable, Sequence
from math import isnan, nan
from typing import Any, Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..clock import SECOND
from ..codes.findings import CodeError, Finding, refuse
from ..codes.formats.messages.tree import MALFORMED
from ..geo import Origin
from ..schema import MAX_OBJECTS, ObjectClass
from ..signals.spat_fields import Refusals, shown
from ..topics import TOPICS
from .fields import Position

UNKNOWN_SPEED: Final = 5.0  # m/s, 1 sigma per axis, of an object whose velocity was not measured
DEFAULT_SPEED_SIGMA: Final = 1.0  # m/s, of a measured velocity whose accuracy is not given
MAX_SPREAD: Final = TOPICS["perception"].max_age  # ns between an object and the message's others: more is stale
MAX_CORRELATION: Final = 0.99  # "full" correlation is one rounded to hundredths: a covariance must stay invertible


class SeenObject(Struct, kw_only=True):
    """One object as it was measured at `t`: our units and angles, NaN where not measured."""

    entity: str  # what it is called in a refusal
    t: int  # ns
    x: float  # m east of the message's reference
    y: float  # m north
    id: int
    object_class: ObjectClass = ObjectClass.UNKNOWN
    vx: float = nan  # m/s
    vy: float = nan
    speed_sigma: float = DEFAULT_SPEED_SIGMA  # m/s per axis
    heading: float = nan  # rad, counter-clockwise from east
    length: float = nan  # m
    width: float = nan
    height: float = nan
    var_x: float = nan  # m^2
    var_y: float = nan
    cov_xy: float = nan
    confidence: float = nan  # 0..1, that it exists


class ReadMessage(NamedTuple):
    """One message as its standard's module reads it. `objects` is None where it says nothing of objects."""

    reference: Position
    objects: list[SeenObject] | None
    t: int | None = None  # ns, that the message itself has; None: its standard gives none but its objects'


class PerceptionFrame(NamedTuple):
    """What is to be sent of a message, or of several that are one frame, and what was refused of them."""

    t: int  # ns
    origin: Position
    columns: dict[str, NDArray[Any]] | None  # None: the message has no objects container, and nothing is sent
    refused: tuple[Finding, ...]
    lost: int  # objects that were refused


def read_objects(
    items: Any, read: Callable[[Any, str], SeenObject | None], field: str, refusals: Refusals
) -> list[SeenObject]:
    """Return the objects of a list that can be read; what is wrong with the others is noted. `read` gets an item and
    what to call it, and returns None for what is no object. Raises CodeError for what is no list."""
    if not isinstance(items, list | tuple):
        raise refusals.error(refusals.where, field, items, "must be a list")

    objects = []
    for number, item in enumerate(items):
        entity = f"{field}[{number}]"
        try:
            seen = read(item, entity)
        except CodeError as error:
            refusals.take(error)
            refusals.unread += 1
        except MALFORMED as error:
            refusals.add(entity, "fields", shown(item), f"is not as the standard has it ({error!r:.60})")
            refusals.unread += 1
        else:
            if seen is not None:
                objects.append(seen)

    return objects


def frame_of(messages: Sequence[ReadMessage], refusals: Refusals, received: int) -> PerceptionFrame:
    """Return one frame of messages that belong together. Raises CodeError where none of their objects can be used: an
    empty frame would say that there is nothing to see."""
    origin = messages[0].reference
    lists = [message for message in messages if message.objects is not None]
    if not lists:
        return PerceptionFrame(received, origin, None, tuple(refusals.all()), 0)

    objects = [seen for message in lists for seen in _around(origin, message)]
    objects = _of_one_time(objects, refusals)
    if len(objects) > MAX_OBJECTS:
        rule = f"a frame holds {MAX_OBJECTS}: the others are left out"
        refusals.add(refusals.where, "objects", len(objects), rule, "send fewer in one frame")
        refusals.unread += len(objects) - MAX_OBJECTS
        objects = objects[:MAX_OBJECTS]

    if not objects and refusals.unread:
        raise CodeError(refusals.where, refusals.all())

    t = max((seen.t for seen in objects), default=_time_of_nothing(lists, received))
    columns = _columns([_moved(seen, t) for seen in objects])
    return PerceptionFrame(t, origin, columns, tuple(refusals.all()), refusals.unread)


def _time_of_nothing(messages: Sequence[ReadMessage], received: int) -> int:
    """Return when messages without objects saw nothing, ns: an old one must not deny what was seen since."""
    return max((message.t for message in messages if message.t is not None), default=received)


def correlated(correlation: float, var_x: float, var_y: float) -> float:
    """Return the covariance of a correlation (-1..1), NaN where one of them is not known."""
    bounded = correlation if isnan(correlation) else min(max(correlation, -MAX_CORRELATION), MAX_CORRELATION)
    return float(bounded * np.sqrt(var_x * var_y))


def no_object_error(where: str, rule: str, value: object, remedy: str = "correct the sender") -> CodeError:
    """Return the error for a message that cannot be used at all."""
    return refuse(where, where, "message", shown(value), rule, remedy)


def _around(origin: Position, message: ReadMessage) -> Iterable[SeenObject]:
    """Return a message's objects around the origin of the frame."""
    objects = message.objects or []
    if message.reference == origin:
        return objects

    lat, lon = Origin(*message.reference).to_geodetic([seen.x for seen in objects], [seen.y for seen in objects])
    east, north = Origin(*origin).to_local(lat, lon)
    for seen, x, y in zip(objects, east, north, strict=True):
        seen.x, seen.y = float(x), float(y)

    return objects


def _of_one_time(objects: list[SeenObject], refusals: Refusals) -> list[SeenObject]:
    """Return the objects measured about when the others were: those within MAX_SPREAD of their median."""
    if not objects:
        return []

    middle = sorted(seen.t for seen in objects)[len(objects) // 2]
    kept = []
    for seen in objects:
        if abs(seen.t - middle) <= MAX_SPREAD:
            kept.append(seen)
            continue

        seconds = (seen.t - middle) / SECOND
        rule = f"is {seconds:+.1f} s from the others of the message; at most {MAX_SPREAD / SECOND:g} s can be bridged"
        refusals.add(seen.entity, "time", f"{seconds:+.3f} s", rule, "send each object soon after it was measured")
        refusals.unread += 1

    return kept


def _moved(seen: SeenObject, t: int) -> SeenObject:
    """Return an object as it was at `t` (ns), by its own velocity."""
    dt = (t - seen.t) / SECOND
    if dt == 0.0:
        return seen

    growth = (seen.speed_sigma * dt) ** 2
    if isnan(seen.vx) or isnan(seen.vy):
        growth = (UNKNOWN_SPEED * dt) ** 2
        if isnan(seen.var_x):
            seen.var_x = seen.var_y = 1.0  # m^2: the frame's default would deny that it is older
    else:
        seen.x += seen.vx * dt
        seen.y += seen.vy * dt

    seen.var_x += growth
    seen.var_y += growth
    return seen


def _columns(objects: list[SeenObject]) -> dict[str, NDArray[Any]]:
    names = ("x", "y", "vx", "vy", "heading", "length", "width", "height", "var_x", "var_y", "cov_xy", "confidence")
    columns: dict[str, NDArray[Any]] = {
        name: np.array([getattr(seen, name) for seen in objects], np.float64) for name in names
    }
    columns["id"] = np.array([seen.id for seen in objects], np.uint32)
    columns["class"] = np.array([int(seen.object_class) for seen in objects], np.uint8)
    return columns
