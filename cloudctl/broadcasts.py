"""Advisories for gateways, which their roadside units send over the air: on the clock of the gateway that gets them, by
which it also knows when one is no longer valid."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from .ingest.gateways import Gateway
from .schema import VERSION, Advisory, Broadcast


def broadcasts(
    t: int, intersection: str, advisories: Sequence[Advisory], names: Iterable[str], gateways: Mapping[str, Gateway]
) -> list[tuple[str, str, Broadcast]]:
    """Return the broadcast of an intersection's advisories of `t` ns for each of the gateways that are named, as
    replies."""
    by_offset: dict[int, Broadcast] = {}  # the clocks of gateways are mostly alike
    replies = []
    for name in names:
        offset = gateways[name].offset
        broadcast = by_offset.get(offset)
        if broadcast is None:
            local = tuple(on_clock(advisory, offset) for advisory in advisories)
            broadcast = by_offset[offset] = Broadcast(VERSION, intersection, t + offset, local)
        replies.append((name, "broadcast", broadcast))

    return replies


def on_clock(advisory: Advisory, offset: int) -> Advisory:
    """Return an advisory whose times are by a clock that is `offset` ns ahead of the node's."""
    if offset == 0:
        return advisory

    inputs = replace(
        advisory.inputs,
        t_sensor=_later(advisory.inputs.t_sensor, offset),
        t_rx=_later(advisory.inputs.t_rx, offset),
    )
    return replace(advisory, t=advisory.t + offset, valid_until=advisory.valid_until + offset, inputs=inputs)


def _later(t: int, offset: int) -> int:
    return t + offset if t else 0  # 0: it rests on no datum
