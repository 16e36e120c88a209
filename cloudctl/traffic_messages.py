"""The traffic of an intersection, as it is published to vehicles and on the node's status."""

from msgspec import Struct

from .schema import VERSION


class LaneTraffic(Struct, frozen=True):
    """The traffic of one lane before its stop line; None where no vehicle was there to measure by."""

    lane: str
    flow: float  # vehicles/h that passed the stop line
    delay: float | None  # s, control delay of those
    level: str | None  # of service, A to F, by that delay
    on_green: float | None  # share of those that arrived on green
    speed: float | None  # m/s, mean of the vehicles before the stop line
    density: float  # vehicles/km
    queue_m: float  # m from the stop line to the tail of the standing queue, at its longest
    queue: int  # standing vehicles, at the most


class MovementTraffic(Struct, frozen=True):
    """The traffic of one movement."""

    connection: str
    flow: float  # vehicles/h
    delay: float | None  # s
    level: str | None
    on_green: float | None


class Incident(Struct, frozen=True):
    """An incident: a vehicle that stands for no reason of traffic."""

    kind: str
    lane: str
    distance: float  # m before the stop line
    since: int  # ns
    track: int
    lat: float
    lon: float


class Traffic(Struct, frozen=True):
    """The traffic of one intersection, as published every 10 s."""

    intersection: str
    revision: int
    t: int
    lanes: tuple[LaneTraffic, ...]
    movements: tuple[MovementTraffic, ...]
    incidents: tuple[Incident, ...]
    version: int = VERSION
