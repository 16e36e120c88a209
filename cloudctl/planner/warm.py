"""Loads every compiled kernel before the first message, so that no message pays for it."""

import numpy as np
from msgspec.structs import replace

from .. import snapshots, world
from ..approaches import NO_APPROACHES, no_totals, observe
from ..clock import SECOND
from ..codes import CompiledCode
from ..forecast.prediction import point, predict
from ..fusion import TRACK
from ..fusion_settings import MAX_SOURCES
from ..matching import match, path_at
from ..road_users import IS_MOTOR_VEHICLE
from ..schema import Hazard, ObjectClass, SignalState, VehicleState
from ..sensor_health import count_moving
from ..signals.states import Doubt, Signals, believed
from . import plan
from .filter import AdvisoryFilter
from .screened import Screened

END_DISTANCE = 8.0  # m before the end of a path: a vehicle there is about to leave it
SPEED = 15.0  # m/s
PROMISED_END = 20 * SECOND
SHOWN_STATES = (SignalState.RED, SignalState.GREEN_PERMISSIVE, SignalState.DARK)
EVERYTHING = (True, True, True)  # signal times, signal states and perception are there
PEDESTRIAN_INTERVAL = 4  # each fourth road user is a pedestrian


def warm(code: CompiledCode) -> None:
    """Match and plan for connected vehicles on every lane and movement, before every state of the signals, with an
    obstacle on the first lane of each road; and for one vehicle alone, whose arrays numba compiles for by
    themselves."""
    tracks, reports = _road_users(code)
    match(code, tracks[:1], np.full((1, 3), -1, np.int64))  # as tracks of no connected vehicle are matched
    path_at(code, x=0.0, y=0.0, vx=SPEED, vy=0.0)
    _, first_lanes = np.unique(code.lane_link, return_index=True)
    hazards = tuple(_obstacle(code.lane_ids[lane]) for lane in first_lanes.tolist())

    before = None

    for number in range(len(SHOWN_STATES)):
        t = number + 1
        signals = _signals(code, number, t)

        # The long way, for what is doubted or has failed.
        believed(signals, t, {0: Doubt.NONE} if len(code.group_ids) else None)

        # The short way, for what has been seen lately.
        believed(replace(signals, seen=np.full(len(code.group_ids), t)), t)

        before = snapshots.build(t, code, tracks, signals, hazards, reports, 1, 1, before)
        count_moving(before.tracks, before.path, IS_MOTOR_VEHICLE, *np.zeros((2, MAX_SOURCES), np.int64))
        observe(before, NO_APPROACHES, no_totals(code.n_lanes))
        plan(before)
        Screened([before], [EVERYTHING], [AdvisoryFilter()]).propose(0, ask_every_kind=True)
        predict(before)  # whole paths are for viewers
        plan(snapshots.build(t, code, tracks[:1], signals, hazards, reports, 1, 1, before))


def _obstacle(lane: str) -> Hazard:
    return Hazard(version=1, rsu="", id="", kind="obstacle", t=1, start=1, end=2, lane=lane, s=(20.0, 21.0))


def _signals(code: CompiledCode, number: int, t: int) -> Signals:
    """Return signal states at `t` ns: the groups show SHOWN_STATES in turn, from the one of that number on."""
    groups = len(code.group_ids)
    dark, promised_end = Signals.dark(groups), np.full(groups, PROMISED_END)
    shown = [SHOWN_STATES[(group + number) % len(SHOWN_STATES)] for group in range(groups)]

    return Signals(
        t=1,
        seq=number,
        revision=code.code.revision,
        state=np.array(shown, np.uint8),
        min_end=promised_end,
        max_end=promised_end,
        likely_end=promised_end,
        confidence=np.ones(groups),
        next_green=promised_end,
        next_duration=dark.next_duration,
        seen=np.full(groups, t),
        overdue=dark.overdue,
    )


def _road_users(code: CompiledCode) -> tuple[np.ndarray, dict[int, world.Report]]:
    """Return road users at the beginning, in the middle and near the end of every path, moving along it:
    ndarray[TRACK]; and what they report."""
    positions = [
        (path, s) for path in range(code.n_lanes + code.n_conns) for s in _spots(float(code.path_length[path]))
    ]
    tracks, reports = np.zeros(len(positions), TRACK), {}
    state = VehicleState(1, code.origin.lat, code.origin.lon, SPEED, 0.0)
    spot = np.empty(4)

    for k, (path, s) in enumerate(positions):
        point(path, s, code.path_start, code.path_xy, code.path_s, spot)
        x, y, ux, uy = spot.tolist()
        tracks[k]["x"], tracks[k]["y"] = x, y
        tracks[k]["vx"], tracks[k]["vy"] = SPEED * ux, SPEED * uy

        movements = np.flatnonzero(code.conn_inner & (code.conn_from == path)).tolist()
        connection = movements[0] if movements else -1
        paths = world.declare(code, connection) if movements else world.UNKNOWN
        reports[k + 1] = world.Report(id=str(k + 1), handle=k + 1, state=state, t=1, connection=connection, paths=paths)

    tracks["class"], tracks["existence"], tracks["status"] = ObjectClass.CAR, 1.0, 1
    tracks["class"][::PEDESTRIAN_INTERVAL] = ObjectClass.PEDESTRIAN
    tracks["length"], tracks["id"] = 4.8, np.arange(1, len(tracks) + 1)
    tracks["vehicle"] = tracks["id"]

    return tracks, reports


def _spots(length: float) -> tuple[float, float, float]:
    return 0.0, 0.5 * length, max(length - END_DISTANCE, 0.0)
