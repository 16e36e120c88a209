"""Traffic state: flow, delay, level of service, arrivals on green and incidents of a run whose truth is known."""

import asyncio
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from deadlines import PATIENCE
from stage import Stage

from bench.scene import Scene
from cloudctl import codes, maps
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.node.config import load
from cloudctl.node.live import Node
from cloudctl.schema import SignalState
from cloudctl.traffic import TrafficState, level, looked_at
from cloudctl.traffic_messages import Traffic

T = 1_767_225_600 * SECOND
RED, GREEN = int(SignalState.RED), int(SignalState.GREEN_PROTECTED)


@pytest.fixture
def stage() -> Stage:
    return Stage(compile_code(codes.load(maps.path("intersection.json"))))


def watch(stage: Stage, where, seconds: int, state=lambda second: GREEN) -> list[Traffic]:
    """Observe every second; `where(second)` gives (id, m before the stop line of the first ingress lane, m/s)."""
    traffic, out = TrafficState(), []
    lane = stage.ingress[0]
    connection = int(np.flatnonzero(stage.code.conn_from == lane)[0])
    for second in range(seconds):
        stage.rows.clear()
        stage.reports.clear()
        stage.state = state(second)
        placed = list(where(second))
        for _, before, speed in placed:
            stage.put(lane, max(before, 0.1), speed, None)
        snapshot = dataclasses.replace(stage.world(), t=T + second * SECOND)
        snapshot.tracks["id"] = [number for number, _, _ in placed]
        snapshot.to_stop[:] = [before for _, before, _ in placed]
        snapshot.connection[:] = connection
        report = traffic.observe(snapshot)
        out += [report] if report else []
    return out


def test_a_free_stream_on_green_has_no_delay(stage: Stage) -> None:
    limit = float(stage.code.lane_speed[stage.ingress[0]])

    def stream(second: int):
        for k in range(40):  # one every 6 s, at the limit, from 120 m on
            before = 120.0 - limit * (second - 6 * k)
            if -20.0 < before <= 120.0:
                yield k + 1, before, limit

    report = watch(stage, stream, 125)[-1]
    (lane,) = report.lanes
    assert lane.flow == pytest.approx(600.0, rel=0.15)
    assert lane.delay == pytest.approx(0.0, abs=1.0)
    assert (lane.level, lane.on_green, lane.queue) == ("A", 1.0, 0)
    assert lane.speed == pytest.approx(limit, rel=0.01)
    assert report.movements[0].flow == lane.flow
    assert not report.incidents


def test_who_waits_at_a_red_is_delayed_and_no_incident(stage: Stage) -> None:
    limit = float(stage.code.lane_speed[stage.ingress[0]])

    def stops(second: int):
        arrives = 100.0 / limit
        if second < arrives:
            yield 1, 100.0 - limit * second, limit
        elif second < 45:
            yield 1, 1.0, 0.0
        else:
            yield 1, 1.0 - 5.0 * (second - 44), 5.0

    reports = watch(stage, stops, 62, lambda second: RED if second < 44 else GREEN)
    assert max(lane.queue for r in reports for lane in r.lanes) == 1
    assert not any(r.incidents for r in reports)
    lane = reports[-1].lanes[0]
    assert lane.delay == pytest.approx(45.0 - 100.0 / limit, abs=1.5)
    assert lane.on_green == 0.0
    assert lane.level == level(lane.delay)


def test_who_stands_at_green_with_nobody_ahead_is_an_incident_and_who_stands_behind_is_not(stage: Stage) -> None:
    reports = watch(stage, lambda second: [(7, 40.0, 0.0), (8, 48.0, 0.0)], 45)
    assert not reports[0].incidents
    (incident,) = reports[-1].incidents
    assert (incident.kind, incident.track, incident.distance) == ("stopped_vehicle", 7, 40.0)
    assert incident.lane == stage.code.lane_ids[stage.ingress[0]]


def test_density_is_of_the_length_that_is_looked_at(code: CompiledCode) -> None:
    """The lane to the stop line where that is shorter than 150 m, else the last 150 m of it: one vehicle there is one
    vehicle there.
    """
    for stop in (45.0, 108.0, 150.0, 300.0):
        stops = code.lane_stop_s.copy()
        lengths = code.path_length.copy()
        lane = Stage(code).ingress[0]
        stops[lane], lengths[lane] = stop, stop
        assert looked_at(dataclasses.replace(code, lane_stop_s=stops, path_length=lengths), lane) == min(stop, 150.0)
    stage = Stage(code)
    report = watch(stage, lambda second: [(7, 20.0, 0.0), (8, 30.0, 0.0)], 30)[-1]
    (lane_report,) = [one for one in report.lanes if one.lane == code.lane_ids[stage.ingress[0]]]
    line = float(code.lane_stop_s[stage.ingress[0]])
    assert lane_report.density == pytest.approx(2 / (min(line, 150.0) / 1000.0), abs=0.1)


def test_levels_are_those_of_the_manual() -> None:
    assert [level(d) for d in (0.0, 10.0, 10.1, 20.0, 35.0, 55.0, 80.0, 80.1)] == list("AABBCDEF")


def test_a_vehicle_gets_the_traffic_of_a_running_node(scene: Scene, tmp_path: Path) -> None:
    code = scene.code.code
    (tmp_path / "code.json").write_bytes(codes.dump(code))
    (tmp_path / "node.toml").write_text(
        '[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["code.json"]\nstatus ='
        ' "status.json"\n[broker]\nopen = true\nembedded = true\nport = 0\n[record]\npath ='
        f' "run.mcap"\n[[gateway]]\nname = "g"\nrsus = {{ r = "{code.id}" }}\n'
    )
    clock = WallClock()

    async def live() -> Traffic:
        node, stop = Node(load(tmp_path / "node.toml")), asyncio.Event()
        task = asyncio.create_task(node.run(stop))
        assert node.broker is not None
        async with Vehicle("car", port=node.broker.port, version=node.broker.version, intersections=(code.id,)) as car:
            with Gateway(node.server.address, ["r"], name="g") as gateway:
                async with asyncio.timeout(PATIENCE):
                    while code.id not in car.traffic:
                        t = clock.now()
                        gateway.perception("r", "cam", scene.lat, scene.lon, scene.columns(t), t)
                        gateway.poll()
                        await asyncio.sleep(0.1)
        stop.set()
        await task
        return car.traffic[code.id]

    report = asyncio.run(live())
    assert any(lane.density > 0 and lane.speed for lane in report.lanes)
    assert report.revision == code.revision
