"""Advisories as bytes: what vehicles get, what is recorded, what a replay is compared by."""

from collections.abc import Sequence

import msgspec

from .faults import Faults
from .schema import Advisory


def encode(advisory: Advisory) -> bytes:
    """Return an advisory as it goes to vehicles and into recordings (JSON)."""
    return msgspec.json.encode(advisory)


def encode_all(advisories: Sequence[Advisory], faults: Faults) -> list[tuple[Advisory, bytes]]:
    """Return advisories with their bytes, without those that cannot be encoded."""
    out = []
    for advisory in advisories:
        try:
            out.append((advisory, encode(advisory)))
        except Exception as error:
            faults.note("encode", advisory.intersection, error)
    return out
