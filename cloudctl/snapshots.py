"""Makes the snapshots of many intersections by one compiled call: where each track is on the lanes, how it accelerates,
which connected vehicle it is, and whether all that its signals promise may be believed.

Each intersection is worked out by itself, on its slice of arrays that hold all of them: its snapshot never depends on
which others share the call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .codes import CompiledCode
from .codes.compiled.addresses import floats, inner_kernel, longs
from .codes.compiled.arrays import tables_at
from .codes.compiled.rules import RuleTable
from .matching import CLOSED_PENALTY, Floats, Matched, match_in
from .schema import Hazard
from .signals.states import Signals, all_holds, believed
from .world import Block, BlockPart, Connected, Moment, NextSignal, Report, SignalArrays, Users, World

ACCELERATION_SMOOTHING = 0.4  # s, time constant
MAX_PATHS = 3  # of a declared movement


class Inputs(NamedTuple):
    """What the call reads; `..._bounds`: where the rows of each intersection begin, int64[n + 1]."""

    t: Any  # int64[n], ns
    codes: Any  # rows of `CompiledCode.addresses`
    user_bounds: Any
    group_bounds: Any
    report_bounds: Any
    path_bounds: Any
    handles: Any  # of the vehicles that report
    paths: Any  # int64[reports, 3]: that each declared
    closed: Any  # bool[paths]: tidal lanes that run the other way now; of an intersection without any, no rows
    previous: Any  # as `_previous_rows` gives it
    seconds: Any  # since that
    likely_end: Any  # ns, by group
    overdue: Any  # bool, by group


class Answers(NamedTuple):
    """What the call fills in beside the columns of the snapshots."""

    n_vehicles: Any  # int64[n]: connected vehicles that have a track
    claims: Any  # int64, by user: of each of those in turn, which of the intersection's reports is its own
    rows: Any  # int64, by user: likewise its track
    holds: Any  # bool[n]: all of the signals may be believed
    ids: Any
    pace: Any


@njit(cache=True)
def _paces(tracks: Any) -> Any:
    """Return m/s of each track, in its own direction."""
    pace = np.empty(len(tracks))
    for i in range(len(tracks)):
        pace[i] = (tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2) ** 0.5
    return pace


@njit(cache=True, nogil=True)
def _fill(inputs: Inputs, users: Users, report: Any, signals: SignalArrays, answers: Answers) -> None:
    """Fill in the snapshots, intersection by intersection."""
    for p in range(len(inputs.t)):
        code = inputs.codes[p]
        first, last = inputs.user_bounds[p], inputs.user_bounds[p + 1]
        tracks, ids, pace = users.tracks[first:last], answers.ids[first:last], answers.pace[first:last]
        pace[:] = _paces(tracks)
        for i in range(len(tracks)):
            ids[i] = tracks[i]["id"]

        # Declared paths make a lane more likely, lanes that are closed now less.
        declared = np.full((len(tracks), MAX_PATHS), -1, np.int64)
        begin, end = inputs.report_bounds[p], inputs.report_bounds[p + 1]
        answers.n_vehicles[p] = _claim(
            tracks, inputs.handles[begin:end], inputs.paths[begin:end], answers.rows[first:last],
            answers.claims[first:last], report[first:last], declared,
        )  # fmt: skip
        use_penalty = tables_at(code).use_penalty
        if inputs.path_bounds[p + 1] > inputs.path_bounds[p]:
            closed = inputs.closed[inputs.path_bounds[p] : inputs.path_bounds[p + 1]]
            use_penalty = use_penalty + CLOSED_PENALTY * closed
        matched = Matched(
            users.path[first:last], users.s[first:last], users.lateral[first:last], users.speed[first:last],
            users.connection[first:last], users.to_stop[first:last],
        )  # fmt: skip
        match_in(tracks, declared, use_penalty, code, matched)
        _accelerate(ids, pace, inputs.previous[p], inputs.seconds[p], users.accel[first:last])

        begin, end = inputs.group_bounds[p], inputs.group_bounds[p + 1]
        answers.holds[p] = all_holds(
            inputs.t[p], signals.seen[begin:end], inputs.overdue[begin:end], signals.max_end[begin:end],
            inputs.likely_end[begin:end], signals.next_green[begin:end],
        )  # fmt: skip


@inner_kernel
def _claim(tracks: Any, handles: Any, paths: Any, rows: Any, claims: Any, report: Any, declared: Any) -> int:
    """Fill in which tracks are connected vehicles that report: their rows, which report is theirs, by track its place
    among them (-1 none), and the paths they declared; return how many."""
    n, order = 0, np.argsort(handles)
    for i in range(len(tracks)):
        report[i] = -1
        handle = tracks[i]["vehicle"]
        if handle == 0:
            continue

        # A report by its handle: halving.
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            if handles[order[middle]] < handle:
                low = middle + 1
            else:
                high = middle
        if low == len(order) or handles[order[low]] != handle:
            continue  # silent for so long that its report is forgotten
        rows[n], claims[n], report[i] = i, order[low], n
        declared[i] = paths[order[low]]
        n += 1
    return n


@inner_kernel
def _accelerate(ids: Any, pace: Any, previous: Any, dt: float, accel: Any) -> None:
    """Fill in the smoothed acceleration (m/s^2) of each track in its own direction, from its speed now and `dt` s
    before; both are in order of id. 0 for a new track."""
    ids_before, pace_before, accel_before = longs(previous[0]), floats(previous[1]), floats(previous[2])
    weight = min(dt / ACCELERATION_SMOOTHING, 1.0)
    j = 0
    for i in range(len(ids)):
        accel[i] = 0.0
        while j < len(ids_before) and ids_before[j] < ids[i]:
            j += 1
        if j < len(ids_before) and ids_before[j] == ids[i]:
            accel[i] = accel_before[j] + weight * ((pace[i] - pace_before[j]) / dt - accel_before[j])


def build(
    t: int, code: CompiledCode, tracks: NDArray[Any], signals: Signals, hazards: tuple[Hazard, ...],
    reports: Mapping[int, Report], t_sensor: int, t_rx: int, previous: World | None = None,
    signal_trouble: str | None = None, share: Floats | None = None, stopped: tuple[int, ...] = (),
    next_signals: Mapping[int, NextSignal] | None = None, rules: RuleTable | None = None,
) -> World:  # fmt: skip
    """Make the snapshot of one intersection at `t` ns: `build_all` of it alone. `tracks`: as `Fusion.tracks` gives
    them; without `rules` no day is a holiday."""
    moment = Moment(
        t=t,
        code=code,
        signals=signals,
        hazards=hazards,
        reports=reports,
        t_sensor=t_sensor,
        t_rx=t_rx,
        rules=rules or code.rule_table,
        previous=previous,
        signal_trouble=signal_trouble,
        share=share,
        stopped=stopped,
        next_signals=next_signals or {},
    )
    return build_all([moment], tracks, np.array([0, len(tracks)]))[0]


def build_all(moments: Sequence[Moment], tracks: NDArray[Any], bounds: NDArray[np.int64]) -> list[World]:
    """Make the snapshots of some intersections. `tracks`, `bounds`: as `fusion.tracks_batch` gives them for those."""
    inputs, signals = _gather(moments, bounds)
    n, n_users = len(moments), len(tracks)
    matched = Matched(
        path=np.empty(n_users, np.int64),
        s=np.zeros(n_users),
        lateral=np.zeros(n_users),
        along=np.zeros(n_users),
        connection=np.empty(n_users, np.int64),
        to_stop=np.empty(n_users),
    )
    users = Users(
        tracks=tracks,
        path=matched.path,
        s=matched.s,
        lateral=matched.lateral,
        speed=matched.along,
        accel=np.empty(n_users),
        to_stop=matched.to_stop,
        connection=matched.connection,
    )
    report = np.empty(n_users, np.int64)
    answers = Answers(
        n_vehicles=np.empty(n, np.int64),
        claims=np.empty(n_users, np.int64),
        rows=np.empty(n_users, np.int64),
        holds=np.empty(n, np.bool_),
        ids=np.empty(n_users, np.int64),
        pace=np.empty(n_users),
    )
    _fill(inputs, users, report, signals, answers)
    return _scatter(moments, inputs, users, report, signals, answers)


# --- into arrays ---


def _gather(moments: Sequence[Moment], user_bounds: NDArray[np.int64]) -> tuple[Inputs, SignalArrays]:
    reports = [report for moment in moments for report in moment.reports.values()]
    closed = [moment.rules.closed(moment.t) for moment in moments]
    shown = [moment.signals for moment in moments]
    inputs = Inputs(
        t=np.array([moment.t for moment in moments], np.int64),
        codes=np.stack([moment.code.addresses for moment in moments]),
        user_bounds=user_bounds,
        group_bounds=_bounds(len(signals.state) for signals in shown),
        report_bounds=_bounds(len(moment.reports) for moment in moments),
        path_bounds=_bounds(0 if paths is None else len(paths) for paths in closed),
        handles=np.array([report.handle for report in reports], np.int64),
        paths=np.frombuffer(bytearray(b"".join([report.paths_bytes for report in reports])), np.int64).reshape(
            -1, MAX_PATHS
        ),
        closed=np.concatenate([NOWHERE if paths is None else paths for paths in closed]),
        previous=_previous_rows(moments),
        seconds=np.array([_seconds_since(moment) for moment in moments]),
        likely_end=np.concatenate([signals.likely_end for signals in shown]),
        overdue=np.concatenate([_overdue(signals) for signals in shown]),
    )
    signals = SignalArrays(
        state=np.concatenate([signals.state for signals in shown]),
        min_end=np.concatenate([signals.min_end for signals in shown]),
        max_end=np.concatenate([signals.max_end for signals in shown]),
        next_green=np.concatenate([signals.next_green for signals in shown]),
        next_duration=np.concatenate([signals.next_duration for signals in shown]),
        confidence=np.concatenate([signals.confidence for signals in shown]),
        seen=np.concatenate([_seen(signals) for signals in shown]),
    )
    return inputs, signals


NOWHERE = np.zeros(0, np.bool_)


def _bounds(counts: Any) -> NDArray[np.int64]:
    return np.array([0, *accumulate(counts)], np.int64)


def _seconds_since(moment: Moment) -> float:
    return 0.0 if moment.previous is None else (moment.t - moment.previous.t) / 1e9


def _previous_rows(moments: Sequence[Moment]) -> Any:
    """Return the addresses of the ids, paces and accelerations of the tracks in the snapshots before: int64[n, 3, 2],
    each with its length, 0 where there is none."""
    flat: list[int] = []
    for moment in moments:
        previous = moment.previous
        if previous is None or moment.t <= previous.t:
            flat += (0, 0, 0, 0, 0, 0)
            continue
        part = previous.block or detached(previous).block
        assert part is not None
        first, last = part.users
        ids, pace, accel = part.block.addresses
        n, begin = last - first, 8 * first
        flat += (ids + begin, n, pace + begin, n, accel + begin, n)
    return np.array(flat, np.int64).reshape(-1, 3, 2)


def detached(world: World) -> World:
    """Return a snapshot with arrays of its own: it keeps no others of those that it was made with in memory."""
    tracks = world.tracks.view(np.uint8).copy().view(world.tracks.dtype)  # whole records, their padding too
    users = Users(tracks, *[np.array(getattr(world, name)) for name in Users._fields[1:]])
    connected = Connected(*[np.array(getattr(world, name)) for name in Connected._fields])
    ids = users.tracks["id"].astype(np.int64)
    pace = _paces(users.tracks)
    block = Block(
        users=users,
        connected=connected,
        signals=SignalArrays(*[getattr(world.signals, name) for name in SignalArrays._fields]),
        ids=ids,
        pace=pace,
        addresses=(ids.ctypes.data, pace.ctypes.data, users.accel.ctypes.data),
    )
    copy = replace(world, **users._asdict(), **connected._asdict())
    rows, vehicles, groups = len(users.path), len(connected.rows), len(world.signals.state)
    copy.block = BlockPart(block, (0, rows), (0, vehicles), (0, groups))
    return copy


def _seen(signals: Signals) -> Any:
    return np.full(len(signals.state), signals.t) if signals.seen is None else signals.seen


def _overdue(signals: Signals) -> Any:
    return np.zeros(len(signals.state), np.bool_) if signals.overdue is None else signals.overdue


# --- out of arrays ---


def _scatter(
    moments: Sequence[Moment], inputs: Inputs, users: Users, report: Any, signals: SignalArrays, answers: Answers
) -> list[World]:
    """Return the snapshots, whose arrays are parts of those that hold all."""
    counts, user_bounds = answers.n_vehicles.tolist(), inputs.user_bounds.tolist()
    claims = [
        answers.claims[first : first + count].tolist() for first, count in zip(user_bounds[:-1], counts, strict=True)
    ]
    vehicles = [
        tuple([reports[claim] for claim in mine])
        for reports, mine in zip((list(moment.reports.values()) for moment in moments), claims, strict=True)
    ]
    connected = Connected(
        rows=np.concatenate(
            [answers.rows[first : first + count] for first, count in zip(user_bounds[:-1], counts, strict=True)]
        ),
        reported=np.array([vehicle.t for mine in vehicles for vehicle in mine], np.int64),
        report=report,
    )
    block = Block(
        users=users,
        connected=connected,
        signals=signals,
        ids=answers.ids,
        pace=answers.pace,
        addresses=(answers.ids.ctypes.data, answers.pace.ctypes.data, users.accel.ctypes.data),
    )
    parts = zip(
        pairwise(user_bounds), pairwise(accumulate(counts, initial=0)), pairwise(inputs.group_bounds.tolist()),
        strict=True,
    )  # fmt: skip
    holds = answers.holds.tolist()
    return [
        _world(moment, mine, holding, BlockPart(block, *part))
        for moment, mine, holding, part in zip(moments, vehicles, holds, parts, strict=True)
    ]


def _world(moment: Moment, vehicles: tuple[Report, ...], holds: bool, part: BlockPart) -> World:
    block, (first, last) = part.block, part.users
    users, (first_vehicle, last_vehicle) = block.users, part.vehicles
    signals = moment.signals
    if moment.doubts or not holds or signals.seen is None:
        signals = believed(signals, moment.t, moment.doubts)
        _replace_signals(signals, part)
    snapshot = World(
        t=moment.t,
        code=moment.code,
        tracks=users.tracks[first:last],
        signals=signals,
        hazards=moment.hazards,
        vehicles=vehicles,
        rows=block.connected.rows[first_vehicle:last_vehicle],
        reported=block.connected.reported[first_vehicle:last_vehicle],
        report=block.connected.report[first:last],
        path=users.path[first:last],
        s=users.s[first:last],
        lateral=users.lateral[first:last],
        speed=users.speed[first:last],
        accel=users.accel[first:last],
        to_stop=users.to_stop[first:last],
        connection=users.connection[first:last],
        t_sensor=moment.t_sensor,
        t_rx=moment.t_rx,
        perception_age=moment.t - moment.t_sensor,
        signal_trouble=moment.signal_trouble,
        doubt_reason=moment.doubt_reason,
        sensor_trouble=moment.sensor_trouble,
        share=np.ones(moment.code.n_conns) if moment.share is None else moment.share,
        stopped=moment.stopped,
        next_signals=moment.next_signals,
        rules=moment.rules,
    )
    snapshot.block = part
    return snapshot


def _replace_signals(signals: Signals, part: BlockPart) -> None:
    """Put what may be believed of signals in the place of what was received."""
    first, last = part.groups
    for name, column in zip(SignalArrays._fields, part.block.signals, strict=True):
        column[first:last] = getattr(signals, name)
