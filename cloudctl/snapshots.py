"""Makes the snapshots of many intersections by one compiled call: where each track is on the lanes, how it accelerates,
which connected vehicle it is, and whether all that its signals promise may be believed.

Each intersection is worked out by itself, on its slice of arrays that hold all of them: its snapshot never depends on
which others share the call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import CompiledCode
from .codes.compiled.addresses import floats, inner_kernel, joined, longs, row_at
from .codes.compiled.arrays import CODE_ARRAYS, tables_at
from .codes.compiled.rules import RuleTable
from .kernels import njit
from .matching import CLOSED_PENALTY, Floats, Matched, match_in
from .schema import Hazard
from .signals.packed import ENTRY_COLUMNS, signals_at
from .signals.states import Signals, all_holds, believed
from .world import (
    ACCEL,
    ARRAYS,
    CONNECTION,
    FLOATS,
    IDS,
    LATERAL,
    LONGS,
    PACE,
    PATH,
    REPORT,
    SPEED,
    TO_STOP,
    Block,
    BlockPart,
    Moment,
    NextSignal,
    Report,
    S,
    World,
    column_of,
)

ACCELERATION_SMOOTHING = 0.4  # s, time constant
MAX_PATHS = 3  # of a declared movement


class Inputs(NamedTuple):
    """What the call reads beside tracks and signals."""

    places: Any  # int64[n, PLACE_COLUMNS], by intersection
    user_bounds: Any  # int64[n + 1]: where the tracks of each intersection begin
    declared: Any  # int64[reports, 5]: DECLARED
    closed: Any  # bool[paths]: tidal lanes that run the other way now; of an intersection without any, no rows


# Columns of `Inputs.places`: ns; the address of `CompiledCode.addresses`; how many rows of each array are of the
# intersection, and whether its tracks are matched to lanes; of its previous snapshot the time (ns), the addresses of
# its columns, and the number of its tracks; and `Signals.entry`.
T, CODE, REPORTS, IS_MATCHED, CLOSED, T_BEFORE, IDS_BEFORE, PACE_BEFORE, ACCEL_BEFORE, N_BEFORE, SIGNALS = range(11)
PLACE_COLUMNS = SIGNALS + ENTRY_COLUMNS


class Answers(NamedTuple):
    """What the call fills in beside the columns of the snapshots."""

    n_vehicles: Any  # int64[n]: connected vehicles that have a track
    claims: Any  # int64[3, tracks], by connected vehicle: which of the intersection's reports is its own, then its
    # track's row, then when it reported
    holds: Any  # bool[n]: all of the signals may be believed


@njit(cache=True)
def _paces(tracks: Any, pace: Any) -> None:
    """Fill in m/s of each track, in its own direction."""
    for i in range(len(tracks)):
        pace[i] = (tracks[i]["vx"] ** 2 + tracks[i]["vy"] ** 2) ** 0.5


@njit(cache=True, nogil=True)
def _fill(
    inputs: Inputs, tracks: Any, longs: Any, floats: Any, answers: Answers
) -> tuple[int, int]:  # fmt: skip
    """Fill in the snapshots, intersection by intersection; return `Block.addresses`: Python takes longer to find
    them."""
    report = closed = vehicle = 0  # where the rows of the intersection begin
    for p in range(len(inputs.places)):
        place = inputs.places[p]
        code = row_at(place[CODE], CODE_ARRAYS)
        first, last = inputs.user_bounds[p], inputs.user_bounds[p + 1]
        own, ids, pace = tracks[first:last], longs[IDS][first:last], floats[PACE][first:last]
        _paces(own, pace)

        for i in range(len(own)):
            ids[i] = own[i]["id"]

        # Declared paths make a lane more likely, lanes that are closed now less.
        declared = np.full((len(own), MAX_PATHS), -1, np.int64)
        answers.n_vehicles[p] = _claim(
            own, inputs.declared[report : report + place[REPORTS]], answers.claims[:, vehicle:],
            longs[REPORT][first:last], declared,
        )  # fmt: skip
        if place[IS_MATCHED] > 0:
            use_penalty = tables_at(code).use_penalty
            if place[CLOSED] > 0:
                use_penalty = use_penalty + CLOSED_PENALTY * inputs.closed[closed : closed + place[CLOSED]]

            matched = Matched(
                longs[PATH][first:last], floats[S][first:last], floats[LATERAL][first:last], floats[SPEED][first:last],
                longs[CONNECTION][first:last], floats[TO_STOP][first:last],
            )  # fmt: skip
            match_in(own, declared, use_penalty, code, matched)

        _accelerate(ids, pace, place, floats[ACCEL][first:last])

        signals = signals_at(place[SIGNALS:])
        answers.holds[p] = all_holds(
            place[T], signals.seen, signals.overdue, signals.max_end, signals.likely_end, signals.next_green,
        )  # fmt: skip
        report, closed = report + place[REPORTS], closed + place[CLOSED]
        vehicle += answers.n_vehicles[p]

    return longs.ctypes.data, floats.ctypes.data


@inner_kernel
def _claim(tracks: Any, reports: Any, claims: Any, report: Any, declared: Any) -> int:
    """Fill in which tracks are connected vehicles that report: `Answers.claims`, by track its place among them (-1
    none), and the paths they declared; return how many."""
    handles = reports[:, 0]
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

        claims[0, n], claims[1, n], claims[2, n], report[i] = order[low], i, reports[order[low], 1], n
        declared[i] = reports[order[low], 2:]
        n += 1

    return n


@inner_kernel
def _accelerate(ids: Any, pace: Any, place: Any, accel: Any) -> None:
    """Fill in the smoothed acceleration (m/s^2) of each track in its own direction, from its speed now and in the
    previous snapshot; both are in order of id. 0 for a new track."""
    count, dt = place[N_BEFORE], (place[T] - place[T_BEFORE]) / 1e9
    ids_before, pace_before = longs((place[IDS_BEFORE], count)), floats((place[PACE_BEFORE], count))
    accel_before = floats((place[ACCEL_BEFORE], count))
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
    inputs = _gather(moments, bounds)
    n, n_users = len(moments), len(tracks)
    longs, floats = np.empty((len(LONGS) + 1, n_users), np.int64), np.zeros((len(FLOATS) + 1, n_users))
    answers = Answers(
        n_vehicles=np.empty(n, np.int64), claims=np.empty((3, n_users), np.int64), holds=np.empty(n, np.bool_)
    )
    addresses = _fill(inputs, tracks, longs, floats, answers)
    shown = _believable(moments, answers.holds)

    counts = answers.n_vehicles.tolist()
    # The rows that are needed, copied: the array they are of is as large as if every track were connected.
    claims = answers.claims[:, : sum(counts)].copy()

    block = Block(
        tracks=tracks,
        longs=longs,
        floats=floats,
        rows=claims[1],
        reported=claims[2],
        addresses=addresses,
    )
    return _scatter(moments, shown, block, bounds.tolist(), counts, claims[0].tolist())


def _believable(moments: Sequence[Moment], holds: NDArray[np.bool_]) -> list[Signals]:
    """Return what may be believed of the signals of each intersection; `holds`: where that is all of them, but for
    doubts."""
    return [
        moment.signals if all_hold and not moment.doubts else believed(moment.signals, moment.t, moment.doubts)
        for moment, all_hold in zip(moments, holds.tolist(), strict=True)
    ]


# --- into arrays ---


def _gather(moments: Sequence[Moment], user_bounds: NDArray[np.int64]) -> Inputs:
    places: list[int] = []
    reports, closed_lanes = [], []
    for moment in moments:
        closed = moment.rules.closed(moment.t)
        reports += [report.declared_bytes for report in moment.reports.values()]
        if closed is not None:
            closed_lanes.append(closed)

        places += (
            moment.t, moment.code.address, len(moment.reports), moment.is_matched,
            0 if closed is None else len(closed), *_before(moment), *moment.signals.entry,
        )  # fmt: skip

    return Inputs(
        places=np.array(places, np.int64).reshape(-1, PLACE_COLUMNS),
        user_bounds=user_bounds,
        declared=np.frombuffer(bytearray(b"".join(reports)), np.int64).reshape(-1, 2 + MAX_PATHS),
        closed=joined(closed_lanes) if closed_lanes else NOWHERE,
    )


NOWHERE = np.zeros(0, np.bool_)


def _before(moment: Moment) -> tuple[int, int, int, int, int]:
    """Return what `Inputs.places` holds of the previous snapshot: no track where there is none, or none before."""
    previous = moment.previous
    if previous is None or moment.t <= previous.t:
        return moment.t, 0, 0, 0, 0

    part = previous.block or detached(previous).block
    assert part is not None
    (first, last), (longs, floats), count = part.users, part.block.addresses, len(part.block.tracks)

    return (
        previous.t, longs + 8 * (IDS * count + first), floats + 8 * (PACE * count + first),
        floats + 8 * (ACCEL * count + first), last - first,
    )  # fmt: skip


def detached(world: World) -> World:
    """Return a snapshot with arrays of its own: it keeps no others of those that it was made with in memory."""
    tracks = world.tracks.view(np.uint8).copy().view(world.tracks.dtype)  # whole records, their padding too
    longs = np.array([*[getattr(world, name) for name in LONGS], tracks["id"]], np.int64)
    floats = np.array([*[getattr(world, name) for name in FLOATS], np.zeros(len(tracks))])
    _paces(tracks, floats[PACE])

    block = Block(
        tracks=tracks,
        longs=longs,
        floats=floats,
        rows=world.rows.copy(),
        reported=world.reported.copy(),
        addresses=(longs.ctypes.data, floats.ctypes.data),
    )
    part = BlockPart(block, (0, len(tracks)), (0, len(block.rows)))
    copy = replace(world, **{name: column_of(part, name) for name in ARRAYS})
    copy.block = part

    return copy


# --- out of arrays ---


def _scatter(
    moments: Sequence[Moment], shown: Sequence[Signals], block: Block, bounds: list[int], counts: list[int],
    claims: list[int],
) -> list[World]:  # fmt: skip
    """Return the snapshots, whose arrays are parts of those of a block. `bounds`: of tracks; `counts`: of connected
    vehicles; `claims`: which of its intersection's reports is that of each."""
    worlds, vehicle = [], 0
    for p, moment in enumerate(moments):
        last_vehicle = vehicle + counts[p]
        users = bounds[p], bounds[p + 1]
        part = BlockPart(block, users, (vehicle, last_vehicle), moment.is_matched)
        vehicles: tuple[Report, ...] = ()

        if last_vehicle > vehicle:
            reports = list(moment.reports.values())
            vehicles = tuple([reports[claim] for claim in claims[vehicle:last_vehicle]])

        worlds.append(World.of_block(part, moment, shown[p], vehicles))
        vehicle = last_vehicle

    return worlds
