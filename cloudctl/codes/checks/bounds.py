"""Checks of every number and text of a code by its type: what no reader can hold, and ids that look alike or
quoted."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from ..findings import Finding, Severity
from ..model import IntersectionCode

INT64 = (-(2**63), 2**63 - 1)  # what JSON readers, MessagePack and the compiled arrays hold
FIELD_BOUNDS: dict[str, tuple[int, int]] = {
    "priority": (-1_000_000, 1_000_000),
    "channels": (0, 65_535),  # columns of a controller; SUMO counts its links from 0
    "offset_ms": (-86_400_000, 86_400_000),  # a day: no programme is longer
    "revision": (1, 2**31 - 1),  # the compiled arrays and most databases hold it as int32
}
# 1e-7 degree; where a point may lie is measured later, with whole numbers that a float64 holds
MAX_COORDINATE = 2**53
# Characters of one text: a regulation's paragraph; a code is published retained, whole
MAX_TEXT_LENGTH = 4_000
MAX_ID_LENGTH = 64  # characters
ID = re.compile(r"[^\W_][\w.:\-]*", re.ASCII)
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
# In the JSON of a code, what may be a fault: an escape of what cannot be printed, or one that hides where a text ends
SUSPECT_ESCAPE = re.compile(rb'\\(?:u00|[bfr"])')
DELETE = b"\x7f"
QUOTATION_MARK = ord('"')
MANY_DIGITS = b"0" * 16  # with every digit taken as 0
TO_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
TABLES_WITH_IDS = ("links", "lanes", "connections", "nodes", "zones", "devices", "crosswalks", "rules")


def bound_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield numbers and texts that are beyond what their field can be, and ids that are none."""
    if _is_suspect(code):
        yield from _fields(code, "code", "")

    for table in TABLES_WITH_IDS:
        for row in getattr(code, table):
            if not (ID.fullmatch(row.id) and len(row.id) <= MAX_ID_LENGTH):
                yield _fault(
                    row.id or f"{table[:-1]} without id",
                    "id",
                    row.id[:40] or "empty",
                    f"ids are 1 .. {MAX_ID_LENGTH} letters, digits and . : _ - of ASCII, a letter or digit first",
                    "give it another, as " + ("R20" if table == "rules" else "L7 or Z1"),
                )


def _is_suspect(code: IntersectionCode) -> bool:
    """Return whether a code may have a fault here, judged by its text: to walk through every field takes as long as all
    other checks."""
    try:
        data = msgspec.json.encode(code)
    except (UnicodeEncodeError, OverflowError):
        return True

    if SUSPECT_ESCAPE.search(data) is not None or DELETE in data or MANY_DIGITS in data.translate(TO_ZERO):
        return True
    # Texts, keys too, lie between every other pair of quotation marks: none is escaped.
    marks = np.flatnonzero(np.frombuffer(data, np.uint8) == QUOTATION_MARK)
    if (marks[1::2] - marks[::2] - 1).max(initial=0) > MAX_TEXT_LENGTH:
        return True

    bounded = [
        ("revision", code.revision),
        *(("priority", rule.priority) for rule in code.rules),
        *(("offset_ms", plan.offset_ms) for plan in code.plans),
    ]

    bounded += [("channels", channel) for group in code.signal_groups for channel in group.channels]
    bounds = ((FIELD_BOUNDS.get(field, INT64), value) for field, value in bounded)
    return not all(low <= value <= high for (low, high), value in bounds)


def _fault(entity: str, field: str, value: object, rule: str, remedy: str) -> Finding:
    return Finding(entity=entity, field=field, value=shown(value), rule=rule, severity=Severity.ERROR, remedy=remedy)


def shown(value: object) -> str:
    """Return a value as a finding shows it: at most 40 characters, a number of many digits by its size."""
    if isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, int) and abs(value) > 10**25 and abs(value) < 10**300:
        text = f"{value:.6e}"
    else:
        text = repr(value)

    return text if len(text) <= 40 else text[:37] + "..."


def _fields(struct: Struct, entity: str, path: str) -> Iterator[Finding]:
    for field in struct.__struct_fields__:
        yield from _value(getattr(struct, field), entity, field, f"{path}{field}")


def _value(value: Any, entity: str, field: str, path: str) -> Iterator[Finding]:
    """Yield the faults of one value; of a table, those of each row."""
    if isinstance(value, tuple) and value and isinstance(value[0], Struct):
        for index, row in enumerate(value):
            row_id = getattr(row, "id", None)
            row_name = f"group {row_id}" if isinstance(row_id, int) else row_id or entity
            yield from _fields(row, row_name, "" if row_id else f"{path}[{index}].")
    # Lines have thousands of points: one finding for the first that is misplaced, not one for each
    elif isinstance(value, tuple) and field in ("points", "axis", "polygon"):
        misplaced = next((point for point in value if max(map(abs, point)) > MAX_COORDINATE), None)
        if misplaced is not None:
            yield _fault(
                entity, path, misplaced, "is no place: coordinates are 1e-7 degree", "check order, unit and datum"
            )
    elif isinstance(value, tuple):
        for element in value:
            yield from _value(element, entity, field, path)
    elif isinstance(value, Struct):
        yield from _fields(value, entity, f"{path}.")
    # To Python a bool is an int
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        low, high = FIELD_BOUNDS.get(field, INT64)
        if not low <= value <= high:
            yield _fault(entity, path, value, f"must be a whole number within {low} .. {high}", "correct it")
    elif isinstance(value, str) and (len(value) > MAX_TEXT_LENGTH or UNPRINTABLE.search(value)):
        if len(value) > MAX_TEXT_LENGTH:
            rule = f"a text has at most {MAX_TEXT_LENGTH} characters"
        else:
            rule = "holds a character that cannot be printed"

        yield _fault(
            entity,
            path,
            value[:40],
            rule,
            "shorten it; the regulation itself belongs elsewhere" if len(value) > MAX_TEXT_LENGTH else "take it out",
        )
