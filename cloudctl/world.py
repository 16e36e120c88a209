"""One immutable snapshot of an intersection: tracks, signals, connected vehicles, code, time. Planners read nothing
else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .clock import MS
from .codes import CompiledCode
from .codes.compiled.rules import RuledBytes, RuleTable, ruled_bytes
from .codes.rules import Vehicle
from .matching import LEAVES, Floats, Ints, match
from .rule_subjects import vehicle_of
from .schema import Hazard, VehicleState
from .signals.states import Doubt, Signals, believed

UNKNOWN = (-1, -1, -1)  # paths of a vehicle that declared no movement
ELSEWHERE = (LEAVES, -1, -1)  # paths of a vehicle that leaves the road before it comes to this intersection
MAX_FRESH_AGE = 1500 * MS  # of a report that counts as recent: a connected vehicle reports once a second, or more often
ACCELERATION_SMOOTHING = 0.4  # s, time constant


@dataclass(frozen=True)
class Report:
    """The newest state of one connected vehicle, and the movement it declared here."""

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

    def __post_init__(self) -> None:
        vehicle = vehicle_of(self.state)
        object.__setattr__(self, "as_ruled", vehicle)
        object.__setattr__(self, "ruled_bytes", ruled_bytes(vehicle))


class NextSignal(NamedTuple):
    """The signal that a vehicle comes to after this one; times in s from now."""

    distance: float  # m from this stop line to that one
    closes: float  # end of its present green; 0 or less where it shows none
    opens: float  # beginning of its next green, the queue before it discharged
    ends: float  # end of its next green


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


class SignalArrays(NamedTuple):
    """The signals of a snapshot as kernels read them: fields of `Signals`."""

    state: Any
    min_end: Any
    max_end: Any
    next_green: Any
    next_duration: Any
    confidence: Any
    seen: Any


@dataclass(frozen=True, kw_only=True)
class World:
    """An intersection at `t` (ns). Every array has one row per track unless it says otherwise."""

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
    accel: Floats  # m/s^2 along it, smoothed (ACCELERATION_SMOOTHING); 0 for a new track
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

    @property
    def signal_age(self) -> int:
        """Age of the newest signal message, ns."""
        return self.t - self.signals.t


def build(
    t: int,
    code: CompiledCode,
    tracks: NDArray[Any],
    signals: Signals,
    hazards: tuple[Hazard, ...],
    reports: Mapping[int, Report],
    t_sensor: int,
    t_rx: int,
    previous: World | None = None,
    signal_trouble: str | None = None,
    share: Floats | None = None,
    stopped: tuple[int, ...] = (),
    next_signals: Mapping[int, NextSignal] | None = None,
    doubts: Mapping[int, Doubt] | None = None,
    doubt_reason: str | None = None,
    sensor_trouble: str | None = None,
    rules: RuleTable | None = None,
) -> World:
    """Make the snapshot of an intersection at `t` ns.

    `tracks`: as `Fusion.tracks` gives them. `signals`: as received. `reports`, `next_signals`: by handle. `previous`:
    the
    snapshot before this one. `share`, `stopped`: as `TrafficState` found them; without them all movements are alike,
    and no vehicle is stopped. `doubts`: by index of the group. `rules`: the rule table of the code with the days of a
    calendar; without it no day is a holiday.
    """
    rules = rules or code.rule_table
    claims = _claims(tracks, reports)

    # Declared paths make a lane more likely, lanes that are closed now less.
    declared = np.full((len(tracks), 3), -1, np.int64)
    if claims.vehicles:
        declared[claims.rows] = [vehicle.paths for vehicle in claims.vehicles]
    matched = match(code, tracks, declared, rules.closed(t))

    return World(
        t=t,
        code=code,
        tracks=tracks,
        signals=believed(signals, t, doubts),
        hazards=hazards,
        vehicles=claims.vehicles,
        rows=claims.rows,
        reported=claims.reported,
        report=claims.report,
        path=matched.path,
        s=matched.s,
        lateral=matched.lateral,
        speed=matched.along,
        accel=_acceleration(t, tracks, previous),
        to_stop=matched.to_stop,
        connection=matched.connection,
        t_sensor=t_sensor,
        t_rx=t_rx,
        perception_age=t - t_sensor,
        signal_trouble=signal_trouble,
        doubt_reason=doubt_reason,
        sensor_trouble=sensor_trouble,
        share=np.ones(code.n_conns) if share is None else share,
        stopped=stopped,
        next_signals=next_signals or {},
        rules=rules,
    )


def _acceleration(t: int, tracks: NDArray[Any], previous: World | None) -> Floats:
    """Return m/s^2 in each track's own direction, from its speed now and in the snapshot before."""
    accel = np.zeros(len(tracks))
    if previous is not None and t > previous.t:
        dt = (t - previous.t) / 1e9
        weight = min(dt / ACCELERATION_SMOOTHING, 1.0)
        _accelerate(tracks, previous.tracks, previous.accel, dt, weight, accel)
    return accel


@njit(cache=True)
def _accelerate(tracks: Any, before: Any, accel_before: Any, dt: float, weight: float, accel: Any) -> None:
    """Fill in the smoothed acceleration (m/s^2) of each track; both snapshots are in order of id."""
    j = 0
    for i in range(len(tracks)):
        while j < len(before) and before[j]["id"] < tracks[i]["id"]:
            j += 1
        if j < len(before) and before[j]["id"] == tracks[i]["id"]:
            speed = (tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2) ** 0.5
            speed_before = (before[j]["vx"] ** 2 + before[j]["vy"] ** 2) ** 0.5
            accel[i] = accel_before[j] + weight * ((speed - speed_before) / dt - accel_before[j])


class _Claims(NamedTuple):
    """Which connected vehicles have a track: see the fields of `World`."""

    vehicles: tuple[Report, ...]
    rows: Ints
    report: Ints
    reported: Ints


def _claims(tracks: NDArray[Any], reports: Mapping[int, Report]) -> _Claims:
    handles = tracks["vehicle"]
    rows = handles.nonzero()[0]
    claimed = [reports.get(handle) for handle in handles[rows].tolist()]
    vehicles = tuple([vehicle for vehicle in claimed if vehicle is not None])
    if len(vehicles) < len(claimed):
        # Tracks of vehicles that have been silent for so long that their reports are forgotten.
        rows = rows[[vehicle is not None for vehicle in claimed]]

    report = np.full(len(tracks), -1, np.int64)
    report[rows] = np.arange(len(rows))
    reported = np.array([vehicle.t for vehicle in vehicles], np.int64)
    return _Claims(vehicles=vehicles, rows=rows, report=report, reported=reported)


def declare(code: CompiledCode, connection: int) -> tuple[int, int, int]:
    """Return the paths (at most three) of the movement that a connection belongs to; -1 where there are fewer."""
    from_link, to_link = code.lane_link[code.conn_from], code.lane_link[code.conn_to]
    same_movement = (from_link == from_link[connection]) & (to_link == to_link[connection])
    paths = np.flatnonzero(same_movement) + code.n_lanes
    first, second, third = [*paths.tolist()[:3], -1, -1, -1][:3]
    return first, second, third
