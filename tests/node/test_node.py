"""A whole node in a process of its own: strangers, wrong bytes, restarts, a dead broker, a folder that cannot be
written.
"""

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from deadlines import PATIENCE, Guard, until, when
from gateway_frames import accepted, frame
from node_process import NodeProcess

from bench.scene import Scene
from cloudctl.client import Gateway, Vehicle
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.recording.reader import Recording
from cloudctl.io.zeromq import Dealer, new_keys
from cloudctl.replay import replay
from cloudctl.schema import VERSION, Perception


@pytest.fixture
def node(tmp_path: Path, code: CompiledCode, mqtt: broker.Broker) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path, code, f"version = {mqtt.version}\n", record="run.mcap")
    process.config.write_text(process.config.read_text().replace(f"port = {process.mqtt}", f"port = {mqtt.port}"))
    with process:
        yield process


def test_an_unknown_key_is_told_and_counted_and_the_known_one_served(node: NodeProcess) -> None:
    stranger, friend = node.gateway("stranger", new_keys()), node.gateway()
    frame(stranger, node.code)
    until(lambda: stranger.poll(20) or stranger.state == "refused", what="the refusal")
    assert "does not know this key" in node.rejects[0].rule
    assert "[[gateway]]" in node.rejects[0].remedy
    accepted(node, friend)
    until(lambda: node.count("reject.unknown_key") >= 1, what="the count")
    stranger.close()
    friend.close()


def test_the_key_of_another_rsu_is_refused_with_the_reason(node: NodeProcess) -> None:
    gateway = node.gateway()
    frame(gateway, node.code, "rsu-9")
    until(lambda: gateway.poll(20) and node.rejects, what="the refusal")
    reject = node.rejects[0]
    assert (reject.kind, reject.value) == ("perception", "rsu-9")
    assert reject.remedy
    accepted(node, gateway)
    gateway.close()


def wrong_bodies(code: CompiledCode) -> dict[str, tuple[bytes, bytes, str]]:
    """Return what may go wrong with a message: kind, body, and what the refusal must name."""
    encode = msgspec.msgpack.encode
    t = WallClock().now()

    def perception(objects: object, version: int = VERSION, at: int = t) -> bytes:
        raw = msgspec.Raw(encode(objects))
        return encode(Perception(version, "rsu-1", f"cam {t}", 0, at, code.origin.lat, code.origin.lon, raw))

    good = perception([{"x": 1.0, "y": 1.0}])
    nan, far = float("nan"), 1e9
    elsewhere = {"v": 1, "r": "rsu-1", "i": "UST1.nowhere", "rev": 1, "q": 0, "t": t, "g": []}
    return {
        "truncated": (b"P", good[: len(good) // 2], "perception"),
        "oversized": (b"P", good + b"\xc0" * 300_000, "bytes"),
        "random bytes": (b"P", bytes(range(7, 250, 3)), "perception"),
        "wrong version": (b"P", perception([], version=9), "v"),
        "NaN": (b"P", perception([{"x": nan, "y": 1.0}]), "x"),
        "absurd": (b"P", perception([{"x": far, "y": 1.0}]), "x"),
        "block that does not fit": (b"P", perception(struct.pack("<10f", *range(10))), "bytes"),
        "an hour off": (b"P", perception([], at=t - 3600 * SECOND), "t"),
        "unknown intersection": (b"S", encode(elsewhere), "UST1.nowhere"),
        "unknown kind": (b"?", b"", "?"),
    }


def refusal(dealer: Dealer) -> dict | None:
    """Return the next refusal, passing over what the node broadcasts."""
    answer = dealer.receive(100)
    return msgspec.msgpack.decode(answer[1]) if answer and answer[0] == b"R" else None


def test_each_wrong_message_is_answered_and_the_next_good_one_taken(node: NodeProcess) -> None:
    dealer = Dealer(f"tcp://127.0.0.1:{node.port}", node.keys["g"], node.node.public)
    gateway = node.gateway("other")
    names = list(wrong_bodies(node.code))
    for name in names:
        kind, body, named = wrong_bodies(node.code)[name]
        dealer.send(kind, body)
        reject = until(lambda: refusal(dealer), what=f"a refusal of: {name}")
        assert named in f"{reject}", (name, reject)
        assert reject["rule"], name
        assert reject["remedy"], name
        frame(gateway, node.code)
    until(lambda: node.count("accept.perception", "rsu-9") >= len(names), what="the good frames between the wrong ones")
    dealer.close()
    gateway.close()


def test_a_gateway_killed_and_restarted_is_taken_up_again(node: NodeProcess) -> None:
    first = node.gateway()
    accepted(node, first, 3)
    first.close()
    again = node.gateway()
    accepted(node, again, 3)
    # a machine that stands still for a while makes frames late, which is another matter
    assert [reject for reject in node.rejects if reject.field != "t"] == []
    again.close()


def test_what_a_node_recorded_replays(node: NodeProcess) -> None:
    gateway = node.gateway()
    accepted(node, gateway, 5)
    gateway.close()
    node.__exit__()
    result = replay(node.folder / "run.mcap")
    assert (result.difference, result.fault) == (None, None)
    assert sum(
        datum.kind == "perception" for step in Recording(node.folder / "run.mcap").steps() for datum in step.batch
    )


async def advice(node: NodeProcess, vehicle: Vehicle, gateway: Gateway, scene: Scene) -> str:
    """Drive the scene until the vehicle holds an advisory; return its reason."""
    clock = WallClock()
    first = asyncio.create_task(anext(aiter(vehicle.advisories())))
    guard = Guard()
    while not first.done():
        assert not guard.is_over(), "no advice came"
        t = clock.now()
        gateway.perception("rsu-1", "cam", scene.lat, scene.lon, scene.columns(t), t)
        gateway.signal("rsu-1", scene.code.code.id, scene.code.code.revision, scene.groups(t), t)
        await vehicle.report(msgspec.structs.replace(scene.state(t), t=t))
        gateway.poll()
        await asyncio.sleep(0.1)
    return (await first).reason


def test_a_broker_killed_and_restarted_under_a_running_node(tmp_path: Path, code: CompiledCode) -> None:
    first = broker.start(tmp_path / "broker")
    process = NodeProcess(tmp_path, code, f"version = {first.version}\n")
    process.config.write_text(process.config.read_text().replace(f"port = {process.mqtt}", f"port = {first.port}"))

    async def scene() -> None:
        made = Scene(code, 20)
        async with Vehicle("car", port=first.port, version=first.version) as vehicle:
            gateway = process.gateway()
            assert await advice(process, vehicle, gateway, made)
            first.process.kill()
            first.process.wait()
            await when(lambda: not vehicle.connected.is_set() and "trying again" in process.said)
            again = broker.start(tmp_path / "again", first.port, prefer=first.name)
            try:
                await asyncio.wait_for(vehicle.connected.wait(), PATIENCE)
                assert await advice(process, vehicle, gateway, made)
                await when(lambda: "all is well again" in process.said)
            finally:
                gateway.close()
                again.stop()

    with process:
        asyncio.run(scene())
    assert "Traceback" not in process.said


def test_a_folder_that_cannot_be_written_stops_the_start_with_the_remedy(tmp_path: Path, code: CompiledCode) -> None:
    (tmp_path / "file").write_text("not a folder")
    process = NodeProcess(tmp_path, code, record="file/run.mcap")
    with pytest.raises(AssertionError):
        process.__enter__()
    process.__exit__()
    assert "record" in process.said
    assert "Traceback" not in process.said


def test_a_taken_port_is_said_with_the_remedy(node: NodeProcess, tmp_path: Path, code: CompiledCode) -> None:
    (tmp_path / "second").mkdir()
    second = NodeProcess(tmp_path / "second", code)
    second.config.write_text(second.config.read_text().replace(f":{second.port}", f":{node.port}"))
    with pytest.raises(AssertionError):
        second.__enter__()
    second.__exit__()
    assert "Choose another port" in second.said
    assert "Traceback" not in second.said
