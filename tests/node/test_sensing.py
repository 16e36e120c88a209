"""Sensors: one that is dead, silent, slow, misplaced or by a wrong clock shows, and what it does not see proves
nothing.
"""

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scene import Scene
from cloudctl import codes, maps
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode, compile_code
from cloudctl.datums import to_bd09, to_gcj02, undone
from cloudctl.engine import Engine, Output
from cloudctl.geo import Origin
from cloudctl.schema import Health, Hello, RawMessage, Reject, Sensor, SensorHealth
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
encode = msgspec.msgpack.encode


class Road:
    """Two roadside units that see one scene at 10 Hz, and what the node says."""

    def __init__(self, code: CompiledCode, hz: float | None = 10.0, n: int = 30) -> None:
        self.engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id, "r1": code.code.id}}))
        self.scene, self.name, self.t, self.seq = Scene(code, n), code.code.id, T, 0
        sensors = (Sensor("fused", "camera", hz=hz),) if hz is not None else (Sensor("fused"),)
        self.outs: list[Output] = [
            self.engine.step(T, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0", "r1"), sensors, "7.1")))])
        ]

    def drive(self, seconds: float, units: tuple[str, ...] = ("r0", "r1"), every: int = 1) -> list[Output]:
        """Let the units send for so long, r1 each `every` frames only; return what the node put out."""
        outs = []
        for _ in range(int(seconds * 10)):
            self.t += 100 * MS
            batch = []
            for unit in units:
                if unit == "r0" or self.seq % every == 0:
                    batch.append(RawMessage("perception", "g", self.scene.perception(unit, self.seq, self.t)))
            batch.append(RawMessage("signal", "g", self.scene.signal("r0", self.seq, self.t)))
            self.seq += 1
            outs.append(self.engine.step(self.t, batch))
        self.outs += outs
        return outs

    def health(self, rsu: str, *sensors: SensorHealth) -> list[Reject]:
        out = self.engine.step(self.t, [RawMessage("health", "g", encode(Health(1, rsu, self.t, sensors)))])
        self.outs.append(out)
        return [body for _, kind, body in out.replies if kind == "reject"]

    def degraded(self, outs: list[Output]) -> list[str]:
        return [
            a.reason
            for out in outs
            for a in out.advisories
            if a.kind == "degraded" and a.target == f"intersection:{self.name}"
        ]

    @property
    def sensors(self) -> dict[str, dict[str, Any]]:
        """The state of each sensor, by name."""
        return self.engine.intersections[self.name].sensing.table()

    @property
    def events(self) -> list[str]:
        return [event for out in self.outs for event in out.events]


def test_sensors_that_deliver_are_not_spoken_of(code: CompiledCode) -> None:
    road = Road(code)
    assert not road.degraded(road.drive(12.0))
    assert not road.events
    row = road.sensors["r1/fused"]
    assert row["trouble"] is None
    assert 9.0 < row["hz"] < 11.0
    assert row["declared_hz"] == 10.0
    assert road.engine.metrics.newest["gateways"]["g"]["software"] == "7.1"


def test_a_declared_sensor_that_falls_silent_while_another_goes_on_is_named(code: CompiledCode) -> None:
    road = Road(code)
    road.drive(3.0)
    assert not road.degraded(road.drive(1.2, ("r0",)))
    first, *_ = road.degraded(road.drive(2.0, ("r0",)))
    assert "r1/fused is silent" in first
    assert len(road.events) == 1, "once"
    road.drive(1.1)
    assert not road.degraded(road.drive(3.0))


def test_a_sensor_that_declared_no_rate_may_be_silent(code: CompiledCode) -> None:
    for hz in (None, 0.0, 5e-324, 0.001):
        road = Road(code, hz)
        road.drive(3.0)
        assert not road.degraded(road.drive(8.0, ("r0",)))


@settings(max_examples=25)
@given(hz=st.floats(0.0, 1000.0))
def test_no_declared_rate_is_a_fault_of_the_nodes(hz: float) -> None:
    road = Road(compile_code(codes.load(maps.path("intersection.json"))), hz, n=2)
    road.drive(2.5)
    assert not [name for name in road.engine.metrics.totals() if name.startswith("fault")]


def test_a_sensor_declared_for_two_units_stands_at_one(code: CompiledCode) -> None:
    """The hello of a gateway lists its sensors once, for all its units."""
    road = Road(code)
    assert not road.degraded(road.drive(8.0, ("r0",)))


def test_a_sensor_far_slower_than_declared_is_named(code: CompiledCode) -> None:
    road = Road(code)
    assert any(
        "r1/fused is slow: 2." in why and "of the 10 Hz" in why for why in road.degraded(road.drive(14.0, every=4))
    )
    assert road.engine.metrics.total("sensor.slow") == 1


@pytest.mark.parametrize(
    ("health", "words"),
    [
        (SensorHealth("fused", False), "is dead"),
        (SensorHealth("fused", True, 10.0, 40.0, 3 * SECOND), "wrong clock: it is 3.0 s off"),
        (SensorHealth("fused", True, 1.0), "is slow: 1.0 Hz"),
    ],
)
def test_what_a_unit_says_of_its_sensor_shows(code: CompiledCode, health: SensorHealth, words: str) -> None:
    road = Road(code)
    road.drive(3.0)
    assert road.health("r1", health) == []
    assert any(words in why and "r1/fused" in why for why in road.degraded(road.drive(2.5)))
    assert words in " ".join(road.events)
    assert road.sensors["r1/fused"]["trouble"]
    assert road.health("r1", SensorHealth("fused", True, 10.0, 40.0, 0)) == []
    road.drive(1.1)
    assert not road.degraded(road.drive(3.0))


@pytest.mark.parametrize("health", [SensorHealth("fused", False), SensorHealth("fused", True, 10.0, None, 2 * SECOND)])
def test_what_a_dead_sensor_does_not_see_proves_nothing(code: CompiledCode, health: SensorHealth) -> None:
    """r1 sends empty frames. While it is believed to see, each is a miss for every track; once it is known to be dead,
    none is.
    """
    road = Road(code)
    road.drive(4.0)
    fusion = road.engine.intersections[code.code.id].fusion
    kept = {}
    for known in (False, True):
        if known:
            road.health("r1", health)
            road.drive(2.0)
        seen = fusion.stats()["sources"][1]["p_detect"]
        for k in range(30):
            road.drive(0.1, ("r0",))
            body = {
                "v": 1,
                "r": "r1",
                "s": "fused",
                "q": 10_000 * (1 + known) + k,
                "t": road.t + 50 * MS,
                "lat": road.scene.lat,
                "lon": road.scene.lon,
                "o": [],
            }
            road.engine.step(road.t + 50 * MS, [RawMessage("perception", "g", msgpack.packb(body))])
        kept[known] = fusion.stats()["sources"][1]["p_detect"] - seen
    assert kept[False] < -0.2, "it learns that the source sees nobody"
    assert kept[True] == 0.0


def test_a_sensor_whose_frames_come_late_is_named_and_misses_nothing(code: CompiledCode) -> None:
    """r1's frames are half a second under way; r0's are not, so that perception as a whole is young."""
    road = Road(code, None)
    road.drive(3.0)
    seen = road.engine.intersections[code.code.id].fusion.stats()["sources"][1]["p_detect"]
    outs = []
    for k in range(140):
        outs += road.drive(0.1, ("r0",))
        body = road.scene.perception("r1", 10_000 + k, road.t - 500 * MS) if k % 2 else _empty(road, 10_000 + k)
        outs.append(road.engine.step(road.t, [RawMessage("perception", "g", body)]))
    assert any("r1/fused is late: what it sends is 0.5" in why for why in road.degraded(outs))
    assert road.engine.intersections[code.code.id].fusion.stats()["sources"][1]["p_detect"] >= seen - 0.01


def _empty(road: Road, seq: int) -> bytes:
    body = {
        "v": 1,
        "r": "r1",
        "s": "fused",
        "q": seq,
        "t": road.t - 500 * MS,
        "lat": road.scene.lat,
        "lon": road.scene.lon,
        "o": [],
    }
    return msgpack.packb(body)


def test_health_of_sensors_that_there_are_not_is_refused(code: CompiledCode) -> None:
    road = Road(code)
    road.drive(0.5)
    (reject,) = road.health("r1", SensorHealth("fused", True), SensorHealth("lidar-9", True))
    assert (reject.field, reject.value) == ("s[1].id", "lidar-9")
    assert "known: fused" in reject.rule
    (reject,) = road.health("r1", SensorHealth("fused", True, float("nan")))
    assert reject.field == "s[0].hz"


def test_of_two_healths_of_a_sensor_that_differ_none_is_used_and_the_same_twice_is_one(code: CompiledCode) -> None:
    road = Road(code)
    road.drive(0.5)
    alive, dead = SensorHealth("fused", True), SensorHealth("fused", False)
    for healths in ((alive, dead), (dead, alive), (dead, dead, alive)):
        rejects = road.health("r1", *healths)
        assert {reject.field for reject in rejects} == {f"s[{k}].id" for k in range(len(healths))}
        assert all("differ" in reject.rule for reject in rejects)
        assert not road.degraded(road.drive(1.5))
        road.drive(10)  # the same part is answered again

    assert not road.health("r1", dead, dead)
    assert any("dead" in reason for reason in road.degraded(road.drive(1.5)))


@pytest.mark.parametrize(
    ("sensor", "field"),
    [
        (Sensor("a", hz=float("nan")), "hz"), (Sensor("a", hz=-1.0), "hz"), (Sensor("a", heading=90.0), "heading"), (Sensor("a", fov=360.0), "fov"),  # noqa: E501
        (Sensor("a", range=0.0), "range"), (Sensor("a", lat=float("inf"), lon=1.0), "lat"), (Sensor("a", lat=1.0, lon=500.0), "lon"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_hello_whose_sensor_cannot_be_is_refused(code: CompiledCode, sensor: Sensor, field: str) -> None:
    road = Road(code)
    out = road.engine.step(T, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0",), (sensor,))))])
    (reject,) = [body for _, kind, body in out.replies if kind == "reject"]
    assert reject.field == f"s[0].{field}"


def test_a_sensor_of_tracks_is_fused_as_one(code: CompiledCode) -> None:
    road = Road(code)
    road.engine.step(T, [RawMessage("hello", "g", encode(Hello(1, "g", ("r0",), (Sensor("fused", "tracks"),))))])
    road.drive(1.0, ("r0",))
    fusion = road.engine.intersections[code.code.id].fusion
    assert fusion.stats()["sources"][0]["kind"] == "tracks"
    assert fusion.stats()["sources"][0]["scale"] == 1.0, (
        "another's tracks err alike from scan to scan: their noise is not learned"
    )


@pytest.mark.parametrize(("datum", "move"), [("GCJ-02", to_gcj02), ("BD-09", to_bd09)])
def test_a_unit_whose_origin_is_in_another_datum_is_noticed_once_and_the_datum_named(
    code: CompiledCode, datum: str, move
) -> None:
    road = Road(code)
    road.drive(2.0)
    road.scene.lat, road.scene.lon = move(road.scene.lat, road.scene.lon)
    outs = road.drive(15.0, ("r0",))
    assert [event for event in road.events if f"by the offset of {datum}" in event and "r0/fused" in event]
    assert len([event for event in road.events if "misplaced" in event]) == 1
    assert any(datum in why for why in road.degraded(outs))
    assert road.sensors["r0/fused"]["off_lane"] > 0.5
    assert road.engine.metrics.total("sensor.misplaced") == 1


def test_a_unit_whose_objects_lie_beside_the_lanes_is_an_event_and_no_more(code: CompiledCode) -> None:
    road = Road(code)
    road.scene.lat += 40.0 / 111_000.0
    road.scene.lon += 40.0 / 85_000.0
    outs = road.drive(10.0)
    assert any("is misplaced" in event for event in road.events)
    assert not any("misplaced" in why for why in road.degraded(outs)), "nothing explains it: it may be a car park"


def test_a_datum_is_undone_to_centimetres_wherever_it_is_used() -> None:
    for lat, lon in ((39.9, 116.4), (31.2, 121.5), (22.5, 114.0), (30.6, 104.1), (45.8, 126.5)):
        for name, move in (("GCJ-02", to_gcj02), ("BD-09", to_bd09)):
            east, north = Origin(lat, lon).to_local(*undone(name, *move(lat, lon)))
            assert abs(east) < 0.01
            assert abs(north) < 0.01
            far = max(abs(float(v)) for v in Origin(lat, lon).to_local(*move(lat, lon)))
            assert 50.0 < far < 2000.0
    assert to_gcj02(48.2, 16.4) == (48.2, 16.4), "outside China nothing is moved"
