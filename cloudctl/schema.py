"""The messages that cross a process edge; `topics` has the one table of their kinds, `traffic_messages` the figures of
traffic.

Times are integer nanoseconds since the Unix epoch (UTC). Angles are radians, counter-clockwise from east. Distances are
metres, speeds m/s. On the ZeroMQ side bodies are msgpack maps with the short keys below; on the MQTT side they are JSON
objects with the field names.
"""

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import Meta, Struct

from .rule_fields import Declared

VERSION: Final = 1
MAX_OBJECTS: Final = 1024  # of one perception message
MAX_BODY: Final = 256 * 1024  # bytes of one message
OBJECT_BYTES: Final = 57  # of one object in a block: 14 columns of 4 bytes, then the class column of 1
MAX_NAME: Final = 64  # characters of an id
MAX_SENSORS: Final = 31  # of one intersection
MAX_VERTICES: Final = 64  # of a hazard's polygon
MAX_KINDS: Final = 16  # of messages, whose numbers a node tells a gateway
MAX_MOVEMENTS: Final = 32  # that a vehicle declares

CAR_LENGTH: Final = 4.8  # m; of a vehicle that does not send its own
CAR_WIDTH: Final = 1.8

# Names and texts of a sender are kept, so their length is bounded; a longer one does not decode.
Name = Annotated[str, Meta(max_length=MAX_NAME)]
Text = Annotated[str, Meta(max_length=200)]

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]  # a larger number does not decode

# The columns of a perception block, in wire order: each column whole, little-endian, the class column last.
COLUMNS: Final = (
    "id",
    "confidence",
    "x",
    "y",
    "z",
    "vx",
    "vy",
    "heading",
    "length",
    "width",
    "height",
    "var_x",
    "var_y",
    "cov_xy",
    "class",
)


class ObjectClass(IntEnum):
    """What a road user is; the `class` column of perception."""

    UNKNOWN = 0
    CAR = 1
    TRUCK = 2
    BUS = 3
    MOTORCYCLE = 4
    BICYCLE = 5
    PEDESTRIAN = 6
    STATIC = 7


class SignalState(IntEnum):
    """What a signal group shows: the union of the J2735 and YD/T 3709 states."""

    UNKNOWN = 0
    DARK = 1
    RED = 2
    RED_FLASH = 3
    PRE_MOVEMENT = 4
    GREEN_PERMISSIVE = 5
    GREEN_PROTECTED = 6
    GREEN_FLASH = 7
    YELLOW_PERMISSIVE = 8
    YELLOW_PROTECTED = 9
    YELLOW_FLASH = 10


class RawMessage(NamedTuple):
    """One message on its way into a node: a kind of `TOPICS`, its proven sender, its undecoded body."""

    kind: str
    sender: str
    body: bytes


# --- RSU gateway <-> node (ZeroMQ) ---


class Sensor(Struct, frozen=True):
    """One sensor of a roadside unit: its position and field of view."""

    id: Name
    # "tracks": it sends tracks with ids of their own, not detections; any other name is for the operator only
    type: Name = "camera"
    lat: float | None = None
    lon: float | None = None
    heading: float = 0.0  # rad; the middle of the field of view
    fov: float = 6.2831853  # rad
    range: float = 150.0  # m
    hz: float | None = None  # frames per second; None or below 0.01: it sends on events, and its silence is no fault


class Hello(
    Struct, frozen=True, rename={"version": "v", "gateway": "g", "rsus": "r", "sensors": "s", "software": "sw"}
):
    """A gateway introduces itself and its sensors, before anything else."""

    version: int
    gateway: Text
    rsus: tuple[str, ...]
    sensors: Annotated[tuple[Sensor, ...], Meta(max_length=MAX_SENSORS)] = ()
    software: Text = ""


class Perception(Struct, frozen=True, rename={"version": "v", "rsu": "r", "sensor": "s", "seq": "q", "objects": "o"}):
    """The objects that one sensor detected at `t`, around the origin: a block of columns (bin) or a list of maps."""

    version: int
    rsu: str
    sensor: Name
    seq: Int64
    t: Int64
    lat: float
    lon: float
    objects: msgspec.Raw
    frame: Literal["ENU"] = "ENU"


class Group(
    Struct,
    frozen=True,
    rename={
        "group": "g",
        "state": "s",
        "min_end": "mn",
        "max_end": "mx",
        "likely_end": "lk",
        "confidence": "c",
        "next_green": "ng",
        "next_duration": "nd",
    },
):
    """One signal group: its state and when that ends. A time that is not known is None."""

    group: int
    state: SignalState
    min_end: int | None = None
    max_end: int | None = None
    likely_end: int | None = None
    confidence: float | None = None  # 0..1, of likely_end
    next_green: int | None = None  # when the next green (not the present one) is likely to begin
    next_duration: int | None = None  # ns; how long that green is likely to last


SIGNAL_KEYS = {
    "version": "v",
    "rsu": "r",
    "intersection": "i",
    "revision": "rev",
    "seq": "q",
    "groups": "g",
    "lanes": "ln",
}


class Signal(Struct, frozen=True, rename=SIGNAL_KEYS):
    """The signal states of one intersection at `t`, and which of its revocable lanes are in use (None: not known)."""

    version: int
    rsu: str
    intersection: str
    revision: Int64
    seq: Int64
    t: Int64
    groups: tuple[Group, ...]
    lanes: tuple[str, ...] | None = None


class Hazard(Struct, frozen=True, rename={"version": "v", "rsu": "r", "priority": "p"}):
    """Something on the road that vehicles should know of, from `start` to `end`, on a lane or within a polygon, or
    both."""

    version: int
    rsu: str
    id: Name
    kind: Name
    t: Int64
    start: Int64
    end: Int64
    lane: Name | None = None
    s: tuple[float, float] | None = None  # m along the lane; None: all of it
    polygon: Annotated[tuple[tuple[float, float], ...], Meta(max_length=MAX_VERTICES)] | None = None  # (lat, lon)
    priority: Int64 = 0  # of several ahead of one vehicle it is warned of the highest, then of the nearest
    text: Text = ""


class SensorHealth(Struct, frozen=True):
    """The state of one sensor."""

    id: Name
    alive: bool
    hz: float | None = None  # the rate it delivers
    temperature: float | None = None  # degrees Celsius
    clock_offset: Int64 | None = None  # ns, its clock less the gateway's, by the gateway's own estimate


class Health(Struct, frozen=True, rename={"version": "v", "rsu": "r", "sensors": "s"}):
    """The state of the sensors of a roadside unit."""

    version: int
    rsu: str
    t: Int64
    sensors: Annotated[tuple[SensorHealth, ...], Meta(max_length=MAX_SENSORS)] = ()


class Sync(Struct, frozen=True, rename={"version": "v", "gateway": "g", "accepted": "n"}):
    """Clock comparison: the gateway sends t1; the node answers t2 (received) and t3 (sent); the gateway's next carries
    t4.

    The node's answer also says how many messages of each kind it has accepted of this gateway since it started.
    """

    version: int
    gateway: Text
    t1: Int64
    t2: Int64 | None = None
    t3: Int64 | None = None
    t4: Int64 | None = None
    accepted: Annotated[dict[str, int], Meta(max_length=MAX_KINDS)] | None = None


class Reject(Struct, frozen=True, rename={"version": "v"}):
    """Why the node refused a message: the field, its value, the rule it breaks and the remedy."""

    version: int
    kind: str
    seq: int | None
    field: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        seq = "" if self.seq is None else f" seq {self.seq}"
        return f"{self.kind}{seq}: {self.field} = {self.value}: {self.rule}. {self.remedy}"


class Broadcast(Struct, frozen=True, rename={"version": "v", "intersection": "i", "advisories": "a"}):
    """Advisories for the RSU to send over the air."""

    version: int
    intersection: str
    t: Int64
    advisories: tuple["Advisory", ...]


class PriorityAction(StrEnum):
    """What a signal controller is asked for."""

    EXTEND = "extend"  # a green that lasts longer
    EARLY = "early"  # a green that begins sooner
    RELEASE = "release"  # nothing any more


class Priority(Struct, frozen=True, rename={"version": "v", "intersection": "i", "request": "q", "group": "g"}):
    """A request of the node to a signal controller for a vehicle. A request only: minimum times and clearances are the
    controller's."""

    version: int
    intersection: str
    t: Int64
    request: str  # id
    kind: str  # the vehicle's class
    group: int
    action: PriorityAction
    at: int  # ns; extend: green until then; early: green from then on; release: nothing is asked any more


# --- node <-> vehicle (MQTT) ---


class VehicleState(Declared, frozen=True, forbid_unknown_fields=False):
    """The state of a connected vehicle, as it reports it."""

    t: Int64
    lat: float
    lon: float
    speed: float
    heading: float  # rad, counter-clockwise from east
    kind: str = "car"  # a vehicle class of the rules: car, taxi, bus, truck, ...
    length: float = CAR_LENGTH
    width: float = CAR_WIDTH
    accuracy: float = 1.0  # m, one standard deviation per axis
    # Connections it will take, next first: whole city codes, or ids where one intersection is meant. Empty: it leaves
    # the road before the next intersection; null: not known.
    movements: Annotated[tuple[Name, ...], Meta(max_length=MAX_MOVEMENTS)] | None = None
    automated: bool = False
    version: int = VERSION


class VehicleRequest(Struct, frozen=True):
    """A vehicle requests signal priority, or cancels its request."""

    t: Int64
    id: Name
    intersection: Name
    movement: Name
    eta: Int64
    action: Literal["request", "cancel"] = "request"
    version: int = VERSION


class Ack(Struct, frozen=True):
    """The outcome of an advisory in a vehicle."""

    t: Int64
    advisory: Annotated[str, Meta(max_length=128)]
    outcome: Literal["applied", "declined", "expired"]
    version: int = VERSION


class AdvisoryKind(StrEnum):
    """The subject of an advisory."""

    __hash__ = str.__hash__  # an enum's own is written in Python: it would be half of each look-up by kind

    GLOSA = "glosa"
    SIGNAL_STOP = "signal_stop"
    RED_LIGHT = "red_light"
    RED_LIGHT_CROSSING = "red_light_crossing"
    COLLISION = "collision"
    PEDESTRIAN = "pedestrian"
    QUEUE = "queue"
    HAZARD = "hazard"
    RULE = "rule"
    EMERGENCY = "emergency"
    WRONG_WAY = "wrong_way"
    FORWARD_COLLISION = "forward_collision"
    STOPPED_VEHICLE = "stopped_vehicle"
    KEEP_CLEAR = "keep_clear"
    BLIND_SPOT = "blind_spot"
    PASSING_ORDER = "passing_order"
    PRIORITY = "priority"
    TOLL = "toll"
    DYNAMIC_LANE = "dynamic_lane"
    DEGRADED = "degraded"


class Behaviour(StrEnum):
    """What an advisory asks a driver to do."""

    KEEP = "keep"  # this speed
    COAST = "coast"  # slow down with the foot off the throttle
    SLOW_DOWN = "slow_down"  # brake
    SPEED_UP = "speed_up"
    STOP = "stop"
    GIVE_WAY = "give_way"
    CHANGE_LEFT = "change_left"
    CHANGE_RIGHT = "change_right"


class Severity(IntEnum):
    """How urgent an advisory is (ETSI TS 101 539-1)."""

    ACT_NOW = 0
    SOON = 1
    INFORMATION = 2


class PriorityStatus(StrEnum):
    """How far a request for signal priority has come (SAE J2735, PrioritizationResponseStatus); the last four end
    it."""

    PROCESSING = "processing"
    GRANTED = "granted"
    RESERVICE_LOCKED = "reserviceLocked"
    REJECTED = "rejected"
    MAX_PRESENCE = "maxPresence"
    SERVED = "served"
    CANCELLED = "cancelled"


VEHICLE_TARGET = "vehicle:"
INTERSECTION_TARGET = "intersection:"


def vehicle_target(vehicle: str) -> str:
    """Return the target of advisories for one vehicle."""
    return VEHICLE_TARGET + vehicle


def intersection_target(intersection: str) -> str:
    """Return the target of advisories for every vehicle at an intersection."""
    return INTERSECTION_TARGET + intersection


class Inputs(Struct, frozen=True):
    """The inputs that an advisory is based on."""

    revision: Annotated[int, Meta(description="of the digital code")]
    signal_seq: Annotated[int | None, Meta(description="of the signal message")] = None
    tracks: Annotated[tuple[int, ...], Meta(description="ids of the tracks")] = ()
    t_sensor: Annotated[int, Meta(description="ns since 1970 (UTC); the newest datum used, at its source")] = 0
    t_rx: Annotated[int, Meta(description="ns since 1970 (UTC); when the node received it")] = 0


class Advisory(Struct, frozen=True, omit_defaults=True):
    """Advice to one vehicle, or to everyone on a lane or movement. Never a command: the vehicle decides."""

    id: str
    kind: AdvisoryKind
    intersection: str
    target: str  # see `vehicle_target` and `intersection_target`
    severity: Annotated[int, Meta(description="0 act now, 1 soon, 2 information")]  # a `Severity`
    confidence: Annotated[float, Meta(description="0 .. 1")]
    reason: str
    t: Annotated[int, Meta(description="ns since 1970 (UTC)")]
    valid_until: Annotated[int, Meta(description="ns since 1970 (UTC)")]
    inputs: Inputs
    speed: Annotated[float | None, Meta(description="m/s, recommended")] = None
    distance: Annotated[float | None, Meta(description="m to the place it is about")] = None
    behaviour: str | None = None  # a `Behaviour`; later versions may know more
    status: str | None = None  # of a priority request: a `PriorityStatus`
    version: Annotated[int, Meta(description="of the wire")] = VERSION
    # of the node's ownership of the intersection: that of a later owner is higher; 0: it has no other
    epoch: Annotated[int, Meta(description="of the node's ownership: that of a later owner is higher")] = 0


class Signals(Struct, frozen=True):
    """Signal states as vehicles get them."""

    intersection: str
    revision: int
    seq: int
    t: int
    groups: tuple[Group, ...]
    lanes: tuple[str, ...] | None = None  # of the revocable ones, those in use; None: not known
    version: int = VERSION
