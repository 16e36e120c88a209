"""One immutable snapshot of an intersection: tracks, signals, connected vehicles, code, time. Planners read nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .codes import CompiledCode
from .codes.compiled.rules import RuleTable
from .codes.rules import Vehicle
from .matching import LEAVES, Floats, Ints, match
from .rule_subjects import vehicle_of
from .schema import Hazard, VehicleState
from .signals.states import Doubt, Signals, believed

UNKNOWN = (-1, -1, -1)  # the paths of a vehicle that declared no movement
ELSEWHERE = (LEAVES, -1, -1)  # of one that declared none here: it leaves the road before it comes to this intersection


@dataclass(frozen=True)
class Report:
    """The newest state of one connected vehicle, and the movement it declared here (connection index, -1 none)."""

    id: str
    handle: int
    state: VehicleState
    t: int
    connection: int
    paths: tuple[
        int, int, int
    ]  # of that movement, one for each lane it can be made from, -1 where there are fewer; UNKNOWN or ELSEWHERE
    proven: bool = False  # whether the node's operator says it is what it says
    as_ruled: Vehicle = field(init=False)  # as rules ask of it; made once a report, not once a plan

    def __post_init__(self) -> None:
        object.__setattr__(self, "as_ruled", vehicle_of(self.state))


class NextSignal(NamedTuple):
    """The signal that a vehicle comes to after this one; times in s from now."""

    distance: float  # m from this stop line to that one
    closes: float  # end of the green it shows now; 0 or less where it shows none
    opens: float  # of the next green, the queue that waits for it gone
    ends: float  # of that


@dataclass(frozen=True)
class World:
    """An intersection at `t`. Every array has one row a track."""

    t: int
    code: CompiledCode
    tracks: NDArray[Any]
    signals: Signals  # what may be believed of them at `t`
    hazards: tuple[Hazard, ...]
    vehicles: tuple[Report, ...]  # connected vehicles that have a track
    rows: Ints  # int64[len(vehicles)]: the track of each connected vehicle
    report: Ints  # index into `vehicles`, -1 for a track that nobody claims
    path: Ints
    s: Floats
    lateral: Floats
    speed: Floats  # m/s along the path
    accel: Floats  # m/s^2 along it, smoothed over about half a second; 0 for a track not seen before
    to_stop: Floats  # m from the front bumper to the stop line it leads to; nan where it leads to none; negative inside
    connection: Ints  # the movement each track will take or is on; -1 not known
    t_sensor: int
    t_rx: int
    perception_age: int  # ns
    signal_trouble: str | None  # why signal states are not to be trusted
    share: Floats  # float64[n_conns]: how often each movement was taken of late, against the others of its lane
    stopped: tuple[int, ...]  # ids of tracks that stand while nothing holds them
    beyond: Mapping[int, NextSignal]  # by handle, of connected vehicles whose next signal is known
    reported: Ints  # ns; when each of `vehicles` last reported
    rules: RuleTable  # of the code, with the holidays that the node knows
    doubt_reason: str | None = (
        None  # why single signal groups are not to be trusted; what is doubted of them is unknown in `signals`
    )
    sensor_trouble: str | None = None  # which sensors do not deliver what they should, and why

    @property
    def signal_age(self) -> int:
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
    beyond: Mapping[int, NextSignal] | None = None,
    doubts: Mapping[int, Doubt] | None = None,
    doubt_reason: str | None = None,
    sensor_trouble: str | None = None,
    rules: RuleTable | None = None,
) -> World:
    """Make the snapshot. `signals` as received, `doubts` by index of the group; `reports` by handle; tracks as `Fusion.tracks` gives them; `previous` is the snapshot before; `share` and
    `stopped` are what traffic taught, all movements alike and nobody where it taught nothing; `beyond` by handle; `rules`: those of the code with the days of a calendar, without it no day is a holiday."""
    rules = rules or code.rule_table
    vehicles, rows, report, reported = _claimed(tracks, reports)
    declared = np.full((len(tracks), 3), -1, np.int64)
    if vehicles:
        declared[rows] = [vehicle.paths for vehicle in vehicles]
    on = match(code, tracks, declared, rules.closed(t))
    accel = _acceleration(t, tracks, previous)
    return World(
        t, code, tracks, believed(signals, t, doubts), hazards, vehicles, rows, report, on.path, on.s, on.lateral, on.along,
        accel, on.to_stop, on.connection, t_sensor, t_rx, t - t_sensor, signal_trouble,
        np.ones(code.n_conns) if share is None else share, stopped, beyond or {}, reported, rules,
        doubt_reason, sensor_trouble,
    )  # fmt: skip


SMOOTH_S = 0.4  # s


def _acceleration(t: int, tracks: NDArray[Any], previous: World | None) -> Floats:
    """Return m/s^2 in each track's own direction, from its speed now and in the snapshot before."""
    out = np.zeros(len(tracks))
    if previous is not None and t > previous.t:
        dt = (t - previous.t) / 1e9
        _accelerate(tracks, previous.tracks, previous.accel, dt, min(dt / SMOOTH_S, 1.0), out)
    return out


@njit(cache=True)
def _accelerate(tracks: Any, before: Any, accel: Any, dt: float, share: float, out: Any) -> None:
    j = 0
    for i in range(len(tracks)):  # both are in order of id
        while j < len(before) and before[j]["id"] < tracks[i]["id"]:
            j += 1
        if j < len(before) and before[j]["id"] == tracks[i]["id"]:
            now = (tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2) ** 0.5
            then = (before[j]["vx"] ** 2 + before[j]["vy"] ** 2) ** 0.5
            out[i] = accel[j] + share * ((now - then) / dt - accel[j])


def _claimed(tracks: NDArray[Any], reports: Mapping[int, Report]) -> tuple[tuple[Report, ...], Ints, Ints, Ints]:
    """Return the connected vehicles that have a track, the row of each, the index of each row's vehicle (-1 none), and when each vehicle reported."""
    handles = tracks["vehicle"]
    rows = np.flatnonzero(handles)
    found = [reports.get(handle) for handle in handles[rows].tolist()]
    vehicles = tuple([vehicle for vehicle in found if vehicle is not None])
    if len(vehicles) < len(found):
        rows = rows[[vehicle is not None for vehicle in found]]

    report = np.full(len(tracks), -1, np.int64)
    report[rows] = np.arange(len(rows))
    return vehicles, rows, report, np.array([vehicle.t for vehicle in vehicles], np.int64)


def declare(code: CompiledCode, connection: int) -> tuple[int, int, int]:
    """Return the paths (at most three) of the movement that a connection belongs to; -1 where there are fewer."""
    from_link, to_link = code.lane_link[code.conn_from], code.lane_link[code.conn_to]
    same = np.flatnonzero((from_link == from_link[connection]) & (to_link == to_link[connection])) + code.n_lanes
    first, second, third = [*same.tolist()[:3], -1, -1, -1][:3]
    return first, second, third
