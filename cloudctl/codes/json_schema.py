"""The JSON Schema (2020-12) of a digital code: its types, the words that fields may have, and no further keys in any
object."""

from collections.abc import Sequence
from typing import Any

import msgspec

from .model import (
    ALIAS_KINDS,
    CONFLICTS,
    CONTROLS,
    DEVICE_KINDS,
    FORMATS,
    GROUP_KINDS,
    ROLES,
    TURNS,
    USES,
    ZONE_KINDS,
    IntersectionCode,
)
from .rule import CLASSES, FUELS, ON_HOLIDAYS, ON_MAKE_UP_DAYS, RULE_KINDS

# What fields, or the items of fields that are lists, may be
ALLOWED_VALUES: dict[tuple[str, str], Sequence[object]] = {
    ("IntersectionCode", "control"): CONTROLS,
    ("IntersectionCode", "format"): FORMATS,
    ("Node", "control"): CONTROLS,
    ("Link", "role"): ROLES,
    ("Lane", "use"): USES,
    ("Lane", "shared"): USES,
    ("Connection", "turn"): TURNS,
    ("Conflict", "kind"): CONFLICTS,
    ("SignalGroup", "kind"): GROUP_KINDS,
    ("Alias", "kind"): ALIAS_KINDS,
    ("Zone", "kind"): ZONE_KINDS,
    ("Device", "kind"): DEVICE_KINDS,
    ("Rule", "kind"): RULE_KINDS,
    ("Rule", "classes"): CLASSES,
    ("Rule", "except_classes"): CLASSES,
    ("Rule", "fuels"): FUELS,
    ("Rule", "except_fuels"): FUELS,
    ("Rule", "plates"): range(10),
    ("Calendar", "weekdays"): range(1, 8),
    ("Calendar", "month_days"): range(1, 32),
    ("Calendar", "holidays"): ON_HOLIDAYS,
    ("Calendar", "make_up"): ON_MAKE_UP_DAYS,
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a digital code."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **msgspec.json.schema(IntersectionCode),
    }
    for (struct, field), values in ALLOWED_VALUES.items():
        property_schema = schema["$defs"][struct]["properties"][field]
        (property_schema["items"] if property_schema["type"] == "array" else property_schema)["enum"] = list(values)

    return schema
