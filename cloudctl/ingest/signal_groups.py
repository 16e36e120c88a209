"""The groups of a signal message, each read alone: what is wrong in one is refused and named, the others are used.

* A group that does not decode is left out.
* A time that no clock can show, and end times out of order, are left out of their group: its state is used, and promises nothing.
* The greatest signed and unsigned numbers stand for "not known": no fault, counted.
"""

from typing import NamedTuple

import msgspec

from ..schema import Group
from .rejections import RejectedMessage, each_alone

END_UNKNOWN = (
    2**63 - 1,
    2**64 - 1,
)  # the greatest signed and unsigned numbers: senders write them where an end is not known
FIRST_END = 946_684_800 * 10**9  # ns, the year 2000: an earlier time is a duration, or in seconds or milliseconds
LAST_END = 2**62  # ns, the year 2116
MAX_DURATION = 3600 * 10**9  # ns that a coming green can last
OF_AN_END = (
    FIRST_END,
    LAST_END,
    "ns (the years 2000 to 2116, in signed 64 bits)",
    "send ns of UTC since 1970, and leave out what is not known",
)
OF_A_DURATION = (0, MAX_DURATION, "ns (signed 64 bits)", "send ns, and leave out what is not known")
TIMES = (
    ("min_end", "mn", OF_AN_END), ("max_end", "mx", OF_AN_END), ("likely_end", "lk", OF_AN_END), ("next_green", "ng", OF_AN_END),
    ("next_duration", "nd", OF_A_DURATION),
)  # of a group: field, key on the wire, and bounds  # fmt: skip
_decode_all = msgspec.msgpack.Decoder(tuple[Group, ...]).decode
_decode_raw = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...]).decode
_decode_one = msgspec.msgpack.Decoder(Group).decode


class SignalTimingError(RejectedMessage):
    """The end times of a signal group are out of order."""

    group = 0


class Groups(NamedTuple):
    """What was read of a message's groups."""

    groups: tuple[Group, ...]
    unknown: int  # end times that stand for "not known"
    refused: tuple[RejectedMessage, ...]  # what was left out, and why

    @property
    def disordered(self) -> list[SignalTimingError]:
        return [why for why in self.refused if isinstance(why, SignalTimingError)]


def read_groups(data: bytes) -> Groups:
    """Return the groups of a message. Raises msgspec.DecodeError where `data` is no array."""
    refused: list[RejectedMessage] = []
    try:
        groups = list(_decode_all(data))
    except msgspec.DecodeError:
        groups = each_alone(_decode_one, "g", _decode_raw(data), refused)

    unknown = 0
    for k, group in enumerate(groups):
        ends = (group.min_end, group.max_end, group.likely_end, group.next_green, group.next_duration)
        if ends == (None, None, None, None, None):
            continue
        groups[k], left_out = _plausible(k, group, refused)
        unknown += left_out
    return Groups(tuple(groups), unknown, tuple(refused))


def _plausible(k: int, group: Group, refused: list[RejectedMessage]) -> tuple[Group, int]:
    """Return a group without the times that cannot be used, and how many of those stand for "not known"."""
    left_out: dict[str, None] = {}
    unknown = 0
    for name, key, (low, high, unit, remedy) in TIMES:
        value = getattr(group, name)
        if value in END_UNKNOWN:
            left_out[name] = None
            unknown += 1
        elif value is not None and not low <= value <= high:
            left_out[name] = None
            rule = f"of group {group.group} must be within {low} .. {high} {unit}; it is not used"
            refused.append(RejectedMessage(f"g[{k}].{key}", value, rule, remedy))
    if left_out:
        group = msgspec.structs.replace(group, **left_out)

    ends = (group.min_end, group.likely_end, group.max_end)
    known = [end for end in ends if end is not None]
    if known != sorted(known):
        rule = f"min_end <= likely_end <= max_end must hold; the end times of group {group.group} are not used"
        why = SignalTimingError(
            f"g[{k}].mn, lk, mx", ", ".join(map(str, ends)), rule, "check the end times that the controller gives"
        )
        why.group = group.group
        refused.append(why)
        group = msgspec.structs.replace(group, min_end=None, likely_end=None, max_end=None)
    return group, unknown
