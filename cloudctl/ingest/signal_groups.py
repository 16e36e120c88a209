"""The groups of a signal message, each read alone: what is wrong in one is refused and named, the others are used.

* A group that does not decode is left out.
* A time that no clock can show, and end times out of order, are left out of their group: its state is used, and
  promises nothing.
* A confidence that is no share is left out likewise.
* Of more groups than have numbers, the first are read.
* The greatest signed and unsigned numbers stand for "not known": no fault, counted.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ..schema import Group
from .rejections import RejectedMessage, decode_each

MAX_GROUPS = 255  # of one message: SignalGroupID of SAE J2735 is 1 to 255. Reading the groups takes time for each
UNKNOWN_TIMES = (2**63 - 1, 2**64 - 1)  # the greatest signed and unsigned numbers, which senders write for "not known"
MIN_END = 946_684_800 * 10**9  # ns, the year 2000: an earlier time is a duration, or in seconds or milliseconds
MAX_END = 2**62  # ns, the year 2116
MAX_DURATION = 3600 * 10**9  # ns of a coming green


class Bounds(NamedTuple):
    """The bounds of a time, both inclusive."""

    low: int
    high: int
    unit: str
    remedy: str


END_BOUNDS = Bounds(
    low=MIN_END,
    high=MAX_END,
    unit="ns (the years 2000 to 2116, in signed 64 bits)",
    remedy="send ns of UTC since 1970, and leave out what is not known",
)
DURATION_BOUNDS = Bounds(
    low=0, high=MAX_DURATION, unit="ns (signed 64 bits)", remedy="send ns, and leave out what is not known"
)

# The times of a group: field, key on the wire, bounds.
TIMES = (
    ("min_end", "mn", END_BOUNDS),
    ("max_end", "mx", END_BOUNDS),
    ("likely_end", "lk", END_BOUNDS),
    ("next_green", "ng", END_BOUNDS),
    ("next_duration", "nd", DURATION_BOUNDS),
)
NO_TIMES = (None,) * len(TIMES)

_decode_all = msgspec.msgpack.Decoder(tuple[Group, ...]).decode
_decode_raw = msgspec.msgpack.Decoder(tuple[msgspec.Raw, ...]).decode
_decode_one = msgspec.msgpack.Decoder(Group).decode


class SignalTimingError(RejectedMessage):
    """The end times of a signal group are out of order; `group` is its number."""

    group = 0


class Groups(NamedTuple):
    """The decoded groups of a message."""

    groups: tuple[Group, ...]
    unknown: int  # end times that stand for "not known"
    refused: tuple[RejectedMessage, ...]  # why each part that was left out was

    @property
    def disordered(self) -> list[SignalTimingError]:
        return [rejection for rejection in self.refused if isinstance(rejection, SignalTimingError)]


def read_groups(data: bytes, offset: int = 0) -> Groups:
    """Return the groups of a message, whose sender's clock is `offset` ns ahead of the node's. Raises
    msgspec.DecodeError where `data` is no array."""
    refused: list[RejectedMessage] = []
    try:
        groups = list(_decode_all(data))
        count = len(groups)
    except msgspec.DecodeError:
        parts = _decode_raw(data)
        count = len(parts)
        groups = decode_each(_decode_one, "g", parts[:MAX_GROUPS], refused)

    if count > MAX_GROUPS:
        beyond = RejectedMessage(
            field="g",
            value=f"{count} groups",
            rule=f"groups have the numbers 1 to {MAX_GROUPS}: of more, the first {MAX_GROUPS} are read",
            remedy="send each group of the intersection once",
        )
        refused.insert(0, beyond)

    return usable_groups(groups[:MAX_GROUPS], refused, offset)


def usable_groups(decoded: Iterable[Group], refused: Iterable[RejectedMessage] = (), offset: int = 0) -> Groups:
    """Return decoded groups without the times and the confidences that cannot be used. `refused`: what was before;
    `offset`: ns by which the times are by a clock ahead of the node's."""
    groups, refused = list(decoded), list(refused)
    unknown = 0
    for index, group in enumerate(groups):
        times = (group.min_end, group.max_end, group.likely_end, group.next_green, group.next_duration)
        if group.confidence is not None and not 0.0 <= group.confidence <= 1.0:
            groups[index] = group = _without_confidence(index, group, refused)

        if times == NO_TIMES:
            continue

        group, unknown_times = _with_usable_times(index, group, refused, offset)
        groups[index] = _with_ordered_ends(index, group, refused)
        unknown += unknown_times

    return Groups(tuple(groups), unknown, tuple(refused))


def _without_confidence(index: int, group: Group, refused: list[RejectedMessage]) -> Group:
    rule = f"of group {group.group} must be within 0 .. 1; it is not used"
    refused.append(RejectedMessage(f"g[{index}].c", group.confidence, rule, "send a share, or leave it out"))
    return msgspec.structs.replace(group, confidence=None)


def _with_usable_times(index: int, group: Group, refused: list[RejectedMessage], offset: int) -> tuple[Group, int]:
    """Return a group without the times that are out of bounds by the node's clock, and how many of those stand for "not
    known"."""
    left_out: dict[str, None] = {}
    unknown = 0
    for name, key, bounds in TIMES:
        value = getattr(group, name)
        if value in UNKNOWN_TIMES:
            left_out[name] = None
            unknown += 1
        elif value is not None and not bounds.low <= value - (offset if bounds is END_BOUNDS else 0) <= bounds.high:
            left_out[name] = None
            rule = f"of group {group.group} must be within {bounds.low} .. {bounds.high} {bounds.unit}; it is not used"
            refused.append(RejectedMessage(f"g[{index}].{key}", value, rule, bounds.remedy))

    if left_out:
        group = msgspec.structs.replace(group, **left_out)

    return group, unknown


def _with_ordered_ends(index: int, group: Group, refused: list[RejectedMessage]) -> Group:
    """Return a group, without its end times where they are out of order: which of them is wrong cannot be known."""
    ends = (group.min_end, group.likely_end, group.max_end)
    known = [end for end in ends if end is not None]
    if known == sorted(known):
        return group

    rejection = SignalTimingError(
        field=f"g[{index}].mn, lk, mx",
        value=", ".join(map(str, ends)),
        rule=f"min_end <= likely_end <= max_end must hold; the end times of group {group.group} are not used",
        remedy="check the end times that the controller gives",
    )
    rejection.group = group.group
    refused.append(rejection)

    return msgspec.structs.replace(group, min_end=None, likely_end=None, max_end=None)
