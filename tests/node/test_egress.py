"""MQTT against real brokers: delivery, expiry, a broker that dies and comes back, TLS with a name of one's own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cloudctl.client import Vehicle
from cloudctl.clock import SECOND, WallClock
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, AdvisoryKind, Inputs, VehicleState

KINDS = [
    "amqtt",
    pytest.param("mosquitto", marks=pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not on PATH")),
]


@pytest.fixture(params=KINDS)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[broker.Broker]:
    started = broker.start(tmp_path, prefer=request.param)
    yield started
    if started.process.poll() is None:
        started.stop()


def advisory(name: str, valid_s: float = 5.0, vehicle: str = "car") -> Advisory:
    t = WallClock().now()
    return Advisory(
        name, AdvisoryKind.GLOSA, "X", f"vehicle:{vehicle}", 2, 1.0, "why", t, t + int(valid_s * SECOND), Inputs(1)
    )


class Loop:
    """An egress and a vehicle at one broker."""

    def __init__(self, section: BrokerSection) -> None:
        self.heard: list[tuple[str, str, bytes]] = []
        self.metrics = Metrics()
        self.section = section
        self.got: list[str] = []

    async def __aenter__(self) -> "Loop":
        self.egress = Egress(self.section, WallClock(), self.metrics, lambda *message: self.heard.append(message))
        self.egress.start()
        self.vehicle = Vehicle("car", port=self.section.port, version=self.section.version or 5)
        await self.vehicle.__aenter__()
        self.task = asyncio.create_task(self.collect())
        await self.connected()
        return self

    async def connected(self) -> None:
        await asyncio.wait_for(self.egress.connected.wait(), 15)
        await asyncio.wait_for(self.vehicle.connected.wait(), 15)

    async def collect(self) -> None:
        async for advisory in self.vehicle.advisories():
            self.got.append(advisory.id)

    async def until(self, done) -> None:
        for _ in range(1000):
            if done():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not happen within 10 s")

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await self.vehicle.__aexit__()
        await self.egress.stop()


def send(loop: Loop, item: Advisory) -> bool:
    return loop.egress.advise(item, msgspec.json.encode(item))


def test_there_and_back(running: broker.Broker) -> None:
    async def scene() -> None:
        async with Loop(BrokerSection(port=running.port, version=running.version)) as loop:
            assert send(loop, advisory("a"))
            send(loop, advisory("other", vehicle="another"))
            await loop.until(lambda: loop.got == ["a"])
            state = VehicleState(WallClock().now(), 39.8, 116.5, 10.0, 0.0)
            assert await loop.vehicle.report(state)
            await loop.until(lambda: any(kind == "state" for kind, *_ in loop.heard))
            kind, name, body = next(item for item in loop.heard if item[0] == "state")
            assert (kind, name, msgspec.json.decode(body, type=VehicleState)) == ("state", "car", state)

    asyncio.run(scene())


def test_nothing_is_sent_after_its_time(running: broker.Broker) -> None:
    async def scene() -> None:
        async with Loop(BrokerSection(port=running.port, version=running.version)) as loop:
            assert not send(loop, advisory("old", valid_s=-0.001))
            assert loop.metrics.total("egress.expired") == 1
            assert send(loop, advisory("new"))
            await loop.until(lambda: loop.got == ["new"])

    asyncio.run(scene())


def test_a_broker_that_dies_and_comes_back_loses_nothing_that_is_still_valid(
    running: broker.Broker, tmp_path: Path
) -> None:
    async def scene() -> None:
        async with Loop(BrokerSection(port=running.port, version=running.version)) as loop:
            running.stop()
            await loop.until(lambda: not loop.egress.connected.is_set() and not loop.vehicle.connected.is_set())
            assert not send(loop, advisory("brief", valid_s=0.2, vehicle="car"))
            assert not send(loop, advisory("lasting", valid_s=30.0))
            await asyncio.sleep(0.3)
            again = broker.start(tmp_path / "again", running.port, prefer=running.name)
            try:
                await loop.connected()
                await asyncio.sleep(0.2)
                send(loop, advisory("later", valid_s=30.0, vehicle="car"))
                await loop.until(lambda: "later" in loop.got)
                assert "brief" not in loop.got
                assert loop.metrics.total("egress.lost") >= 1
            finally:
                again.stop()

    asyncio.run(scene())


def test_no_broker_is_said_with_the_remedy() -> None:
    async def scene() -> None:
        egress = Egress(BrokerSection(port=broker.free_port()), WallClock(), Metrics(), lambda *_: None)
        egress.start()
        for _ in range(300):
            if egress.trouble:
                break
            await asyncio.sleep(0.01)
        await egress.stop()
        assert egress.trouble is not None
        assert "embedded = true" in egress.trouble

    asyncio.run(scene())


def test_a_taken_port_is_refused_with_the_remedy(running: broker.Broker, tmp_path: Path) -> None:
    with pytest.raises(broker.BrokerError, match="Choose another"):
        broker.start(tmp_path / "second", running.port)
