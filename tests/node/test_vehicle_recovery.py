"""Vehicles that lose their broker, their id or the time, over real sockets: noticed, reported once, and served
again.
"""

import asyncio
import contextlib
import itertools
import subprocess
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, Guard, when, when_past
from made_advisory import advisory
from node_process import NodeProcess

from bench.scene import Scene
from cloudctl.client import Vehicle
from cloudctl.clock import SECOND, WallClock, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.egress import Egress
from cloudctl.io.ports import free_port
from cloudctl.metrics import Metrics
from cloudctl.node.config import BrokerSection
from cloudctl.topics import MqttTopics

needs_mosquitto = pytest.mark.skipif(broker.mosquitto() is None, reason="mosquitto is not on PATH")


@needs_mosquitto
def test_a_vehicle_that_comes_back_after_two_seconds_gets_what_is_still_valid(mosquitto: broker.Broker) -> None:
    async def scene() -> None:
        metrics = Metrics()
        egress = Egress(BrokerSection(port=mosquitto.port), WallClock(), metrics, lambda *_: None)
        egress.start()
        await when(egress.connected.is_set)
        async with Vehicle("car", port=mosquitto.port) as vehicle:
            await when(vehicle.connected.is_set)
        left = WallClock().now()
        brief = advisory("brief", valid_s=0.3)
        egress.advise(brief, msgspec.json.encode(brief))
        await when_past(brief.valid_until)
        for item in (advisory("yours", valid_s=30, vehicle="other"), advisory("lasting", valid_s=30)):
            egress.advise(item, msgspec.json.encode(item))
        await when_past(left + 2 * SECOND)
        async with Vehicle("car", port=mosquitto.port) as vehicle:
            async with asyncio.timeout(PATIENCE):
                first = await anext(aiter(vehicle.advisories()))
            assert first.id == "lasting"
            assert (vehicle.received, vehicle.expired) == (1, 0)
        await egress.stop()

    asyncio.run(scene())


@needs_mosquitto
@pytest.mark.parametrize("version", [4, 5])
def test_two_vehicles_with_one_id_notice_it_report_it_once_and_give_each_other_room(
    mosquitto: broker.Broker, version: int
) -> None:
    async def scene() -> None:
        troubles: list[str] = []
        more = {"port": mosquitto.port, "version": version, "on_trouble": troubles.append}
        async with Vehicle("car", **more) as one, Vehicle("car", **more) as other:
            await when(lambda: one.taken_over + other.taken_over >= 3)
            reports = [text for text in troubles if "another client" in text]
            assert 1 <= len(reports) <= 2, "each reports it once"
            begin, takeovers = stopwatch(), one.taken_over + other.taken_over
            await when(lambda: stopwatch() - begin > 4 * SECOND)
            assert one.taken_over + other.taken_over - takeovers <= 4, "a fight at 0.5 s would be 8"

    asyncio.run(scene())


@needs_mosquitto
def test_after_a_clash_of_ids_a_vehicle_still_reports_that_its_broker_is_gone(mosquitto: broker.Broker) -> None:
    async def scene() -> None:
        troubles: list[str] = []
        async with Vehicle("car", port=mosquitto.port, on_trouble=troubles.append) as vehicle:
            async with Vehicle("car", port=mosquitto.port, on_trouble=lambda _: None):
                await when(lambda: any("another client" in text for text in troubles))
            await when(vehicle.connected.is_set)
            before = len(troubles)
            mosquitto.process.kill()
            mosquitto.process.wait()
            await when(lambda: any("MQTT broker" in text for text in troubles[before:]))
            assert vehicle.trouble in troubles[before:]

    asyncio.run(scene())


@pytest.mark.parametrize("id", ["", "a/b", "/", "+", "car#1", "a\0b", "x" * 65, "$SYS", "a\nb"])
def test_an_id_that_topics_cannot_carry_is_refused_with_value_rule_and_remedy(id: str) -> None:
    with pytest.raises(ValueError, match=r"^id = .* (is empty|contains|has|begins).*Choose an id"):
        Vehicle(id)


@needs_mosquitto
@pytest.mark.parametrize("id", ["a/b", "a/b/c", "", "x" * 65])
def test_messages_under_an_id_that_cannot_be_used_are_counted_by_the_node(mosquitto: broker.Broker, id: str) -> None:
    if broker.shutil.which("mosquitto_pub") is None:
        pytest.skip("mosquitto_pub is not on PATH")

    async def scene() -> None:
        metrics, heard = Metrics(), []
        egress = Egress(
            BrokerSection(port=mosquitto.port), WallClock(), metrics, lambda *message: heard.append(message)
        )
        egress.start()
        await when(egress.connected.is_set)
        command = ["mosquitto_pub", "-p", str(mosquitto.port), "-t", MqttTopics.vehicle(id, "state"), "-m", "{}"]

        def counted() -> bool:
            subprocess.run(command, check=True)
            return metrics.total("reject.vehicle_id") > 0

        await when(counted)
        assert heard == []
        await egress.stop()

    asyncio.run(scene())


@needs_mosquitto
def test_a_vehicle_logs_in_with_a_password_and_reports_once_that_it_is_refused(tmp_path: Path) -> None:
    if broker.shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not on PATH")
    port, passwords, config = free_port(), tmp_path / "passwords", tmp_path / "mosquitto.conf"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "fleet", "secret"], check=True)
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {passwords}\nuser root\n")
    log = tmp_path / "mosquitto.log"
    with log.open("w") as stderr:
        process = subprocess.Popen([str(broker.mosquitto()), "-c", str(config), "-v"], stderr=stderr)

    async def scene() -> None:
        troubles: list[str] = []
        async with Vehicle("car", port=port, username="fleet", password="secret") as vehicle:
            await when(vehicle.connected.is_set)
        async with Vehicle("car", port=port, username="fleet", password="wrong", on_trouble=troubles.append) as vehicle:
            await when(lambda: log.read_text().count("not authorised") >= 3, what="a third attempt")
            assert len(troubles) == 1
            assert "username, password" in troubles[0]

    try:
        asyncio.run(scene())
    finally:
        process.terminate()
        process.wait()


@needs_mosquitto
@pytest.mark.parametrize(("shift", "way"), [(3600, "ahead of"), (-3600, "behind"), (-0.9, "behind"), (0.9, "ahead of")])
def test_a_vehicle_whose_clock_is_off_reports_it_once_and_keeps_no_advice_too_long(
    mosquitto: broker.Broker, shift: float, way: str
) -> None:
    async def scene() -> None:
        troubles: list[str] = []
        egress = Egress(BrokerSection(port=mosquitto.port), WallClock(), Metrics(), lambda *_: None)
        egress.start()
        await when(egress.connected.is_set)
        wall = WallClock()
        async with Vehicle(
            "car", port=mosquitto.port, now=lambda: wall.now() + int(shift * SECOND), on_trouble=troubles.append
        ) as vehicle:
            await when(vehicle.connected.is_set)
            guard, numbers = Guard(), itertools.count()
            while vehicle.received < 6:
                item = advisory(f"a{next(numbers)}", valid_s=0.5)
                egress.advise(item, msgspec.json.encode(item))
                assert not guard.is_over(), f"received {vehicle.received}"
                await asyncio.sleep(0.1)
            assert len(troubles) == 1
            assert way in troubles[0]
            assert vehicle.clock_error == pytest.approx(shift, abs=0.4 if abs(shift) < 1 else 1)
            await when_past(item.valid_until)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await anext(aiter(vehicle.advisories()))
                    raise AssertionError("advice was given after its time")
        await egress.stop()

    asyncio.run(scene())


def test_after_a_node_was_killed_and_started_again_a_vehicle_is_given_all_its_advice(
    tmp_path: Path, code: CompiledCode
) -> None:
    first = broker.start(tmp_path / "broker")
    node = NodeProcess(tmp_path, code, f"version = {first.version}\n")
    node.config.write_text(node.config.read_text().replace(f"port = {node.mqtt}", f"port = {first.port}"))

    async def scene() -> None:
        ids: list[str] = []
        async with Vehicle("car", port=first.port, version=first.version, on_trouble=lambda _: None) as vehicle:
            gateway, made = node.gateway(), Scene(code, 20)

            async def collect() -> None:
                async for item in vehicle.advisories():
                    ids.append(item.id)

            async def drive() -> None:
                while True:
                    t = WallClock().now()
                    gateway.perception("rsu-1", "cam", made.lat, made.lon, made.columns(t), t)
                    gateway.signal("rsu-1", code.code.id, code.code.revision, made.groups(t), t)
                    await vehicle.report(msgspec.structs.replace(made.state(t), t=t))
                    gateway.poll()
                    await asyncio.sleep(0.1)

            tasks = [asyncio.create_task(collect()), asyncio.create_task(drive())]
            await when(lambda: len(ids) >= 3)
            assert node.process
            node.process.kill()
            node.process.wait()
            before = len(ids)
            node.__enter__()
            await when(lambda: len(ids) >= before + 3)
            runs = {name.split("-")[-2] for name in ids}
            assert len(runs) == 2
            counts = [int(name.split("-")[-1]) for name in ids[before:]]
            assert min(counts) <= 2, "those the first run had counted, too"
            for task in tasks:
                task.cancel()
            gateway.close()

    try:
        node.__enter__()
        asyncio.run(scene())
    finally:
        node.__exit__()
        first.stop()
