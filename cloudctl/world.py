"""One immutable snapshot of an intersection: tracks, signals, connected vehicles, code, time. Planners read nothing
else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from .clock import MS
from .codes import CompiledCode
from .codes.compiled.rules import RuledBytes, RuleTable, ruled_bytes
from .codes.rules import Vehicle
from .matching import LEAVES, Floats, Ints, match
from .rule_subjects import vehicle_of
from .schema import Hazard, VehicleState, vehicle_target
from .signals.states import Doubt, Signals

DECLARED = Struct("=5q")  # of a report, as kernels read it: its handle, its time (ns) and its paths
UNKNOWN = (-1, -1, -1)  # paths of a vehicle that declared no movement
ELSEWHERE = (LEAVES, -1, -1)  # paths of a vehicle that leaves the road before it comes to this intersection
MAX_FRESH_AGE = 1500 * MS  # of a report that counts as recent: a connected vehicle reports once a second, or more often


@dataclass(slots=True)
class Report:
    """The newest state of one connected vehicle, and the movement it declared here.

    Nobody changes one: it is not frozen because its making would take twice as long.
    """

    id: str
    handle: int
    state: VehicleState
    t: int
    connection: int  # -1: none
    # of that movement, one for each lane it can be made from, -1 where there are fewer; UNKNOWN or ELSEWHERE
    paths: tuple[int, int, int]
    proven: bool = False  # the node's operator lists it with its class
    # As rules ask of it, and the same as bytes; made once per report, not once per plan.
    as_ruled: Vehicle = field(init=False)
    ruled_bytes: RuledBytes = field(init=False)
    declared_bytes: bytes = field(init=False)  # a row of DECLARED
    target: str = field(init=False)  # of advisories for it
    names_next: bool = field(init=False)  # it declared a movement here, and what comes after

    def __post_init__(self) -> None:
        self.as_ruled = vehicle_of(self.state)
        self.ruled_bytes = ruled_bytes(self.as_ruled)
        self.declared_bytes = DECLARED.pack(self.handle, self.t, *self.paths)
        self.target = vehicle_target(self.id)
        self.names_next = self.connection >= 0 and len(self.state.movements or ()) >= 2


class NextSignal(NamedTuple):
    """The signal that a vehicle comes to after this one; times in s from now."""

    distance: float  # m from this stop line to that one
    closes: float  # end of its present green; 0 or less where it shows none
    opens: float  # beginning of its next green, the queue before it discharged
    ends: float  # end of its next green

    @property
    def is_queue_known(self) -> bool:
        """Return whether the vehicles before it are known, which leave first."""
        return True


class Users(NamedTuple):
    """The road users of a snapshot as kernels read them, one row per track: fields of `World`."""

    tracks: Any
    path: Any
    s: Any
    lateral: Any
    speed: Any
    accel: Any
    to_stop: Any
    connection: Any


class Connected(NamedTuple):
    """The connected vehicles of a snapshot as kernels read them: fields of `World`."""

    rows: Any
    reported: Any
    report: Any  # one row per track


# The rows of `Block.longs` and `Block.floats`: fields of `World`, then what only the next snapshots need.
LONGS, FLOATS = ("path", "connection", "report"), ("s", "lateral", "speed", "accel", "to_stop")
PATH, CONNECTION, REPORT, IDS = range(4)
S, LATERAL, SPEED, ACCEL, TO_STOP, PACE = range(6)


class Block(NamedTuple):
    """The arrays of all snapshots that were made by one call: few, because handing one to compiled code costs as much
    as a small kernel."""

    tracks: Any
    longs: Any  # int64[4, tracks]; IDS: of tracks
    floats: Any  # float64[6, tracks]; PACE: m/s, in its own direction
    rows: Any  # by connected vehicle: `World.rows`
    reported: Any  # likewise
    addresses: tuple[int, int]  # of `longs` and `floats`


class BlockPart(msgspec.Struct):
    """Which rows of a block are of one snapshot: each a first row, and one beyond the last."""

    block: Block
    users: tuple[int, int]
    vehicles: tuple[int, int]
    is_matched: bool = True  # whether the block says already where the tracks are on the lanes


# Fields of `World` that are parts of the arrays of its block.
ARRAYS = (*LONGS, *FLOATS, "tracks", "rows", "reported")


@dataclass(eq=False, kw_only=True)
class World:
    """An intersection at `t` (ns). Every array has one row per track unless it says otherwise.

    Nobody changes one: it is not frozen because its making would take twice as long. Of one that was made `of_block`
    each array is made when it is first read: most plans read few of them.
    """

    t: int
    code: CompiledCode
    tracks: NDArray[Any]
    signals: Signals  # what may be believed of them at `t`
    hazards: tuple[Hazard, ...]

    # Connected vehicles that have a track.
    vehicles: tuple[Report, ...]
    rows: Ints  # int64[len(vehicles)]: the track of each
    reported: Ints  # int64[len(vehicles)]: when each last reported, ns
    report: Ints  # index into `vehicles`, -1 for a track of no connected vehicle

    # Where the tracks are on the lanes and connections of the code.
    path: Ints
    s: Floats  # m along the path
    lateral: Floats  # m off it
    speed: Floats  # m/s along it
    accel: Floats  # m/s^2 along it, smoothed (`snapshots.ACCELERATION_SMOOTHING`); 0 for a new track
    to_stop: Floats  # m from the front bumper to the stop line; nan where the path leads to none; negative inside
    connection: Ints  # the movement each track will take or is on; -1 not known

    # Age and quality of what the snapshot was made from.
    t_sensor: int
    t_rx: int
    perception_age: int  # ns
    signal_trouble: str | None  # why no signal state is to be trusted
    doubt_reason: str | None = None  # why single signal groups are not; what is doubted of them is unknown in `signals`
    sensor_trouble: str | None = None  # which sensors do not deliver what they should, and why

    # What is known beyond the tracks.
    share: Floats  # float64[n_conns]: how often each movement was taken of late, relative to the others of its lane
    stopped: tuple[int, ...]  # ids of tracks that stand while nothing holds them
    next_signals: Mapping[int, NextSignal]  # by handle, of connected vehicles whose next signal is known
    rules: RuleTable  # of the code, with the holidays that the node knows

    # Where the arrays are parts of those of a block; a snapshot that was changed afterwards is of none.
    block: BlockPart | None = field(init=False, default=None, compare=False, repr=False)

    @classmethod
    def of_block(cls, part: BlockPart, moment: "Moment", signals: Signals, vehicles: tuple[Report, ...]) -> "World":
        """Return the snapshot of a moment whose arrays are part of a block. `signals`: what may be believed of them."""
        world = cls.__new__(cls)
        world.__dict__ = {
            "t": moment.t,
            "code": moment.code,
            "signals": signals,
            "hazards": moment.hazards,
            "vehicles": vehicles,
            "t_sensor": moment.t_sensor,
            "t_rx": moment.t_rx,
            "perception_age": moment.t - moment.t_sensor,
            "signal_trouble": moment.signal_trouble,
            "doubt_reason": moment.doubt_reason,
            "sensor_trouble": moment.sensor_trouble,
            "share": np.ones(moment.code.n_conns) if moment.share is None else moment.share,
            "stopped": moment.stopped,
            "next_signals": moment.next_signals,
            "rules": moment.rules,
            "block": part,
        }

        return world

    def matched_part(self) -> BlockPart | None:
        """Return which rows of a block are the snapshot's, with its tracks matched to lanes; None where it is of
        none."""
        part = self.block
        if part is not None and not part.is_matched:
            (first, last), longs, floats = part.users, part.block.longs, part.block.floats
            undeclared = np.full((last - first, 3), -1)  # of vehicles that report, tracks are matched at once
            matched = match(self.code, part.block.tracks[first:last], undeclared, self.rules.closed(self.t))
            longs[PATH, first:last], longs[CONNECTION, first:last] = matched.path, matched.connection
            floats[S, first:last], floats[LATERAL, first:last] = matched.s, matched.lateral
            floats[SPEED, first:last], floats[TO_STOP, first:last] = matched.along, matched.to_stop
            part.is_matched = True

        return part

    if not TYPE_CHECKING:  # no other attribute is to be there for the type checker

        def __getattr__(self, name: str) -> Any:
            """Make an array of a snapshot of a block, when it is asked for and not there yet."""
            part = self.matched_part() if name in ARRAYS and self.__dict__.get("block") else None
            if part is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            column = self.__dict__[name] = column_of(part, name)
            return column

    def with_next_signals(self, next_signals: Mapping[int, NextSignal]) -> "World":
        """Return the snapshot, with the signals after this one: they are known once the snapshots of the intersections
        before it are made."""
        self.next_signals = next_signals
        return self

    @property
    def signal_age(self) -> int:
        """Age of the newest signal message, ns."""
        return self.t - self.signals.t


@dataclass(kw_only=True)
class Moment:
    """What the snapshot of one intersection at `t` ns is made from.

    `signals`: as received. `reports`, `next_signals`: by handle. `previous`: the snapshot before this one. `share`,
    `stopped`: as `TrafficState` found them; without them all movements are alike, and no vehicle is stopped. `doubts`:
    by index of the group. `rules`: the rule table of the code with the days of a calendar.
    """

    t: int
    code: CompiledCode
    signals: Signals
    hazards: tuple[Hazard, ...]
    reports: Mapping[int, Report]
    t_sensor: int
    t_rx: int
    rules: RuleTable
    previous: World | None = None
    signal_trouble: str | None = None
    share: Floats | None = None
    stopped: tuple[int, ...] = ()
    next_signals: Mapping[int, NextSignal] = field(default_factory=dict)
    doubts: Mapping[int, Doubt] | None = None
    doubt_reason: str | None = None
    sensor_trouble: str | None = None
    # whether tracks are matched to lanes at once, or when that is first asked for; they must be where vehicles report
    is_matched: bool = True


def column_of(part: BlockPart, name: str) -> Any:
    """Return one of ARRAYS of a snapshot."""
    block = part.block
    if name in ("rows", "reported"):
        first, last = part.vehicles
        return getattr(block, name)[first:last]

    first, last = part.users
    if name in LONGS:
        return block.longs[LONGS.index(name), first:last]
    if name in FLOATS:
        return block.floats[FLOATS.index(name), first:last]
    return block.tracks[first:last]


def declare(code: CompiledCode, connection: int) -> tuple[int, int, int]:
    """Return the paths (at most three) of the movement that a connection belongs to; -1 where there are fewer."""
    from_link, to_link = code.lane_link[code.conn_from], code.lane_link[code.conn_to]
    same_movement = (from_link == from_link[connection]) & (to_link == to_link[connection])
    paths = np.flatnonzero(same_movement) + code.n_lanes
    first, second, third = [*paths.tolist()[:3], -1, -1, -1][:3]
    return first, second, third
