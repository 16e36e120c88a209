"""Bad input into a whole node over its real sockets: named to its sender, counted in bounded tables, and in nobody
else's way.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import aiomqtt  # noqa: TID251
import msgspec
import pytest
from deadlines import PATIENCE, until, when
from late_messages import unless_late
from node_process import TOKEN, NodeProcess

from bench.node_counters import counters_by_source
from bench.scene import Scene
from cloudctl.client import Vehicle
from cloudctl.clock import MS, WallClock, sleep_until
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.metrics import MAX_SOURCES, OTHERS, Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import VERSION, Perception, Reject, VehicleState
from cloudctl.topics import TOPICS, MqttTopics


@pytest.fixture
def node(tmp_path: Path, code: CompiledCode, mqtt: broker.Broker) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path, code, f"version = {mqtt.version}\n")
    process.config.write_text(process.config.read_text().replace(f"port = {process.mqtt}", f"port = {mqtt.port}"))
    process.mqtt = mqtt.port
    with process:
        yield process


async def reported(vehicle: Vehicle, scene: Scene, seconds: float, **changes: object) -> None:
    """Report what the scene's connected vehicle does, with changes, at 10 Hz."""
    clock = WallClock()
    for _ in range(int(seconds * 10)):
        await vehicle.report(msgspec.structs.replace(scene.state(clock.now()), **changes))
        await asyncio.sleep(0.1)


@pytest.mark.skipif(
    broker.mosquitto() is None, reason="mosquitto is not on PATH: the slower broker speaks MQTT 3.1.1 only"
)
def test_a_van_gets_its_advice_and_a_heading_in_degrees_is_answered_to_the_vehicle_alone(
    node: NodeProcess, scene: Scene
) -> None:
    """The gateway has the vehicle's name, and speaks of a vehicle under a kind of its own making: neither hears, or
    speaks, for the other.
    """
    rejects: list[Reject] = []
    others: list[Reject] = []
    advised: list[str] = []

    async def live() -> None:
        with node.gateway("g") as gateway, closing(node.dealer("g")) as dealer:
            async with (
                Vehicle("g", port=node.mqtt, version=5, on_reject=rejects.append) as wrong,
                Vehicle("van-1", port=node.mqtt, version=5, on_reject=others.append) as van,
            ):

                async def listen() -> None:
                    async for advisory in van.advisories():
                        advised.append(advisory.kind)

                task = asyncio.create_task(listen())
                dealer.send(b"state", msgspec.json.encode(VehicleState(WallClock().now(), 39.8, 116.5, 1.0, 90.0)))
                async with asyncio.timeout(PATIENCE):
                    await wrong.connected.wait()
                    await van.connected.wait()
                    seq = 0
                    while not (unless_late(rejects) and advised):
                        t = WallClock().now()
                        gateway.perception("rsu-1", "cam", scene.lat, scene.lon, scene.columns(t), t)
                        dealer.send(TOPICS["signal"].code, scene.signal("rsu-1", seq, t))
                        seq += 1
                        gateway.poll()
                        await wrong.report(VehicleState(t, scene.lat, scene.lon, 1.0, 90.0))
                        await van.report(msgspec.structs.replace(scene.state(t), kind="van"))
                        await asyncio.sleep(0.1)
                task.cancel()
                assert wrong.rejected == len(rejects)

    asyncio.run(live())
    assert {reject.field for reject in unless_late(rejects)} == {"heading"}
    assert unless_late(others) == []
    assert {reject.kind for reject in unless_late(node.rejects)} <= {"?7374617465"}, "its own misnamed kind only"
    until(lambda: node.count("vehicle.kind_unknown", "van") == 1, what="the van's count")
    assert node.count("reject.state", "g") >= 1
    assert "Traceback" not in node.said


def test_a_client_logs_each_reason_once(mqtt: broker.Broker, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        egress = Egress(BrokerSection(port=mqtt.port, version=mqtt.version), WallClock(), Metrics(), lambda *_: None)
        egress.start()
        async with Vehicle("car-1", port=mqtt.port, version=mqtt.version) as vehicle:
            await when(lambda: egress.connected.is_set() and vehicle.connected.is_set())

            def rejected() -> bool:
                k = vehicle.rejected
                age = f"is {k}.5 s old; at most 1.0 s is accepted"
                egress.reject("car-1", Reject(1, "state", None, "t", str(k), age, "set the clock"))
                egress.reject("car-1", Reject(1, "state", None, "heading", str(k), "must be radians", "send radians"))
                return vehicle.rejected >= 50

            await when(rejected)
        await egress.stop()

    asyncio.run(scene())
    assert len([record for record in caplog.records if "refused" in record.getMessage()]) == 2


@pytest.mark.skipif(
    broker.mosquitto() is None, reason="mosquitto is not on PATH: the slower broker speaks MQTT 3.1.1 only"
)
def test_thousands_of_invented_vehicles_leave_the_node_and_its_status_as_they_are(
    node: NodeProcess, scene: Scene
) -> None:
    async def flood() -> None:
        async with aiomqtt.Client("127.0.0.1", node.mqtt, protocol=aiomqtt.ProtocolVersion.V5) as client:
            for k in range(6000):
                t = WallClock().now()
                state = {
                    "t": t,
                    "lat": scene.lat,
                    "lon": scene.lon,
                    "speed": 999.0 if k % 2 else 2.0,
                    "heading": 0.0,
                    "kind": f"kind-{k}",
                }
                await client.publish(MqttTopics.vehicle(f"invented-{k}", "state"), json.dumps(state), qos=0)
                if k % 200 == 0:
                    await asyncio.sleep(0.02)

    with node.gateway() as gateway:
        seen = 0

        def sent() -> bool:
            nonlocal seen
            t = WallClock().now()
            gateway.perception("rsu-1", "cam", scene.lat, scene.lon, scene.columns(t), t)
            gateway.poll(50)
            seen = node.count("reject.state") + node.count("accept.state")
            return seen >= 5900

        asyncio.run(flood())
        until(sent, what="6,000 states")
        before = node.count("accept.perception")
        until(lambda: sent() and node.count("accept.perception") > before, what="frames accepted afterwards")
    counters = counters_by_source(node.http_port, TOKEN)
    assert len(counters["reject.state"]) <= MAX_SOURCES + 1
    assert counters["reject.state"][OTHERS] > 1000
    assert counters["vehicle.kind_unknown"][OTHERS] >= 1
    assert (node.folder / "status.json").stat().st_size < 20_000
    assert "Traceback" not in node.said


def test_bodies_that_were_changed_on_the_way_cost_only_themselves(node: NodeProcess, scene: Scene) -> None:
    """Three hundred mutated messages of every kind of a second gateway, beside the first one's good frames: each of
    those is accepted, or late on a machine that stands still.
    """
    rng, clock = random.Random(4), WallClock()
    refused: list[Reject] = []
    with (
        node.gateway("g", on_reject=refused.append) as good,
        node.gateway("other") as bad,
        closing(node.dealer("other")) as stranger,
    ):
        until(lambda: good.poll(20) or good.state == "connected", what="the connection")
        until(lambda: bad.poll(20) or bad.state == "connected", what="the other's")
        for k in range(300):
            t = clock.now()
            whole = bytearray(
                rng.choice(
                    [
                        scene.perception("rsu-9", k, t),
                        scene.signal("rsu-9", k, t),
                        _hazard(scene, t),
                        _listed(scene, k, t),
                    ]
                )
            )
            for _ in range(rng.randint(1, 6)):
                whole[rng.randrange(len(whole))] = rng.randrange(256)
            stranger.send(
                rng.choice([b"P", b"S", b"Z", b"L", b"H", b"Y", b"\xff", b""]),
                bytes(whole[: rng.randint(1, len(whole))]),
            )
            if k % 3 == 0:
                good.perception("rsu-1", "cam", scene.lat, scene.lon, scene.columns(t), t)
            good.poll()
            bad.poll()
            sleep_until(t + 10 * MS)
        until(
            lambda: (
                good.poll() >= 0
                and node.count("accept.perception", "rsu-1") + len(refused) + node.count("drop.queue", "rsu-1/cam")
                == 100
            ),
            what="all of the good frames",
        )
    assert unless_late(refused) == []
    assert (
        sum(
            node.count(name, "other")
            for name in ("reject.perception", "reject.signal", "reject.hazard", "reject.unknown")
        )
        > 20
    )
    assert "Traceback" not in node.said


def _hazard(scene: Scene, t: int) -> bytes:
    lane = scene.code.lane_ids[0]
    return msgspec.msgpack.encode(
        {"v": 1, "r": "rsu-9", "id": "h", "kind": "works", "t": t, "start": t, "end": t + 10**10, "lane": lane}
    )


def _listed(scene: Scene, seq: int, t: int) -> bytes:
    objects = msgspec.Raw(
        msgspec.msgpack.encode([{"x": 1.0 * k, "y": 2.0, "class": "car", "length": 4.5} for k in range(10)])
    )
    return msgspec.msgpack.encode(Perception(VERSION, "rsu-9", "cam", seq, t, scene.lat, scene.lon, objects))
