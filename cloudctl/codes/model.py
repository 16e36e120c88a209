"""The intersection digital code: what a driverless vehicle needs to know of a place, as frozen structs.

Coordinates are absolute integers, 1e-7 degree of CGCS2000 / WGS-84; lines run in driving direction. Widths are cm,
speeds m/s, `s` is m along a line, times are ns since the Unix epoch (UTC). Ids are short and local (`L3`, `C12`); with
the intersection's own they are whole city codes (`citycode.sub_code`). docs/codes.md explains a whole code."""

from msgspec import Struct

from .rule import Rule

Point = tuple[int, int]  # (lat_e7, lon_e7)
FORMAT = 1  # of the JSON; a reader refuses what it does not know
FORMATS = (1, 2)  # that this reader knows; 2 has the fields of `canon.OF_FORMAT_2`

ROLES = ("ingress", "upstream", "egress")
USES = ("vehicle", "bike", "pedestrian", "bus", "tram")  # in this order in the compiled arrays
TURNS = ("straight", "left", "right", "u")
CONFLICTS = ("cross", "merge", "diverge")
GROUP_KINDS = ("vehicle", "pedestrian", "bike", "bus", "tram")
CONTROLS = ("signal", "stop", "yield", "priority", "uncontrolled")
ALIAS_KINDS = ("sumo", "sumo_tl", "ydt3709", "j2735", "ga1049", "lanelet2", "opendrive", "name")
DEVICE_KINDS = ("rsu", "camera", "radar", "lidar", "controller", "computer", "sign", "other")
ZONE_KINDS = ("intersection", "keep_clear", "school", "works", "parking", "operating_area", "other")
SHOWN = "RGgYyOPDF"  # of a phase: see Phase


class Alias(Struct, frozen=True, order=True, forbid_unknown_fields=True):
    """What something is called elsewhere; kind is one of `ALIAS_KINDS`."""

    kind: str
    value: str


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """Where roads meet: this intersection, or one beside it."""

    id: str
    lat_e7: int
    lon_e7: int
    control: str = "signal"
    alias: tuple[Alias, ...] = ()


class Link(Struct, frozen=True, forbid_unknown_fields=True):
    """A road between two nodes, in driving direction. `role`: ingress, upstream (leads to an ingress) or egress."""

    id: str
    role: str
    upstream: str = ""  # node it comes from; "" where not known
    downstream: str = ""
    alias: tuple[Alias, ...] = ()


class Lane(Struct, frozen=True, forbid_unknown_fields=True):
    """One lane, numbered from 1 at the left in driving direction. `revocable`: in use only while the signals say so."""

    id: str
    link: str
    number: int
    width_cm: int
    speed: float
    points: tuple[Point, ...]
    use: str = "vehicle"
    shared: tuple[str, ...] = ()  # further uses
    revocable: bool = False
    alias: tuple[Alias, ...] = ()


class Connection(Struct, frozen=True, forbid_unknown_fields=True):
    """A movement from a lane to a lane. `inner`: through this intersection, not a joint of the road before it."""

    id: str
    from_lane: str
    to_lane: str
    turn: str
    points: tuple[Point, ...]
    group: int = 0  # signal group; 0: none
    speed: float = 13.89
    inner: bool = True
    waits: bool = False  # who takes it may wait for a gap inside the intersection
    alias: tuple[Alias, ...] = ()


class Conflict(Struct, frozen=True, forbid_unknown_fields=True):
    """Where two connections meet: m along each; `a_yields`, `b_yields`: who must give way."""

    a: str
    b: str
    kind: str
    s_a: float
    s_b: float
    a_yields: bool = False
    b_yields: bool = False


class SignalGroup(Struct, frozen=True, forbid_unknown_fields=True):
    """Heads that always show the same. `channels`: the controller's columns."""

    id: int
    kind: str
    channels: tuple[int, ...] = ()


class Phase(Struct, frozen=True, forbid_unknown_fields=True):
    """What all groups show for a while, a letter each in the order of `signal_groups`.

    R red, G protected green, g permissive green, Y yellow, O flashing yellow or off with priority rules, P red and
    yellow, F flashing red, D dark, y flashing green. `min_ms`, `max_ms` differ from `ms` where traffic decides."""

    ms: int
    shows: str
    min_ms: int | None = None
    max_ms: int | None = None


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """One signal programme: phases in order, repeated; `offset_ms` shifts it."""

    id: str
    phases: tuple[Phase, ...]
    offset_ms: int = 0
    actuated: bool = False


class SignalException(Struct, frozen=True, forbid_unknown_fields=True):
    """Two signal groups that may be green together although their movements cross or merge, and why (a permissive left
    that shares its through's group, a pair that traffic law lets go together). The running check of conflicts, and that
    of the plans, leave the pair out."""

    a: int
    b: int
    reason: str


class StopLine(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to stop on a lane, m along it."""

    lane: str
    s: float


class Crosswalk(Struct, frozen=True, forbid_unknown_fields=True):
    """A crossing: its axis and width, its outline where it is no straight band, and its signal group (0: none)."""

    id: str
    axis: tuple[Point, ...]
    width_cm: int
    group: int = 0
    polygon: tuple[Point, ...] = ()
    alias: tuple[Alias, ...] = ()


class Zone(Struct, frozen=True, forbid_unknown_fields=True):
    """An area with a meaning; kind is one of `ZONE_KINDS`."""

    id: str
    kind: str
    polygon: tuple[Point, ...]
    alias: tuple[Alias, ...] = ()


class Device(Struct, frozen=True, forbid_unknown_fields=True):
    """One piece of equipment: the ledger's row."""

    id: str
    kind: str
    lat_e7: int
    lon_e7: int
    height_cm: int = 0
    heading_deg: float | None = None  # clockwise from north
    model: str = ""
    installed: int | None = None  # ns
    alias: tuple[Alias, ...] = ()


class IntersectionCode(Struct, frozen=True, forbid_unknown_fields=True):
    """One intersection, whole."""

    id: str
    name: str
    ref_lat_e7: int
    ref_lon_e7: int
    links: tuple[Link, ...]
    lanes: tuple[Lane, ...]
    connections: tuple[Connection, ...]
    conflicts: tuple[Conflict, ...] = ()
    signal_groups: tuple[SignalGroup, ...] = ()
    stop_lines: tuple[StopLine, ...] = ()
    crosswalks: tuple[Crosswalk, ...] = ()
    nodes: tuple[Node, ...] = ()
    plans: tuple[Plan, ...] = ()
    zones: tuple[Zone, ...] = ()
    devices: tuple[Device, ...] = ()
    rules: tuple[Rule, ...] = ()
    alias: tuple[Alias, ...] = ()
    control: str = "signal"
    revision: int = 1
    valid_from: int | None = None
    valid_to: int | None = None
    accuracy_cm: int = 50
    format: int = FORMAT
    signal_exceptions: tuple[SignalException, ...] = ()
