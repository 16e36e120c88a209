"""A fault in one part of a node leaves the others at work; frames and kinds that do not exist are refused."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zmq  # noqa: TID251 - to send what our own sockets do not
from deadlines import PATIENCE, until, when
from fault_injection import fails
from node_process import NodeProcess

from bench.scene import Scene
from cloudctl import codes
from cloudctl.client import Gateway
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io import broker
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import Dealer
from cloudctl.metrics import Metrics
from cloudctl.node.config import load
from cloudctl.node.live import Node
from cloudctl.node.reports import Reports
from cloudctl.replay import replay
from cloudctl.schema import Group, RawMessage, SignalState
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR

T = 1_767_225_600 * SECOND


def written(tmp_path: Path, code: CompiledCode, port: int, more: str = "", version: int = 5) -> Path:
    (tmp_path / "code.json").write_bytes(codes.dump(code.code))
    file = tmp_path / "node.toml"
    file.write_text(
        '[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["code.json"]\nstatus ='
        f' "status.json"\n[broker]\nopen = true\nport = {port}\nversion = {version}\n[http]\nbind ='
        f' "127.0.0.1:0"\n[record]\npath = "run.mcap"\n[[gateway]]\nname = "g"\nrsus = {{ r0 = "{code.code.id}", r1 ='
        f' "{code.code.id}", r2 = "{code.code.id}" }}\n{more}'
    )
    return file


NODE_PLACES: dict[str, tuple[Callable[[Node, pytest.MonkeyPatch], object], str]] = {
    "recorder": (lambda node, m: m.setattr(node.recorder, "step", fails), "recorder"),
    "writing out": (lambda node, m: m.setattr(node.recorder, "flush", fails), "recorder"),
    "status": (lambda node, m: m.setattr(node.metrics, "snapshot", fails), "report"),
    "codes": (lambda node, m: m.setattr(node.publisher, "watch", fails), "codes"),
    "advising": (lambda node, m: m.setattr(node.egress, "advise", fails), "advise"),
    "signals": (lambda node, m: m.setattr(node.egress, "signals", fails), "signals"),
    "replies": (lambda node, m: m.setattr(node.server, "send", fails), "reply"),
    "a step": (lambda node, m: m.setattr(node.engine.scheduler, "due", fails), "step"),
    "receiving": (lambda node, m: m.setattr("cloudctl.node.peers.Peers.message_of", fails), "receive"),
    "the broker's connection": (lambda node, m: m.setattr("cloudctl.io.mqtt.Connection.watch", fails), "egress"),
    "reload": (
        lambda node, m: (m.setattr("cloudctl.node.reloader.read_again", fails), os.kill(os.getpid(), signal.SIGHUP)),
        "reload",
    ),
    "the loop": (lambda node, m: asyncio.get_running_loop().call_soon(fails), "loop"),
    "http": (lambda node, m: m.setattr("cloudctl.io.http.content_hash", fails), "web"),
}


@pytest.mark.parametrize("name", NODE_PLACES)
def test_a_fault_in_one_part_of_a_node_leaves_the_others_at_work(
    name: str,
    scene: Scene,
    code: CompiledCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    inject, place = NODE_PLACES[name]
    running = broker.start(tmp_path / "broker")

    async def live() -> Node:
        node, stop = (
            Node(
                load(written(tmp_path, code, running.port, "[plan]\nperiod_ms = 100\n", running.version)),
                file=tmp_path / "node.toml",
            ),
            asyncio.Event(),
        )
        task = asyncio.create_task(node.run(stop))
        gateway = Gateway(node.server.address, ["r0"], name="g")
        await when(lambda: node.egress.connected.is_set())
        inject(node, monkeypatch)

        def driven() -> bool:
            t = WallClock().now()
            gateway.perception("r0", "cam", scene.lat, scene.lon, scene.columns(t), t)
            # of a revision that is not in force, so that `degraded` is always advised
            gateway.signal("r0", code.code.id, 2, [Group(int(g), SignalState.RED) for g in code.group_ids], t)
            gateway.poll(0)
            return node.metrics.total(f"fault.{place}") > 0

        async with aiohttp.ClientSession(node.web.address) as session:
            status = (await session.get("/codes")).status
            assert status == (500 if place == "web" else 200)
        await when(driven)
        monkeypatch.undo()
        counted = node.metrics.counters.copy()

        def works() -> bool:
            driven()
            return (
                all(
                    node.metrics.total(key) > sum(n for (k, _), n in counted.items() if k == key)
                    for key in ("accept.perception", "accept.signal")
                )
                and (tmp_path / "status.json").exists()
                and node.egress.connected.is_set()
            )

        await when(works)
        stop.set()
        await task
        gateway.close()
        return node

    try:
        asyncio.run(live())
    finally:
        running.stop()
    said = caplog.text
    assert said.count(f"fault in {place}") == 1, said
    assert "made to fail" in said


@pytest.mark.parametrize("fault", ["a folder in its place", "a file for its folder"])
def test_a_status_file_that_cannot_be_written_is_reported_once_and_when_it_can_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    path = tmp_path / "kept" / "status.json"
    reports = Reports(Metrics(), {})
    reports.write_status(str(path))
    assert path.is_file()

    in_the_way = path if fault == "a folder in its place" else path.parent
    path.unlink()
    if in_the_way == path:
        path.mkdir()
    else:
        path.parent.rmdir()
        path.parent.write_text("")
    with caplog.at_level(logging.INFO, "cloudctl.node"):
        for _ in range(3):
            reports.write_status(str(path))
            reports.troubles()
        assert caplog.text.count("cannot be written") == 1
        assert "[node] status" in caplog.text

        if in_the_way == path:
            path.rmdir()
        else:
            path.parent.unlink()
        reports.write_status(str(path))
        reports.troubles()
    assert path.is_file()
    assert "all is well again" in caplog.text


def test_in_debugging_a_node_ends_at_the_first_fault_with_its_traceback(code: CompiledCode, tmp_path: Path) -> None:
    written(tmp_path, code, free_port())
    (tmp_path / "broken.py").write_text(
        "import sys\nfrom cloudctl.metrics import Metrics\nfrom cloudctl.__main__ import main\n"
        "def fails(*_):\n    raise KeyError('made to fail')\n"
        "Metrics.snapshot = fails\nsys.exit(main(sys.argv[1:]))\n"
    )
    command = [sys.executable, str(tmp_path / "broken.py"), "serve", str(tmp_path / "node.toml")]
    log = tmp_path / "node.err"

    def reported() -> bool:
        return "made to fail" in log.read_text() and "Traceback" in log.read_text()

    with log.open("w") as stderr:
        process = subprocess.Popen([*command, "--debug"], stderr=stderr, stdout=subprocess.DEVNULL)
        assert process.wait(PATIENCE) == 2
    assert reported()
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL)
        until(reported, what="the report of the fault")
        assert process.poll() is None, "without debugging it serves on"
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_frames_and_kinds_that_do_not_exist_are_refused_while_recording_and_replay(
    tmp_path: Path, code: CompiledCode
) -> None:
    node = NodeProcess(tmp_path, code, record="run.mcap")
    with node:
        gateway = node.gateway()
        dealer = Dealer(f"tcp://127.0.0.1:{node.port}", node.keys["g"], node.node.public)
        bare = zmq.Context.instance().socket(zmq.DEALER)  # our own Dealer sends nothing but a kind and a body
        bare.curve_serverkey = node.node.public.encode()
        bare.curve_publickey, bare.curve_secretkey = node.keys["g"].public.encode(), node.keys["g"].secret.encode()
        bare.connect(f"tcp://127.0.0.1:{node.port}")
        for kind in (b"?", b"", b"state", b"code", b"config", b"\xff" * 300):
            dealer.send(kind, b"{}")
        for frames in ([b"P"], [b"P", b"x", b"y"], [b""], [b"P"] * 50):
            bare.send_multipart(frames, zmq.NOBLOCK)

        def served() -> bool:
            gateway.perception(
                "rsu-1", "cam", code.origin.lat, code.origin.lon, [{"x": 12.0, "y": -3.5, "class": "car"}]
            )
            gateway.poll(20)
            return node.count("accept.perception") >= 5 and node.count("reject.unknown") >= 9

        until(served, what="all refused, and the good ones taken")
        gateway.close()
        dealer.close()
        bare.close(linger=0)
    assert "Traceback" not in node.said
    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def test_a_vehicle_cannot_give_an_operators_orders(tmp_path: Path, code: CompiledCode) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    later = codes.dump(msgspec.structs.replace(code.code, revision=2, valid_from=T + 60 * SECOND))
    for sender in ("g", "car", ""):
        out = engine.step(T, [RawMessage("code", sender, later), RawMessage("config", sender, b'{"gateways":{}}')])
        assert out.answers == []
        assert (
            engine.metrics.counters["reject.code", sender] + engine.metrics.counters["reject.unknown", sender] == 2
            or [body.rule for _, _, body in out.replies] == ["no such kind of message"] * 2
        )
    assert engine.versions.announced(code.code.id, T) is None
    assert engine.step(T, [RawMessage("code", OPERATOR, later)]).answers[0].refusal is None
    assert engine.versions.announced(code.code.id, T) is not None


def test_the_only_code_file_that_is_gone_and_back_is_reported(tmp_path: Path, code: CompiledCode) -> None:
    server = broker.start(tmp_path / "broker")
    node = NodeProcess(tmp_path, code, f"version = {server.version}\n")
    node.config.write_text(node.config.read_text().replace(f"port = {node.mqtt}", f"port = {server.port}"))
    with node:
        (tmp_path / "code.json").rename(tmp_path / "kept")
        until(lambda: "code.json is gone" in node.said, 20, "the missing file")
        (tmp_path / "kept").rename(tmp_path / "code.json")
        until(lambda: "code.json is back" in node.said, 20, "the file that is back")
        assert node.said.count("is gone") == 1
    server.stop()
