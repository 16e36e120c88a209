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
    return table(
        ["tracks / connected", "p50 us", "p99 us", "snapshot us", "proposals", "kinds"],
        [measure(n, m) for n, m in ((40, 10), (60, 20), (240, 60))],
    )


def measure(n: int, connected: int, rounds: int = 400) -> list[object]:
    code = tolled(corridor()[0])
    scene = Scene(code, n)
    tracks = np.zeros(n, TRACK)
    walkers = np.arange(n - n // 12, n)
    declared = [movement(code, int(lane)) for lane in scene.lanes[:connected]]
    signals = half_green(code)
    hazard = Hazard(1, "r0", "h", "obstacle", T, T, T + 60 * SECOND, code.lane_ids[int(scene.lanes[1])], (200.0, 210.0))
    whole, building, proposals = [], [], []
    kinds: set[str] = set()
    before = None
    for k in range(rounds):
        t = T + k * SECOND // 10
        state = scene.at(k * SECOND // 10)
        tracks["x"], tracks["y"], tracks["vx"], tracks["vy"] = state.T
        tracks["id"], tracks["length"], tracks["existence"], tracks["class"] = (
            np.arange(1, n + 1),
            4.6,
            1.0,
            ObjectClass.CAR,
        )
        tracks["width"], tracks["height"], tracks["status"] = 1.8, 1.5, 1
        tracks["vehicle"][:connected] = np.arange(1, connected + 1)
        walk(code, tracks, walkers, k)
        own = scene.state(T)
        reports = {h: world.Report(f"v{h}", h, own, t, *declared[h - 1]) for h in range(1, connected + 1)}
        begin = stopwatch()
        now = msgspec.structs.replace(signals, t=t, seen=np.full(len(signals.state), t))
        snapshot = snapshots.build(
            t, code, tracks.copy(), now, (hazard,), reports, t, t, before, stopped=(connected + 1,)
        )
        middle = stopwatch()
        candidates = planner.plan(snapshot)
        whole.append((stopwatch() - begin) / 1000)
        building.append((middle - begin) / 1000)
        proposals.append(len(candidates))
        kinds |= {candidate.kind for candidate in candidates}
        before = snapshot
    return [
        f"{n} / {connected}",
        median(whole[20:]),
        float(np.quantile(whole[20:], 0.99)),
        median(building[20:]),
        median(proposals),
        len(kinds),
    ]


def tolled(code: CompiledCode) -> CompiledCode:
    """Return a code with a toll on one of its exit roads."""
    exit_lane = next(k for k in range(code.n_lanes) if code.lane_role[k] == 2 and code.lane_use[k] == 0)
    toll = Rule("R80", "toll", (Target(code.lane_ids[exit_lane]),), 15.0)
    return compile_code(msgspec.structs.replace(code.code, rules=(*code.code.rules, toll)))


def movement(code: CompiledCode, lane: int) -> tuple[int, tuple[int, int, int]]:
    """Return the first movement of a lane, and its paths."""
    found = np.flatnonzero(code.conn_inner & (code.conn_from == lane))
    return (int(found[0]), world.declare(code, int(found[0]))) if len(found) else (-1, (-1, -1, -1))


def half_green(code: CompiledCode) -> Signals:
    """Return signals every other group of which shows green for 60 s more."""
    n = len(code.group_ids)
    end, lasts = np.full(n, T + 60 * SECOND), np.full(n, 20 * SECOND)
    shown = np.where(np.arange(n) % 2, SignalState.RED, SignalState.GREEN_PERMISSIVE).astype(np.uint8)
    never = np.full(n, NEVER)
    return Signals(
        T,
        1,
        code.code.revision,
        shown,
        end,
        end,
        end,
        np.ones(n),
        end + 20 * SECOND,
        lasts,
        seen=np.full(n, T),
        overdue=np.zeros(n, np.bool_),
        due=never,
    )


def walk(code: CompiledCode, tracks: Any, rows: Any, k: int) -> None:
    """Put pedestrians on the crosswalks, each somewhere along one, walking."""
    for row in rows:
        x0, y0, x1, y1 = code.cross_axis[row % len(code.cross_axis)]
        length = float(np.hypot(x1 - x0, y1 - y0))
        s = (0.12 * k + 3.7 * row) % length
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        tracks["x"][row], tracks["y"][row], tracks["vx"][row], tracks["vy"][row] = (
            x0 + s * ux,
            y0 + s * uy,
            WALK * ux,
            WALK * uy,
        )
        tracks["class"][row], tracks["length"][row], tracks["width"][row] = ObjectClass.PEDESTRIAN, 0.5, 0.5
