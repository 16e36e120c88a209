"""An intersection on which road users are put, and its snapshot: worlds made for the planners' tests."""

import numpy as np

from cloudctl import planner, snapshots, world
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.fusion import TRACK
from cloudctl.planner import Candidate
from cloudctl.schema import AdvisoryKind, Hazard, ObjectClass, SignalState, VehicleState
from cloudctl.signals.states import Signals

T = 1_767_225_600 * SECOND
RED, GREEN = int(SignalState.RED), int(SignalState.GREEN_PROTECTED)


class Stage:
    """Road users on one intersection. Vehicles are v1, v2, ... in the order they were put, their tracks 1, 2, ..."""

    def __init__(self, code: CompiledCode) -> None:
        self.code = code
        self.rows: list[dict[str, float]] = []
        self.reports: dict[int, world.Report] = {}
        self.ingress = [k for k in range(code.n_lanes) if code.lane_role[k] == 0 and code.lane_use[k] == 0]
        self.state, self.left = RED, 12.0
        self.spread, self.confidence = 0.0, 1.0  # s from the earliest to the latest end, and how sure the ends are
        self.shown: dict[int, int] = {}  # by group index, where it is not `state`
        self.hazards: tuple[Hazard, ...] = ()
        self.stopped: tuple[int, ...] = ()
        self.open: tuple[str, ...] | None = None  # revocable lanes in use
        self.share: np.ndarray | None = None
        self.before: world.World | None = None

    def clear(self) -> None:
        self.rows.clear()
        self.reports.clear()

    def put(self, lane: int, before: float, speed: float, kind: str | None = "car", connection: int | None = None, turned: bool = False,  # noqa: E501
            automated: bool = False, **track: float) -> int:  # fmt: skip
        """Put a vehicle `before` m before the stop line of a lane; connected unless `kind` is None. Returns its
        handle.
        """
        code = self.code
        stop = code.lane_stop_s[lane] if not np.isnan(code.lane_stop_s[lane]) else code.path_length[lane]
        if kind and connection is None:
            connection = int(np.flatnonzero(code.conn_inner & (code.conn_from == lane))[0])
        return self.on(lane, stop - before - 2.4, speed, kind, connection, turned, automated, **track)

    def on(self, path: int, s: float, speed: float, kind: str | None = None, connection: int | None = None, turned: bool = False,  # noqa: E501
           automated: bool = False, **track: float) -> int:  # fmt: skip
        """Put a vehicle whose middle is `s` m along a path (lanes first, then connections)."""
        code = self.code
        a, b = code.path_start[path], code.path_start[path + 1]
        arc, xy = code.path_s[a:b], code.path_xy[a:b]
        x, y = float(np.interp(s, arc, xy[:, 0])), float(np.interp(s, arc, xy[:, 1]))
        i = int(np.clip(np.searchsorted(arc, s) - 1, 0, len(arc) - 2))
        ux, uy = (xy[i + 1] - xy[i]) / np.hypot(*(xy[i + 1] - xy[i]))
        way = -1.0 if turned else 1.0
        handle = self.at(x, y, way * ux * speed, way * uy * speed, heading=float(np.arctan2(uy, ux)), **track)
        if kind:
            self.rows[-1]["vehicle"] = handle
            state = VehicleState(T, 0.0, 0.0, speed, 0.0, kind, automated=automated)
            paths = world.declare(code, connection) if connection is not None else (-1, -1, -1)
            self.reports[handle] = world.Report(
                f"v{handle}", handle, state, T, -1 if connection is None else connection, paths
            )
        return handle

    def at(self, x: float, y: float, vx: float, vy: float, **track: float) -> int:
        """Put a road user anywhere: a car, unless `track` says otherwise."""
        row = {
            "length": 4.8,
            "width": 1.8,
            "height": 1.5,
            "existence": 1.0,
            "status": 1,
            "class": ObjectClass.CAR,
            "vehicle": 0,
        }
        row |= {"var_x": 0.04, "var_y": 0.04, "var_vx": 0.04, "var_vy": 0.04}
        self.rows.append(row | {"x": x, "y": y, "vx": vx, "vy": vy} | track)
        return len(self.rows)

    def world(self, t: int = T) -> world.World:
        tracks = np.zeros(len(self.rows), TRACK)
        for k, row in enumerate(self.rows):
            for name, value in row.items():
                tracks[k][name] = value
            tracks[k]["id"] = k + 1
        n, end = len(self.code.group_ids), t + int(self.left * SECOND)
        ends, latest = np.full(n, end), np.full(n, end + int(self.spread * SECOND))
        shown = np.full(n, self.state, np.uint8)
        for group, state in self.shown.items():
            shown[group] = state
        signals = Signals(
            t, 1, self.code.code.revision, shown, ends, latest, ends, np.full(n, self.confidence),
            np.where(shown == RED, ends, end + 30 * SECOND), np.full(n, 20 * SECOND), self.open,
        )  # fmt: skip
        return snapshots.build(
            t, self.code, tracks, signals, self.hazards, self.reports, t, t, self.before, None, self.share, self.stopped
        )

    def said(self, kind: AdvisoryKind) -> dict[str, Candidate]:
        return {c.target: c for c in planner.plan(self.world()) if c.kind is kind}


def words(candidate: Candidate) -> str:
    """Return what a candidate says."""
    return candidate.reason.format(**candidate.facts)
