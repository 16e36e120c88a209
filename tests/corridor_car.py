"""A connected vehicle that drives along a corridor and declares two movements: the first one's green lasts, the second
one's signal is red for longer. Signals and states as they are sent, for tests of what comes after the next signal."""

from dataclasses import dataclass

import numpy as np

from bench.scene import corridor
from cloudctl import downstream
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.codes.citycode import sub_code
from cloudctl.engine import Engine
from cloudctl.schema import Group, SignalState, VehicleState
from cloudctl.settings import EngineConfig

SPEED = 13.0  # m/s
START = 150.0  # m before the first stop line
GREEN_LEFT, RED_LEFT = 45.0, 115.0  # s at the beginning: of the first green, and until the second
OWN, NEXT = 0, 1


@dataclass
class CorridorCar:
    """The vehicle, from `begin` ns on. `codes`: of the intersection it comes to, and of the one after it."""

    codes: tuple[CompiledCode, CompiledCode]
    movements: tuple[int, int]  # connections of those
    begin: int = 0

    @property
    def names(self) -> tuple[str, str]:
        return self.codes[OWN].code.id, self.codes[NEXT].code.id

    def groups(self, which: int) -> tuple[Group, ...]:
        """Return the signal groups of an intersection: all red but the vehicle's own at the first."""
        code = self.codes[which]
        group = int(code.conn_group[self.movements[which]])
        ids = [int(number) for number in code.group_ids]
        green_end = self.begin + int(GREEN_LEFT * SECOND)
        green_begin = self.begin + int(RED_LEFT * SECOND)
        shown = []
        for index, number in enumerate(ids):
            if index != group:
                shown.append(Group(number, SignalState.RED))
            elif which == OWN:
                shown.append(Group(number, SignalState.GREEN_PROTECTED, green_end, green_end, green_end, 1.0))
            else:
                shown.append(
                    Group(
                        group=number,
                        state=SignalState.RED,
                        min_end=green_begin,
                        max_end=green_begin,
                        likely_end=green_begin,
                        confidence=1.0,
                        next_green=green_begin,
                        next_duration=20 * SECOND,
                    )
                )
        return tuple(shown)

    def state(self, t: int) -> VehicleState:
        """Return what the vehicle reports at `t` ns; it keeps its speed, up to the stop line."""
        code, movement = self.codes[OWN], self.movements[OWN]
        lane = int(code.conn_from[movement])
        begin, end = int(code.path_start[lane]), int(code.path_start[lane + 1])
        stop = code.lane_stop_s[lane] if not np.isnan(code.lane_stop_s[lane]) else code.path_length[lane]
        s = min(float(stop) - START + SPEED * (t - self.begin) / SECOND, float(stop) - 5.0)
        xs, ys = (np.interp([s, s + 1.0], code.path_s[begin:end], code.path_xy[begin:end, axis]) for axis in (0, 1))
        lat, lon = (float(value) for value in code.origin.to_geodetic(xs[0], ys[0]))
        names = tuple(
            sub_code(self.codes[which].code.id, self.codes[which].conn_ids[self.movements[which]])
            for which in (OWN, NEXT)
        )
        return VehicleState(t, lat, lon, SPEED, float(np.arctan2(ys[1] - ys[0], xs[1] - xs[0])), movements=names)


def corridor_car(first: int, second: int) -> CorridorCar | None:
    """Return the vehicle between two of the corridor's intersections, by number; None where they are no neighbours."""
    codes = corridor()
    pair = (codes[first], codes[second])
    engine = Engine([code.code for code in pair], EngineConfig({}))
    own, there = (engine.intersections[code.code.id] for code in pair)
    links = downstream.exit_links(own, [there])
    for lane in links:
        for movement in range(pair[OWN].n_conns):
            is_taken = pair[OWN].conn_to[movement] == lane and pair[OWN].conn_inner[movement]
            if is_taken and pair[OWN].conn_group[movement] >= 0 and pair[OWN].conn_turn[movement] == 0:
                return CorridorCar(pair, (movement, _onward(pair, lane)))
    return None


def _onward(pair: tuple[CompiledCode, CompiledCode], lane: int) -> int:
    """Return the movement straight on at the second intersection of what leaves the first by a lane."""
    code, other = pair
    end = int(code.path_start[lane + 1]) - 1
    x, y = other.origin.to_local(*code.origin.to_geodetic(code.path_xy[end, 0], code.path_xy[end, 1]))
    ways = np.flatnonzero(other.conn_inner & (other.conn_turn == 0) & (other.conn_group >= 0))
    begins = [other.path_xy[int(other.path_start[int(other.conn_from[way])])] for way in ways]
    return int(ways[int(np.argmin([np.hypot(bx - x, by - y) for bx, by in begins]))])
