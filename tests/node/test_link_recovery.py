"""Links that are cut and clocks that step, with real sockets and processes: over within seconds."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from deadlines import until
from gateway_frames import accepted, frame
from node_process import NodeProcess
from paths import ROOT

from cloudctl.client import Gateway
from cloudctl.clock import MS, SECOND, SteadyClock, WallClock, stopwatch
from cloudctl.codes import CompiledCode
from cloudctl.io import broker
from cloudctl.io.zeromq import Server, new_keys
from cloudctl.schema import Sync
from cloudctl.topics import TOPICS

CLOCK_PATCH = """import os, time
_real = time.time_ns
def _shifted():
    try:
        return _real() + int(open(os.environ["CLOCK_FILE"]).read() or 0)
    except OSError:
        return _real()
time.time_ns = _shifted
"""


# --- links ---


@pytest.mark.skipif(
    sys.platform != "linux"
    or os.geteuid() != 0
    or not all(map(broker.shutil.which, ("unshare", "ip", "iptables", "mosquitto"))),
    reason="cutting links needs root, unshare, ip, iptables and mosquitto on PATH",
)
@pytest.mark.parametrize("link", ["gateway to node", "node to broker", "vehicle to broker"])
def test_service_is_back_soon_after_a_link_is(link: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RECOVERY_CUT": "8"}
    command = ["unshare", "-n", sys.executable, str(ROOT / "bench" / "bench_recovery.py"), "--inside", link]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110, check=False)
    rows = [line.split("|") for line in done.stdout.splitlines() if link in line]
    if not rows and "Operation not permitted" in done.stderr:
        pytest.skip("no network namespace may be made here")
    assert rows, done.stderr
    assert float(rows[0][2]) < 5, rows  # 2 s on a machine that is not shared


# --- gateways and clocks ---


@pytest.mark.parametrize("step", [3600, -3600, 2, -2])
def test_a_gateway_whose_clock_steps_serves_again_at_once_and_the_refusal_names_the_clock(
    tmp_path: Path, code: CompiledCode, step: int
) -> None:
    wall, shift = WallClock(), 0
    node = NodeProcess(tmp_path, code)
    with node:
        gateway = node.gateway(now=lambda: wall.now() + shift)
        accepted(node, gateway, 3)
        until(lambda: gateway.poll(20) or gateway.clock_steps == 0)
        shift = step * SECOND
        frame(gateway, code)
        accepted(node, gateway, 3)
        assert gateway.clock_steps == 1
        if abs(step) > 10:
            assert any("clock" in reject.rule and "stepped" in reject.rule for reject in node.rejects)
            until(lambda: node.count("sync.step") >= 1, what="the count of the step")
        gateway.close()


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("alone", [True, False], ids=["the node's clock alone", "everybody's clock"])
def test_a_node_whose_clock_steps_serves_on_by_the_time_of_those_it_serves(
    tmp_path: Path, code: CompiledCode, hours: int, alone: bool
) -> None:
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(CLOCK_PATCH)
    clock_file = tmp_path / "clock"
    node = NodeProcess(tmp_path, code, record="run.mcap")
    wall, shift = WallClock(), 0
    environment = {
        "PYTHONPATH": f"{tmp_path / 'patch'}:{os.environ.get('PYTHONPATH', '')}",
        "CLOCK_FILE": str(clock_file),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        node.__enter__()
    gateway = node.gateway(now=lambda: wall.now() + shift)
    accepted(node, gateway, 3)
    clock_file.write_text(str(hours * 3600 * SECOND))
    if not alone:
        shift = hours * 3600 * SECOND

    def settled() -> bool:
        frame(gateway, code)
        gateway.poll(50)
        return node.count("clock.step") >= 1 and "the machine's clock stepped" in node.said

    until(settled, what="the report of the step")
    accepted(node, gateway, 5)
    assert node.said.count("the machine's clock stepped") == 1
    assert ("keeps its time" in node.said) == alone
    assert node.count("clock.restart") == (1 if not alone and hours < 0 else 0)
    gateway.close()
    node.__exit__()
    assert "Traceback" not in node.said
    from cloudctl.replay import replay

    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault) == (None, None)


def test_a_steady_clock_is_not_moved_by_a_step_until_it_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    import time  # noqa: TID251

    real, shift = time.time_ns, 0
    monkeypatch.setattr(time, "time_ns", lambda: real() + shift)
    clock = SteadyClock()
    before = clock.now()
    shift = -3600 * SECOND
    assert 0 < clock.now() - before < SECOND
    assert clock.stepped == pytest.approx(-3600 * SECOND, abs=SECOND)
    shift = SECOND // 10
    assert clock.now() > before
    assert clock.stepped == 0, "the machine's clock came back"
    shift = -3600 * SECOND
    clock.now()
    assert clock.follow() == pytest.approx(-3600 * SECOND, abs=SECOND)
    assert clock.now() - before == pytest.approx(-3600 * SECOND, abs=SECOND)


def test_while_the_node_is_away_a_gateway_keeps_the_newest_of_each_stream_and_counts_the_rest(
    code: CompiledCode,
) -> None:
    keys, node_keys = new_keys(), new_keys()
    server = Server("tcp://127.0.0.1:*", node_keys, {keys.public: "g"})
    address = server.address
    server.close()
    gateway = Gateway(address, ["rsu-1"], name="g", key=keys, node_key=node_keys.public)
    for _ in range(20):
        frame(gateway, code)
    gateway.perception("rsu-1", "other", code.origin.lat, code.origin.lon, [])
    assert gateway.dropped == 10
    server = Server(address, node_keys, {keys.public: "g"})
    received: list[bytes] = []

    def both() -> bool:
        gateway.poll(20)
        received.extend(message.kind for message in server.drain())
        # those that it takes more than their second to send, as on a machine that stands still, are dropped as well
        return received.count(b"P") + gateway.dropped == 21

    until(both, what="the newest frames of both sensors")
    assert received[0] == b"H"
    gateway.close()
    server.close()


def test_an_exchange_that_waited_for_a_node_to_start_gives_no_offset() -> None:
    """The node's socket is there before it reads: half of what the first exchange waited would be taken for an
    offset.
    """
    server = Server("tcp://127.0.0.1:*", keys=None, allowed={})
    begun: list[int] = []  # by the gateway's clock, of each exchange
    finished: list[Sync] = []
    with Gateway(server.address, ["rsu-1"], name="g") as gateway:
        until(lambda: gateway.poll(20) or gateway.state == "connected")
        begin = stopwatch()
        until(lambda: gateway.poll(20) or stopwatch() - begin > 300 * MS)

        def is_answered() -> bool:
            for received in server.drain(100):
                if received.kind == TOPICS["sync"].code:
                    sync = msgspec.msgpack.decode(received.body, type=Sync)
                    now = WallClock().now()
                    answer = msgspec.structs.replace(sync, t2=now, t3=now)
                    if sync.t4 is None:
                        begun.append(sync.t1)
                        server.send(received.peer, received.kind, msgspec.msgpack.encode(answer))
                    else:
                        finished.append(sync)
            gateway.poll(5)
            return bool(finished)

        until(is_answered, what="an exchange")
    server.close()
    assert begun[0] not in [sync.t1 for sync in finished], "the one that waited"
