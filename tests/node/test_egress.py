"""MQTT against real brokers: delivery, expiry, a broker that dies and comes back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, Guard, when, when_past
from made_advisory import advisory

from cloudctl.client import Vehicle
from cloudctl.clock import MS, WallClock
from cloudctl.io import broker, vehicle_contacts
from cloudctl.io.egress import Egress
from cloudctl.io.ports import free_port
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.schema import Advisory, VehicleState

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


class Loop:
    """An egress, and the vehicles `car` and `other`, at one broker; `received` are the ids of what each was given."""

    def __init__(self, section: BrokerSection) -> None:
        self.metrics = Metrics()
        self.section = section
        self.messages: list[tuple[str, str, bytes]] = []
        self.received: dict[str, list[str]] = {"car": [], "other": []}
        self.egress = Egress(section, WallClock(), self.metrics, lambda *message: self.messages.append(message))
        self.vehicles = {
            name: Vehicle(name, port=section.port, version=section.version or 5, on_trouble=lambda _: None)
            for name in self.received
        }
        self.probes = 0
        self.tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Loop":
        self.egress.start()
        for vehicle in self.vehicles.values():
            await vehicle.__aenter__()
            self.tasks.append(asyncio.create_task(self.collect(vehicle)))
        await self.connected()
        return self

    async def connected(self) -> None:
        """Wait until everyone is connected and, as MQTT confirms no subscription to its sender, until each vehicle is
        reached.
        """
        await when(self.all_connected)
        for name in self.vehicles:
            self.probes += 1
            probe = advisory(f"probe-{self.probes}", vehicle=name)

            def reached(name: str = name, probe: Advisory = probe) -> bool:
                self.send(probe)
                return probe.id in self.received[name]

            await when(reached, what=f"reaching {name}")
            self.received[name].clear()

    def all_connected(self) -> bool:
        return self.egress.connected.is_set() and all(v.connected.is_set() for v in self.vehicles.values())

    def none_connected(self) -> bool:
        return not self.egress.connected.is_set() and not any(v.connected.is_set() for v in self.vehicles.values())

    async def collect(self, vehicle: Vehicle) -> None:
        async for item in vehicle.advisories():
            self.received[vehicle.id].append(item.id)

    def send(self, item: Advisory) -> bool:
        return self.egress.advise(item, msgspec.json.encode(item))

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        for vehicle in self.vehicles.values():
            await vehicle.__aexit__()
        await self.egress.stop()


def loop_at(running: broker.Broker) -> Loop:
    return Loop(BrokerSection(port=running.port, version=running.version))


def test_each_vehicle_is_given_its_own_advisory_and_its_state_reaches_the_node_as_it_was_sent(
    running: broker.Broker,
) -> None:
    async def scene() -> None:
        async with loop_at(running) as loop:
            assert loop.send(advisory("first"))
            assert loop.send(advisory("second", vehicle="other"))
            await when(lambda: loop.received == {"car": ["first"], "other": ["second"]})
            state = VehicleState(WallClock().now(), 39.8, 116.5, 10.0, 0.0)
            assert await loop.vehicles["car"].report(state)
            await when(lambda: loop.messages)
            ((kind, name, body),) = loop.messages
            assert (kind, name, msgspec.json.decode(body, type=VehicleState)) == ("state", "car", state)
            assert loop.received == {"car": ["first"], "other": ["second"]}, "and no more"

    asyncio.run(scene())


def test_a_vehicle_that_connects_again_at_once_is_sent_what_is_valid_both_times(running: broker.Broker) -> None:
    async def scene() -> None:
        async with loop_at(running) as loop:
            loop.send(advisory("lasting", valid_s=60.0, vehicle="flapping"))
            for _ in range(3):
                async with Vehicle("flapping", port=running.port, version=running.version) as vehicle:
                    received = await asyncio.wait_for(anext(vehicle.advisories()), PATIENCE)
                    assert received.id == "lasting"

    asyncio.run(scene())


def test_only_vehicles_of_late_are_remembered_however_many_send(
    running: broker.Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vehicle_contacts, "MAX_SILENCE", 300 * MS)

    async def scene() -> None:
        async with loop_at(running) as loop:
            state = VehicleState(WallClock().now(), 39.8, 116.5, 10.0, 0.0)
            for number in range(5):
                async with Vehicle(f"passing-{number}", port=running.port, version=running.version) as vehicle:
                    await vehicle.connected.wait()
                    assert await vehicle.report(state)
            await when(lambda: len(loop.messages) == 5)

            async def forgotten() -> bool:
                assert await loop.vehicles["car"].report(state)
                return loop.egress.vehicles_in_contact <= 2  # those of the loop itself

            guard = Guard()
            while not await forgotten():
                assert not guard.is_over(), f"{loop.egress.vehicles_in_contact} are still remembered"
                await asyncio.sleep(0.1)

    asyncio.run(scene())


def test_an_advisory_is_kept_no_longer_than_it_is_valid(running: broker.Broker) -> None:
    async def scene() -> None:
        async with loop_at(running) as loop:
            assert loop.send(advisory("brief", valid_s=0.2, vehicle="other"))
            assert loop.send(advisory("lasting", valid_s=60.0))
            assert loop.egress.held == 2
            await when(lambda: loop.egress.held == 1)

    asyncio.run(scene())


def test_an_advisory_whose_time_is_over_is_not_sent_and_is_counted(running: broker.Broker) -> None:
    """Messages of one connection arrive in order: when the one sent after it is there, the first would have been."""

    async def scene() -> None:
        async with loop_at(running) as loop:
            assert not loop.send(advisory("old", valid_s=-0.001))
            assert loop.metrics.total("egress.expired") == 1
            assert loop.send(advisory("new"))
            await when(lambda: loop.received["car"])
            assert loop.received["car"] == ["new"]

    asyncio.run(scene())


def test_a_broker_that_dies_and_comes_back_loses_nothing_that_is_still_valid(
    running: broker.Broker, tmp_path: Path
) -> None:
    """Two vehicles, so that neither advisory takes the place of the other: the one still valid arrives, the one whose
    time is over does not.
    """

    async def scene() -> None:
        async with loop_at(running) as loop:
            running.stop()
            await when(loop.none_connected)
            brief, lasting = advisory("brief", valid_s=0.2, vehicle="other"), advisory("lasting", valid_s=60.0)
            assert not loop.send(brief), "kept, as there is nobody to send it to"
            assert not loop.send(lasting)
            await when_past(brief.valid_until)

            started = broker.start(tmp_path / "again", running.port, prefer=running.name)
            try:
                await when(loop.all_connected)
                await when(lambda: "lasting" in loop.received["car"], what="the delivery of what was kept")
                await loop.connected()
                assert loop.send(advisory("later", valid_s=30.0, vehicle="other"))
                await when(lambda: loop.received["other"])
                assert loop.received["other"] == ["later"]
                assert loop.metrics.total("egress.lost") == 1
            finally:
                started.stop()

    asyncio.run(scene())


def test_without_a_broker_the_node_says_so_with_the_remedy() -> None:
    async def scene() -> None:
        egress = Egress(BrokerSection(port=free_port()), WallClock(), Metrics(), lambda *_: None)
        egress.start()
        await when(lambda: egress.trouble)
        await egress.stop()
        assert "embedded = true" in str(egress.trouble)

    asyncio.run(scene())


def test_a_taken_port_is_refused_with_the_remedy(running: broker.Broker, tmp_path: Path) -> None:
    with pytest.raises(broker.BrokerError, match="Choose another"):
        broker.start(tmp_path / "second", running.port)
