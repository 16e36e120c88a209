"""Attributes of SUMO elements: numbers, shapes, permissions, limits."""

import re

import numpy as np
from numpy.typing import NDArray

from ...checks.rules import VALUE_LIMITS
from ...findings import LossKind
from ..importing.accounting import XmlRecord
from .access import VCLASS_NAMES, allowed_vclasses

BIT_STRING = re.compile("[01]*")
MIN_LIMIT, MAX_LIMIT = VALUE_LIMITS["speed_max"]  # m/s
# m/s on a path through a junction: what netconvert gives the tightest turns, and no limit of a rule
MIN_PATH_SPEED = 0.01


def number_pair(record: XmlRecord, name: str) -> tuple[float, float]:
    x, y = number_list(record, name, record.get(name, "0,0"), size=2)
    return x, y


def number_list(record: XmlRecord, name: str, text: str, size: int) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []

    if len(numbers) != size or not np.isfinite(numbers).all():
        raise record.refuse(name, text, f"must be {size} numbers with commas between")

    return numbers


def read_permissions(record: XmlRecord) -> tuple[frozenset[str], bool]:
    """Return the vClasses that may use a lane or a connection, and whether it states any: unknown words in `disallow`
    exclude nothing."""
    reserved = bool(record.get("allow").strip())
    if reserved and record.get("disallow").strip():
        record.accounts.enter(
            LossKind.DIFFERS,
            f"{record.tag}@disallow",
            "stands beside allow: allow is taken alone, as SUMO has it",
            str(record),
        )

    allow, disallow = record.words("allow", VCLASS_NAMES), record.words("disallow", VCLASS_NAMES)
    return allowed_vclasses(allow, disallow, reserved), reserved or bool(allow or disallow)


def read_limit(record: XmlRecord, default: float | None = None, lowest: float = MIN_LIMIT) -> float:
    """Return a limit in m/s; one that a code cannot have is reported, and the nearest that it can is taken."""
    speed = record.number("speed", default)
    limit = min(max(speed, lowest), MAX_LIMIT)
    if limit != speed:
        record.unknown(
            "speed",
            record.get("speed"),
            f"{'higher' if speed > limit else 'lower'} than any limit of a code: {limit:g} m/s is taken",
        )

    return limit


def read_parameters(record: XmlRecord) -> None:
    """Read the free parameters of an element: the ids that OpenStreetMap and others have for it carry nothing; the rest
    is reported."""
    for row in record.children("param"):
        key = row.get("key")
        row.ignore("value", "goes with the key")
        if not key.startswith("orig"):
            row.unknown("key", key, "left out")


def read_shape(record: XmlRecord) -> NDArray[np.float64]:
    text = record.need("shape")
    try:
        rows = [[float(value) for value in point.split(",")] for point in text.split()]
        shape = np.array([row[: min(map(len, rows))] for row in rows])
    except ValueError:
        shape = np.empty((0, 0))

    if len(shape) < 2 or shape.shape[1] < 2 or not np.isfinite(shape).all():
        raise record.refuse("shape", text[:60], "must be two points or more, as x,y or x,y,z")

    return shape


def whole_number(record: XmlRecord, name: str) -> int:
    number = record.number(name)
    if number != int(number) or number < 0:
        raise record.refuse(name, record.get(name), "must be a whole number from 0")
    return int(number)
