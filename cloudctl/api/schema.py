"""What the API answers with. The OpenAPI document is made from these, so each field says what it is and its unit.

Times are ns since 1970-01-01 (UTC); a reader whose numbers are doubles (JavaScript) keeps them to a quarter of a
microsecond. Angles are rad, counter-clockwise from east. Positions in m are east and north of the intersection's
origin. null: not known.
"""

from typing import Annotated

from msgspec import Meta, Struct

from ..schema import Advisory
from ..traffic_messages import Revision, Traffic

Time = Annotated[int, Meta(description="ns since 1970-01-01 (UTC)", ge=0, extra_json_schema={"format": "int64"})]
Metres = Annotated[float, Meta(description="m")]
East = Annotated[float, Meta(description="m east of the intersection's origin")]
North = Annotated[float, Meta(description="m north of the intersection's origin")]
Speed = Annotated[float, Meta(description="m/s")]
Angle = Annotated[float, Meta(description="rad, counter-clockwise from east")]
Seconds = Annotated[float, Meta(description="s")]
SquareMetres = Annotated[float, Meta(description="m^2")]
Share = Annotated[float, Meta(description="0 .. 1")]
Degrees = Annotated[float, Meta(description="degrees, WGS-84 / CGCS2000")]
Total = Annotated[int, Meta(ge=0, description="rows of the whole list")]
Offset = Annotated[int, Meta(ge=0, description="rows left out before the first one here")]
Limit = Annotated[int, Meta(ge=0, description="rows here at the most")]
IntersectionId = Annotated[str, Meta(description="city code of the intersection")]


class IntersectionRow(Struct, frozen=True):
    """One intersection at a glance."""

    id: IntersectionId
    name: str
    lat: Degrees  # of the origin
    lon: Degrees
    revision: Annotated[int, Meta(description="of its digital code, in force or the last one that was")]
    in_force: Annotated[bool, Meta(description="whether a revision is in force; else nothing is advised")]
    planned: Annotated[Time | None, Meta(description="ns; when it was last planned")]
    t_sensor: Annotated[Time | None, Meta(description="ns; the newest perception of that plan, at its source")]
    t_signal: Annotated[Time | None, Meta(description="ns; the newest signal states of that plan, at their source")]
    tracks: Annotated[int, Meta(ge=0, description="road users that are tracked")]
    vehicles: Annotated[int, Meta(ge=0, description="connected ones among the tracks")]
    signal_gate: Annotated[str | None, Meta(description="why advice that rests on signals is withheld")]
    perception_gate: Annotated[str | None, Meta(description="why advice that rests on perception is withheld")]


class IntersectionList(Struct, frozen=True):
    """A page of the intersections of a node, in the order of its configuration."""

    total: Total
    offset: Offset
    limit: Limit
    intersections: tuple[IntersectionRow, ...]


class Track(Struct, frozen=True):
    """One road user, predicted to the time of the plan."""

    id: Annotated[int, Meta(ge=0, description="of the track, as long as it lasts")]
    kind: Annotated[str, Meta(description="car, truck, bus, motorcycle, bicycle, pedestrian, static or unknown")]
    kind_p: Annotated[float | None, Meta(description="0 .. 1: how sure that is")]
    existence: Annotated[float | None, Meta(description="0 .. 1: how sure it is that there is something")]
    x: East
    y: North
    lat: Degrees
    lon: Degrees
    var_x: SquareMetres | None
    var_y: SquareMetres | None
    cov_xy: SquareMetres | None
    vx: Annotated[float | None, Meta(description="m/s east")]
    vy: Annotated[float | None, Meta(description="m/s north")]
    speed: Speed | None
    accel: Annotated[float | None, Meta(description="m/s^2 along its direction")]
    heading: Angle | None
    length: Metres | None
    width: Metres | None
    height: Metres | None
    lane: Annotated[str | None, Meta(description="lane or movement of the digital code that it is on")]
    s: Annotated[float | None, Meta(description="m along that")]
    to_stop: Annotated[float | None, Meta(description="m from its front to the stop line; negative beyond it")]
    movement: Annotated[str | None, Meta(description="movement that it will take or is on")]
    vehicle: Annotated[str | None, Meta(description="id of the connected vehicle that it is")]
    sensors: Annotated[tuple[str, ...], Meta(description="what has seen it: unit/sensor, or its own reports")]
    last_seen: Annotated[Time, Meta(description="ns; when it was last seen")]


class TrackList(Struct, frozen=True):
    """The road users of an intersection at its newest plan; `t` is null before the first one."""

    intersection: IntersectionId
    revision: Revision
    t: Time | None
    tracks: tuple[Track, ...]


class SignalGroupState(Struct, frozen=True):
    """One signal group: the state as it was received, the times as far as they may be believed."""

    group: Annotated[int, Meta(description="number of the group in the digital code")]
    kind: Annotated[str, Meta(description="of road users it is for")]
    state: Annotated[str, Meta(description="as in docs/wire.md, in small letters: red, green_protected, ...")]
    min_end: Annotated[Time | None, Meta(description="ns; the state ends no sooner")]
    max_end: Annotated[Time | None, Meta(description="ns; the state ends no later")]
    likely_end: Annotated[Time | None, Meta(description="ns; when the state likely ends")]
    confidence: Annotated[float | None, Meta(description="0 .. 1: of likely_end")]
    next_green: Annotated[Time | None, Meta(description="ns; when the next green likely begins")]
    seen: Annotated[Time | None, Meta(description="ns; the newest message that named the group, at its source")]
    overdue: Annotated[bool, Meta(description="the state has outlasted an end that was promised")]


class SignalList(Struct, frozen=True):
    """The signals of an intersection at its newest plan."""

    intersection: IntersectionId
    revision: Annotated[int | None, Meta(description="of the digital code that the signal messages refer to")]
    t: Time | None
    withheld: Annotated[str | None, Meta(description="why advice that rests on them is withheld")]
    doubt: Annotated[str | None, Meta(description="why single groups are not relied upon")]
    lanes: Annotated[tuple[str, ...] | None, Meta(description="of the revocable ones, those in use")]
    groups: tuple[SignalGroupState, ...]


class TrafficReport(Struct, frozen=True):
    """The newest traffic report of an intersection, made every 10 s; null before the first one."""

    intersection: IntersectionId
    report: Traffic | None


class AdvisoryList(Struct, frozen=True):
    """The advisories of an intersection that are valid now, one per target and kind."""

    intersection: IntersectionId
    t: Time | None
    advisories: tuple[Advisory, ...]


class SensorRow(Struct, frozen=True):
    """One sensor of an intersection, as it delivers and as fusion has found it."""

    name: Annotated[str, Meta(description="unit/sensor")]
    gateway: str
    type: Annotated[str | None, Meta(description="as its gateway's hello says")]
    hz: Annotated[float | None, Meta(description="frames per second that it delivers")]
    declared_hz: Annotated[float | None, Meta(description="frames per second that its gateway declared")]
    silent_s: Annotated[float | None, Meta(description="s since its newest frame was true")]
    age_s: Annotated[float | None, Meta(description="s; how old its frames are when they come")]
    clock_offset: Annotated[int | None, Meta(description="ns; its clock less the gateway's")]
    alive: Annotated[bool | None, Meta(description="as its unit says")]
    temperature: Annotated[float | None, Meta(description="degrees Celsius, as its unit says")]
    trouble: Annotated[str | None, Meta(description="what is wrong with it")]
    bias_x: Annotated[float | None, Meta(description="m east, found by fusion")]
    bias_y: Annotated[float | None, Meta(description="m north, found by fusion")]
    sigma: Annotated[float | None, Meta(description="m, noise found by fusion")]
    lag_s: Annotated[float | None, Meta(description="s, delay of its stamps found by fusion")]
    p_detect: Annotated[float | None, Meta(description="0 .. 1, found by fusion")]


class SensorList(Struct, frozen=True):
    """The sensors of an intersection."""

    intersection: IntersectionId
    t: Time | None
    sensors: tuple[SensorRow, ...]


class GatewayRow(Struct, frozen=True):
    """One gateway that may connect."""

    name: str
    connected: Annotated[bool, Meta(description="it sent something in the last 10 s")]
    last_contact: Annotated[Time | None, Meta(description="ns; when its last message came")]
    rsus: Annotated[dict[str, str], Meta(description="intersection of each of its roadside units")]
    calls_itself: Annotated[str | None, Meta(description="its own words in its last hello")]
    software: Annotated[str | None, Meta(description="its own words in its last hello")]


class GatewayList(Struct, frozen=True):
    """A page of the gateways of a node, in the order of its configuration."""

    total: Total
    offset: Offset
    limit: Limit
    gateways: tuple[GatewayRow, ...]
