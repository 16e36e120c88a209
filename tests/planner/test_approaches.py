"""Vehicles followed to their stop lines: the kernel against plain Python, over observations of busy worlds in turn."""

import dataclasses
from math import isnan

import numpy as np
from busy_worlds import busy_world
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudctl import approaches, codes, maps
from cloudctl.clock import SECOND
from cloudctl.codes import compile_code
from cloudctl.driving import STANDING_SPEED
from cloudctl.forecast.stop_line import forecast_stop_lines
from cloudctl.road_users import IS_MOTOR_VEHICLE
from cloudctl.signals.colours import IS_GREEN
from cloudctl.world import World

CODE = compile_code(codes.load(maps.path("intersection.json")))
SCENES = [busy_world(CODE, seed) for seed in range(12)]


class Twin:
    """The same by dictionaries: approaches by track, as lists in the order of the kernel's columns."""

    def __init__(self) -> None:
        self.approaches: dict[int, list[int]] = {}
        self.observed: dict[int, tuple[int, int, float]] = {}  # by lane: vehicles, most standing, longest queue

    def observe(self, world: World) -> tuple[list[list[int]], list[tuple[int, float]]]:
        """Return the approaches of the vehicles that passed, and the lane and speed of those near a stop line."""
        distance, blocked, standing = world.to_stop.tolist(), set(), {}
        passed, speeds = [], []
        rows = [k for k, kind in enumerate(world.tracks["class"]) if IS_MOTOR_VEHICLE[kind] and not isnan(distance[k])]
        for row in sorted(rows, key=distance.__getitem__):
            path, connection, speed = int(world.path[row]), int(world.connection[row]), float(world.speed[row])
            lane, track = int(CODE.conn_from[connection]) if connection >= 0 else path, int(world.tracks["id"][row])
            if path < 0 or not 0 <= lane < CODE.n_lanes:
                continue
            if distance[row] <= 0.0:
                if track in self.approaches:
                    approach = self.approaches.pop(track)
                    approach[4] = connection if connection >= 0 else approach[4]
                    passed.append(approach)
                continue

            self._approach(world, [track, lane, connection], distance[row], speed, lane in blocked)
            if speed < approaches.MAX_STATIONARY_SPEED:
                blocked.add(lane)
            if distance[row] < approaches.MAX_DISTANCE:
                standing[lane] = standing.get(lane, 0) + (speed < STANDING_SPEED)
                if path < CODE.n_lanes:
                    speeds.append((path, max(speed, 0.0)))

        self._total(standing, [lane for lane, _ in speeds], forecast_stop_lines(world).queue_tail.tolist())
        gone = [track for track, a in self.approaches.items() if world.t - a[1] > approaches.MAX_UNSEEN]
        for track in gone:
            del self.approaches[track]
        return passed, speeds

    def _approach(self, world: World, key: list[int], distance: float, speed: float, is_blocked: bool) -> None:
        track, lane, connection = key
        unhindered = world.t + int(distance / max(float(CODE.lane_speed[lane]), 1.0) * SECOND)
        new = [track, 0, unhindered, 0, connection, -1, approaches.NEVER]
        approach = self.approaches.setdefault(track, new)
        approach[1], approach[3] = world.t, lane
        approach[4] = connection if connection >= 0 else approach[4]
        group = int(CODE.conn_group[approach[4]]) if approach[4] >= 0 else -1
        is_green = group < 0 or bool(IS_GREEN[world.signals.state[group]])
        if approach[5] == -1 and world.t >= approach[2]:
            approach[5] = int(is_green)
        if speed >= approaches.MAX_STATIONARY_SPEED:
            approach[6] = approaches.NEVER
        elif is_blocked or not is_green or approach[6] == approaches.NEVER:
            approach[6] = world.t

    def _total(self, standing: dict[int, int], lanes: list[int], queue_tail: list[float]) -> None:
        for lane in {*standing, *lanes, *self.observed}:
            vehicles, most, longest = self.observed.get(lane, (0, 0, -np.inf))
            most, longest = max(most, standing.get(lane, 0)), max(longest, queue_tail[lane])
            self.observed[lane] = (vehicles + lanes.count(lane), most, longest)


@settings(max_examples=40)
@given(seeds=st.lists(st.integers(0, len(SCENES) - 1), min_size=1, max_size=6), pause=st.integers(1, 5))
def test_the_kernel_follows_vehicles_as_plain_python_does(seeds: list[int], pause: int) -> None:
    twin, totals, followed = Twin(), approaches.no_totals(CODE.n_lanes), approaches.NO_APPROACHES
    for number, seed in enumerate(seeds):
        world = dataclasses.replace(SCENES[seed], t=SCENES[0].t + number * pause * SECOND)
        observed = approaches.observe(world, followed, totals)
        followed = observed.approaches
        passed, speeds = twin.observe(world)
        expected = [twin.approaches[track] for track in sorted(twin.approaches)]
        assert followed.tolist() == expected
        assert observed.passed.tolist() == passed
        assert list(zip(observed.lane.tolist(), observed.speed.tolist(), strict=True)) == speeds
        assert observed.oldest_stop == min([a[6] for a in expected], default=approaches.NEVER)

    for lane in range(CODE.n_lanes):
        assert totals.is_observed[lane] == (lane in twin.observed)
        if lane in twin.observed:
            found = (int(totals.vehicles[lane]), int(totals.standing[lane]), float(totals.queue_tail[lane]))
            assert found == twin.observed[lane]
