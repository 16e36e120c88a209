"""Plan one intersection: snapshot, lane matching, prediction and every advisory kind, by number of tracks and connected
vehicles.

One track in twelve walks on a crosswalk, every other signal group shows green, and there are a toll, a hazard and a
stopped vehicle to warn of.
"""

from statistics import median
from typing import Any

import msgspec
import numpy as np
from cloudctl.sim.common.terminal import table

from bench.scene import Scene, corridor
from cloudctl import planner, snapshots, world
from cloudctl.clock import SECOND, stopwatch
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.codes.rule import Rule, Target
from cloudctl.fusion import TRACK
from cloudctl.schema import Hazard, ObjectClass, SignalState
from cloudctl.signals.states import NEVER, Signals

T = 1_767_225_600 * SECOND
WALK = 1.2  # m/s


def run() -> str:
    """Return the table: ms of a plan by tracks and connected vehicles."""
    return table(
        ["tracks / connected", "p50 us", "p99 us", "snapshot us", "proposals", "kinds"],
        [measure(objects, connected) for objects, connected in ((40, 10), (60, 20), (240, 60))],
    )


def measure(count: int, connected: int, rounds: int = 400) -> list[object]:
    """Return a row: ms of a plan (median, p99), of its snapshot, proposals and their kinds."""
    code = tolled(corridor()[0])
    scene = Scene(code, count)
    tracks = np.zeros(count, TRACK)
    walkers = np.arange(count - count // 12, count)
    declared = [movement(code, int(lane)) for lane in scene.lanes[:connected]]
    signals = half_green(code)

    hazard = Hazard(
        version=1,
        rsu="r0",
        id="h",
        kind="obstacle",
        t=T,
        start=T,
        end=T + 60 * SECOND,
        lane=code.lane_ids[int(scene.lanes[1])],
        s=(200.0, 210.0),
    )

    durations, building, proposals = [], [], []
    kinds: set[str] = set()
    before = None

    for index in range(rounds):
        time_ns = T + index * SECOND // 10
        state = scene.at(index * SECOND // 10)
        tracks["x"], tracks["y"], tracks["vx"], tracks["vy"] = state.T
        tracks["id"], tracks["existence"], tracks["class"] = np.arange(1, count + 1), 1.0, ObjectClass.CAR
        tracks["length"] = 4.6
        tracks["width"], tracks["height"], tracks["status"] = 1.8, 1.5, 1
        tracks["vehicle"][:connected] = np.arange(1, connected + 1)
        walk(code, tracks, walkers, index)
        own = scene.state(T)
        reports = {
            handle: world.Report(f"v{handle}", handle, own, time_ns, *declared[handle - 1])
            for handle in range(1, connected + 1)
        }
        begin = stopwatch()
        now = msgspec.structs.replace(signals, t=time_ns, seen=np.full(len(signals.state), time_ns))
        snapshot = snapshots.build(
            time_ns, code, tracks.copy(), now, (hazard,), reports, time_ns, time_ns, before, stopped=(connected + 1,)
        )
        middle = stopwatch()
        candidates = planner.plan(snapshot)
        durations.append((stopwatch() - begin) / 1000)
        building.append((middle - begin) / 1000)
        proposals.append(len(candidates))
        kinds |= {candidate.kind for candidate in candidates}
        before = snapshot

    return [
        f"{count} / {connected}",
        median(durations[20:]),
        float(np.quantile(durations[20:], 0.99)),
        median(building[20:]),
        median(proposals),
        len(kinds),
    ]


def tolled(code: CompiledCode) -> CompiledCode:
    """Return a code with a toll on one of its exit roads."""
    exit_lane = next(index for index in range(code.n_lanes) if code.lane_role[index] == 2 and code.lane_use[index] == 0)
    toll = Rule(id="R80", kind="toll", targets=(Target(code.lane_ids[exit_lane]),), value=15.0)
    return compile_code(msgspec.structs.replace(code.code, rules=(*code.code.rules, toll)))


def movement(code: CompiledCode, lane: int) -> tuple[int, tuple[int, int, int]]:
    """Return the first movement of a lane, and its paths."""
    movements = np.flatnonzero(code.conn_inner & (code.conn_from == lane))
    if len(movements):
        return (int(movements[0]), world.declare(code, int(movements[0])))
    return (-1, (-1, -1, -1))


def half_green(code: CompiledCode) -> Signals:
    """Return signals every other group of which shows green for 60 s more."""
    count = len(code.group_ids)
    end, lasts = np.full(count, T + 60 * SECOND), np.full(count, 20 * SECOND)
    shown = np.where(np.arange(count) % 2, SignalState.RED, SignalState.GREEN_PERMISSIVE).astype(np.uint8)
    never = np.full(count, NEVER)

    return Signals(
        t=T,
        seq=1,
        revision=code.code.revision,
        state=shown,
        min_end=end,
        max_end=end,
        likely_end=end,
        confidence=np.ones(count),
        next_green=end + 20 * SECOND,
        next_duration=lasts,
        seen=np.full(count, T),
        overdue=np.zeros(count, np.bool_),
        due=never,
    )


def walk(code: CompiledCode, tracks: Any, rows: Any, step: int) -> None:
    """Put pedestrians on the crosswalks, each somewhere along one, walking."""
    for row in rows:
        x0, y0, x1, y1 = code.cross_axis[row % len(code.cross_axis)]
        length = float(np.hypot(x1 - x0, y1 - y0))
        s = (0.12 * step + 3.7 * row) % length
        ux, uy = (x1 - x0) / length, (y1 - y0) / length

        tracks["x"][row], tracks["y"][row], tracks["vx"][row], tracks["vy"][row] = (
            x0 + s * ux,
            y0 + s * uy,
            WALK * ux,
            WALK * uy,
        )

        tracks["class"][row], tracks["length"][row], tracks["width"][row] = ObjectClass.PEDESTRIAN, 0.5, 0.5
