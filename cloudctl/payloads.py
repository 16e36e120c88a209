"""Advisories as bytes: as vehicles get them, as they are recorded, and as a replay compares them."""

from collections.abc import Sequence

import msgspec

from .faults import Faults
from .schema import Advisory


def encode(advisory: Advisory) -> bytes:
    """Return an advisory as it goes to vehicles and into recordings (JSON)."""
    return msgspec.json.encode(advisory)


def encode_all(advisories: Sequence[Advisory], faults: Faults) -> list[tuple[Advisory, bytes]]:
    """Return advisories with their bytes, without those that cannot be encoded."""
    encoded = []
    for advisory in advisories:
        try:
            encoded.append((advisory, encode(advisory)))
        except Exception as error:
            faults.note("encode", advisory.intersection, error)

    return encoded
