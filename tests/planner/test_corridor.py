"""The signal after this one: found in the next code, and heeded by speed advice."""

import dataclasses

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage import GREEN, RED, Stage, T

from bench.scene import corridor as codes_of_corridor
from cloudctl import downstream, planner, world
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.intersection import IntersectionState
from cloudctl.planner.kinds.glosa import MAX_LATER, ONWARD_SPEED, later
from cloudctl.schema import AdvisoryKind
from cloudctl.settings import EngineConfig
from cloudctl.world import NextSignal

BLOCK = 375.0  # m between the stop lines of the shipped corridor's intersections, the intersection left out


@pytest.fixture(scope="module")
def places() -> list[IntersectionState]:
    codes = codes_of_corridor()
    engine = Engine([c.code for c in codes], EngineConfig({"g": {f"r{k}": c.code.id for k, c in enumerate(codes)}}))
    return list(engine.intersections.values())


def pair(places: list[IntersectionState]) -> tuple[IntersectionState, IntersectionState, int]:
    """Return two neighbours and an exit lane of the first that leads to the second."""
    for place in places:
        for lane, there in downstream.exit_links(place, places).items():
            return place, there.place, lane
    raise AssertionError("the corridor's intersections are joined")


def test_an_exit_lane_leads_to_the_next_stop_line(places: list[IntersectionState]) -> None:
    found = [there for place in places for there in downstream.exit_links(place, places).values()]
    assert len(found) == 8 * 3, "four roads between five intersections, both ways, three lanes each"
    assert all(there.distance == pytest.approx(BLOCK, abs=2.0) for there in found)
    assert downstream.exit_links(places[0], [places[0]]) == {}


def test_a_vehicle_that_declared_its_way_is_told_of_the_signal_after_this(places: list[IntersectionState]) -> None:
    first, second, lane = pair(places)
    code, there = first.code, second.code
    own = next(k for k in range(code.n_conns) if code.conn_to[k] == lane and code.conn_group[k] >= 0)
    ingress = downstream.exit_links(first, places)[lane]
    turn = next(
        k for k in range(there.n_conns)
        if there.conn_inner[k] and there.conn_turn[k] == 0 and there.conn_group[k] >= 0 and leads(there, k, first)
    )  # fmt: skip
    stage = Stage(there)
    stage.state, stage.left = RED, 30.0
    second.latest = stage.world()
    handle = Stage(code)
    handle.put(int(code.conn_from[own]), 60.0, 12.0, "car", own)
    report = handle.reports[1]
    state = dataclasses.replace(
        report, state=msgspec.structs.replace(report.state, movements=(code.conn_ids[own], there.conn_ids[turn]))
    )
    after = downstream.next_signal(T, first, state, {lane: ingress})
    assert after is not None
    assert after.closes <= 0.0
    assert after.opens == pytest.approx(30.0)
    assert after.distance == pytest.approx(BLOCK + code.path_length[code.n_lanes + own], abs=3.0)
    assert downstream.next_signal(T, first, report, {lane: ingress}) is None, "it did not say where it goes then"
    second.latest = None


def leads(code: CompiledCode, connection: int, before: IntersectionState) -> bool:
    """Return whether a movement leaves the road that comes from another intersection."""
    lane = int(code.conn_from[connection])
    a = int(code.path_start[lane])
    lat, lon = code.origin.to_geodetic(code.path_xy[a, 0], code.path_xy[a, 1])
    x, y = before.code.origin.to_local(float(lat), float(lon))
    return bool(np.hypot(x, y) < BLOCK / 2)


def test_speed_advice_in_green_looks_through_to_the_next_signal(stage: Stage) -> None:
    stage.state, stage.left = GREEN, 30.0
    stage.put(stage.ingress[0], 100.0, 13.0)
    snapshot = stage.world()
    held = dataclasses.replace(snapshot, next_signals={1: NextSignal(120.0, 0.0, 40.0, 60.0)})
    free = dataclasses.replace(snapshot, next_signals={1: NextSignal(120.0, 0.0, 12.0, 50.0)})
    said = {name: glosa(w) for name, w in (("alone", snapshot), ("held", held), ("free", free))}
    assert said["alone"].behaviour == said["free"].behaviour == "keep"
    assert said["held"].behaviour == "slow_down"
    assert said["held"].speed < said["alone"].speed
    assert "the next signal, 220 m ahead" in said["held"].reason.format(**said["held"].facts)


def glosa(snapshot: world.World) -> planner.Candidate:
    return next(c for c in planner.plan(snapshot) if c.kind is AdvisoryKind.GLOSA)


@given(
    time=st.floats(0.5, 90), limit=st.floats(4, 22), lasts=st.floats(0, 60),
    beyond=st.tuples(st.floats(20, 800), st.floats(-10, 90), st.floats(0, 120)),
)  # fmt: skip
def test_nobody_is_held_beyond_his_own_green_or_for_long(
    time: float, limit: float, lasts: float, beyond: tuple[float, float, float]
) -> None:
    after = NextSignal(beyond[0], beyond[1], beyond[2], beyond[2] + 20.0)
    further = later(time, limit, time + lasts, after)
    assert time <= further <= time + MAX_LATER
    assert further <= time + 0.5 * lasts + 1e-9
    assert further == time or further <= after.opens - after.distance / ONWARD_SPEED + 1e-9
    if time + after.distance / limit >= after.opens:
        assert further == time
