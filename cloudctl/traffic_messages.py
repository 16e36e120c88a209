"""The traffic of an intersection, as it is published to vehicles and on the node's status."""

from typing import Annotated

from msgspec import Meta, Struct

from .schema import VERSION

Flow = Annotated[float, Meta(description="vehicles/h that passed the stop line")]
Delay = Annotated[float, Meta(description="s, control delay of the vehicles that passed the stop line")]
Level = Annotated[str, Meta(description="level of service, A to F, by the delay")]
ArrivedOnGreen = Annotated[float, Meta(description="0 .. 1: share of the vehicles that arrived on green")]
Revision = Annotated[int, Meta(description="of the digital code")]
Time = Annotated[int, Meta(description="ns since 1970-01-01 (UTC)")]


class LaneTraffic(Struct, frozen=True):
    """The traffic of one lane before its stop line; None where no vehicle was there to measure by."""

    lane: str
    flow: Flow
    delay: Delay | None
    level: Level | None
    on_green: ArrivedOnGreen | None
    speed: Annotated[float | None, Meta(description="m/s, mean of the vehicles before the stop line")]
    density: Annotated[float, Meta(description="vehicles/km")]
    queue_m: Annotated[
        float, Meta(description="m from the stop line to the tail of the standing queue, at its longest")
    ]
    queue: Annotated[int, Meta(description="standing vehicles, at the most")]


class MovementTraffic(Struct, frozen=True):
    """The traffic of one movement."""

    connection: str
    flow: Flow
    delay: Delay | None
    level: Level | None
    on_green: ArrivedOnGreen | None


class Incident(Struct, frozen=True):
    """An incident: a vehicle that stands for no reason of traffic."""

    kind: str
    lane: str
    distance: Annotated[float, Meta(description="m before the stop line")]
    since: Time
    track: Annotated[int, Meta(description="id of the track")]
    lat: Annotated[float, Meta(description="degrees, WGS-84 / CGCS2000")]
    lon: Annotated[float, Meta(description="degrees, WGS-84 / CGCS2000")]


class Traffic(Struct, frozen=True):
    """The traffic of one intersection, as published every 10 s."""

    intersection: str
    revision: Revision
    t: Time
    lanes: tuple[LaneTraffic, ...]
    movements: tuple[MovementTraffic, ...]
    incidents: tuple[Incident, ...]
    version: Annotated[int, Meta(description="of the wire")] = VERSION
