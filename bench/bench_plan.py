"""Plan one intersection: snapshot, lane matching and every advisory kind, by number of tracks and connected vehicles."""

from statistics import median

import numpy as np
from cloudctl.sim.show import table

from bench.scene import Scene, corridor
from cloudctl import planner, world
from cloudctl.clock import SECOND, stopwatch
from cloudctl.fusion import TRACK
from cloudctl.schema import SignalState

T = 1_767_225_600 * SECOND


def run() -> str:
    return table(
        ["tracks / connected", "p50 us", "p99 us", "snapshot us"],
        [measure(n, m) for n, m in ((40, 10), (60, 20), (240, 60))],
    )


def measure(n: int, connected: int, rounds: int = 400) -> list[object]:
    code = corridor()[0]
    scene = Scene(code, n)
    tracks = np.zeros(n, TRACK)
    signals = world.Signals.dark(len(code.group_ids))
    end = np.full(len(code.group_ids), T + 12 * SECOND)
    signals = world.Signals(
        T,
        1,
        code.code.revision,
        np.full(len(end), SignalState.RED, np.uint8),
        end,
        end,
        end,
        np.ones(len(end)),
        end,
        end,
    )
    whole, snapshots = [], []
    for k in range(rounds):
        state = scene.at(k * SECOND // 10)
        tracks["x"], tracks["y"], tracks["vx"], tracks["vy"] = state.T
        tracks["id"], tracks["length"], tracks["existence"], tracks["class"] = np.arange(1, n + 1), 4.6, 1.0, 1
        tracks["vehicle"][:connected] = np.arange(1, connected + 1)
        own = scene.state(T)
        reports = {h: world.Report(f"v{h}", h, own, T, -1, (-1, -1, -1)) for h in range(1, connected + 1)}
        begin = stopwatch()
        snapshot = world.build(T, code, tracks, signals, (), reports, T, T)
        middle = stopwatch()
        planner.plan(snapshot)
        whole.append((stopwatch() - begin) / 1000)
        snapshots.append((middle - begin) / 1000)
    return [f"{n} / {connected}", median(whole[20:]), float(np.quantile(whole[20:], 0.99)), median(snapshots[20:])]
