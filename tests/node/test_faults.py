"""A fault in one place takes nothing from another: exceptions injected everywhere, and bodies that nobody wrote by hand."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zmq  # noqa: TID251 - to send what our own sockets do not
from deadlines import until, when
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from node_process import NodeProcess
from two_intersections import advised, elsewhere, two_places

from bench.scene import Scene
from cloudctl import codes
from cloudctl.client import Gateway
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine, Output
from cloudctl.faults import REPEAT, FaultReport, Faults
from cloudctl.io import broker
from cloudctl.io.recording.reader import Recorder
from cloudctl.io.zeromq import Dealer
from cloudctl.metrics import Metrics
from cloudctl.node.config import load
from cloudctl.node.live import Node
from cloudctl.payloads import encode_all
from cloudctl.planner.kinds import glosa
from cloudctl.replay import replay
from cloudctl.schema import AdvisoryKind, Group, Hello, RawMessage, Sensor, SignalState
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR, TOPICS

T = 1_767_225_600 * SECOND


class Broken(Exception):
    """Nobody expects this one."""


def fails(*_: object, **__: object) -> None:
    raise Broken("made to fail")


# --- the engine ---


def drive(
    scenes: tuple[Scene, Scene], engine: Engine, seconds: float = 4.0, recorder: Recorder | None = None
) -> list[Output]:
    """Run both intersections; the second's units are s0, s1, s2 of gateway h and its vehicle is `van`."""
    outs = []
    for (t, batch), (_, other) in zip(scenes[0].run(seconds), scenes[1].run(seconds), strict=True):
        batch = [*batch, *(elsewhere(datum) for datum in other)]
        out = engine.step(t, batch)
        if recorder:
            recorder.step(t, batch, [payload for _, payload in encode_all(out.advisories, engine.faults)])
        outs.append(out)
    return outs


def test_a_plan_that_fails_is_published_as_degraded_and_the_other_intersection_is_advised(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first, second, engine = two_places()
    works, name = glosa.plan, first.code.code.id
    monkeypatch.setattr(
        glosa, "plan", lambda world, *more: fails() if world.code.code.id == name else works(world, *more)
    )
    recorder = Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(engine.config))
    for place in engine.intersections.values():
        recorder.meta("code", codes.dump(place.code.code))
    outs = drive((first, second), engine, recorder=recorder)
    recorder.close()
    assert advised(outs, name) == {AdvisoryKind.DEGRADED}
    assert AdvisoryKind.GLOSA in advised(outs, second.code.code.id)
    said = next(a for out in outs for a in out.advisories if a.intersection == name)
    assert said.target == f"intersection:{name}"
    assert "fault of the node" in said.reason
    assert "Broken" not in said.reason
    errors = [fault for out in outs for fault in out.errors]
    assert {(fault.place, fault.source) for fault in errors} == {("plan", name)}
    assert [bool(fault.text) for fault in errors] == [True] + [False] * (len(errors) - 1), "described once"
    assert "made to fail" in errors[0].text
    assert engine.metrics.counters["fault.plan", name] == len(errors) > 10
    result = replay(tmp_path / "run.mcap")
    assert result.difference is None, "the same fault gives the same advisories"
    assert sum(result.faults.values()) == len(errors)
    monkeypatch.setattr(glosa, "plan", works)
    again = drive((first, second), engine, 0.0) or [engine.step(T + 10 * SECOND, [])]
    assert not any(fault for out in again for fault in out.errors)


PLACES = {
    "ingest of one kind": (lambda m: m.setattr("cloudctl.ingest.messages.check_hello", fails), "ingest", "hello"),
    "a hello": (lambda m: m.setattr("cloudctl.sensor_health.Sensing.declare", fails), "handle", "hello"),
    "a signal": (lambda m: m.setattr("cloudctl.signals.quality.SignalQuality.observe", fails), "handle", "signal"),
    "a report": (lambda m: m.setattr("cloudctl.vehicles.VehicleRegistry.reported", fails), "report", "state"),
    "a world": (lambda m: m.setattr("cloudctl.world.build", fails), "plan", ""),
    "an advisory's choice": (lambda m: m.setattr("cloudctl.planner.AdvisoryFilter.choose", fails), "degraded", ""),
    "decoding of objects": (
        lambda m: m.setattr("cloudctl.ingest.frames.decode_batch", _empty_or(fails)),
        "decode",
        "perception",
    ),
    "fusion": (lambda m: m.setattr("cloudctl.scans.update_batch", fails), "fuse", ""),
}


def _empty_or(fail: Callable) -> Callable:
    from cloudctl.fusion import decode_batch

    return lambda payloads, shifts=None: fail() if payloads else decode_batch(payloads, shifts)


@pytest.mark.parametrize("name", PLACES)
def test_a_fault_in_one_place_is_counted_and_the_step_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inject, place, kind = PLACES[name]
    first, second, engine = two_places()
    inject(monkeypatch)
    sensor = Sensor("fused", lat=first.lat, lon=first.lon)
    hello = RawMessage("hello", "g", msgspec.msgpack.encode(Hello(1, "g", ("r0",), (sensor,))))
    outs = [engine.step(T - MS, [hello]), *drive((first, second), engine, 2.0)]
    assert engine.metrics.total(f"fault.{place}") > 0
    if kind:
        faulty = {source for (counter, source), _ in engine.metrics.counters.items() if counter == f"fault.{place}"}
        assert kind in faulty
    rejects = [body for out in outs for _, sort, body in out.replies if sort == "reject"]
    if place in ("ingest", "handle", "decode"):
        assert rejects
        assert all(
            body.field == "body" and "the node could not process it" in body.rule and body.remedy for body in rejects
        )
    if place not in ("decode", "plan", "degraded"):
        assert engine.intersections[second.code.code.id].planned > T
    if place == "plan":
        assert advised(outs, first.code.code.id) == {AdvisoryKind.DEGRADED}


def test_one_bad_frame_of_many_is_the_only_one_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from cloudctl.fusion import decode_batch

    first, second, engine = two_places()
    bad = first.perception("r0", 0, T)
    block = bytes(msgspec.msgpack.decode(bad, type=dict[str, msgspec.Raw])["o"])
    monkeypatch.setattr(
        "cloudctl.ingest.frames.decode_batch",
        lambda payloads, shifts=None: fails() if block in payloads else decode_batch(payloads, shifts),
    )
    good = [RawMessage("perception", "g", first.perception(f"r{k}", 0, T)) for k in (1, 2)]
    out = engine.step(
        T,
        [
            good[0],
            RawMessage("perception", "g", bad),
            good[1],
            elsewhere(RawMessage("perception", "h", second.perception("r0", 0, T))),
        ],
    )
    assert engine.metrics.total("accept.perception") == 3
    assert [body.kind for _, sort, body in out.replies if sort == "reject"] == ["perception"]
    assert engine.metrics.total("fault.decode") == 1


def test_a_revision_that_cannot_be_made_leaves_its_intersection_silent_and_others_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second, engine = two_places()
    begins = T + 2 * SECOND
    later = msgspec.structs.replace(first.code.code, revision=2, valid_from=begins)
    engine.announce(later, T - 10 * SECOND)
    monkeypatch.setattr("cloudctl.revisions.compile_code", fails)
    outs = drive((first, second), engine)
    late = [a for out in outs for a in out.advisories if a.t >= begins]
    assert late
    assert {a.intersection for a in late} == {second.code.code.id}
    assert engine.metrics.total("fault.revision") == 1


def test_in_debugging_the_first_fault_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, _ = two_places()
    engine = Engine([first.code.code], EngineConfig({"g": {f"r{k}": first.code.code.id for k in range(3)}}), debug=True)
    monkeypatch.setattr(glosa, "plan", fails)
    steps = first.run(2.0)
    with pytest.raises(Broken):
        list(map(engine.step, *zip(*steps, strict=True)))


def test_a_cause_is_described_once_and_repeated_once_a_minute_with_its_count() -> None:
    metrics, report = Metrics(), FaultReport()
    faults, lines = Faults(metrics), []
    for second in range(150):
        for _ in range(10):
            try:
                fails()
            except Broken as error:
                faults.note("plan", "X", error)
        lines += report.lines(second * SECOND, faults.take())
    assert len(lines) == 1 + 149 * SECOND // REPEAT
    assert "Traceback" in lines[0]
    assert "made to fail" in lines[0]
    assert "again, 609 times in 60 s" in lines[1]
    assert metrics.total("fault.plan") == 1500


# --- bodies that nobody wrote ---

NUMBERS = st.one_of(
    st.sampled_from([0, -1, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 65535, 36001]),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e308, -0.0, 0.1]),
)
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=8), st.binary(max_size=80)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=3), inner, max_size=4)),
    max_leaves=6,
)


def bodies(scene: Scene, t: int, seq: int) -> dict[str, dict]:
    """Return a good body of every kind that a node accepts, as plain maps."""
    lane = scene.code.lane_ids[0]
    raw = msgspec.msgpack.decode
    return {
        "perception": {**raw(scene.perception("r0", seq, t)), "o": [{"x": 1.0, "y": 2.0, "class": "car"}]},
        "signal": raw(scene.signal("r0", seq, t)),
        "hello": {
            "v": 1,
            "g": "g",
            "r": ["r0"],
            "s": [
                {
                    "id": "cam",
                    "type": "camera",
                    "lat": scene.lat,
                    "lon": scene.lon,
                    "heading": 0.0,
                    "fov": 6.0,
                    "range": 100.0,
                    "hz": 10.0,
                }
            ],
            "sw": "x",
        },
        "hazard": {
            "v": 1,
            "r": "r0",
            "id": "h",
            "kind": "ice",
            "t": t,
            "start": t,
            "end": t + SECOND,
            "lane": lane,
            "s": [0.0, 10.0],
            "p": 1,
            "text": "ice",
        },
        "health": {
            "v": 1,
            "r": "r0",
            "t": t,
            "s": [{"id": "cam", "alive": True, "hz": 10.0, "temperature": 20.0, "clock_offset": 0}],
        },
        "sync": {"v": 1, "g": "g", "t1": t, "t2": t, "t3": t, "t4": t},
        "state": {k: v for k, v in msgspec.to_builtins(scene.state(t)).items() if k != "kind"},
        "requests": {
            "t": t,
            "id": "q",
            "intersection": scene.code.code.id,
            "movement": scene.movement,
            "eta": t + SECOND,
            "action": "request",
        },
        "acks": {"t": t, "advisory": "a", "outcome": "applied"},
    }


def mutate(body: object, path: list[int], value: object) -> object:
    """Put a value somewhere into a body; the numbers of `path` choose where."""
    if not path or not isinstance(body, dict | list) or not body:
        return value
    if isinstance(body, dict):
        key = list(body)[path[0] % len(body)]
        return {**body, key: mutate(body[key], path[1:], value)}
    k = path[0] % len(body)
    return [*body[:k], mutate(body[k], path[1:], value), *body[k + 1 :]]


MUTATION = st.tuples(
    st.sampled_from(sorted(k for k, topic in TOPICS.items() if topic.direction in ("in", "both"))),
    st.lists(st.integers(0, 60), min_size=1, max_size=4),
    VALUES,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(
    mutations=st.lists(MUTATION, min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 200), max_size=3),
    kind=st.text(max_size=6),
)
def test_no_body_of_any_kind_is_a_fault_of_the_node_and_all_replay(
    code: CompiledCode, tmp_path_factory: pytest.TempPathFactory, mutations: list, cuts: list[int], kind: str
) -> None:
    """In debugging, where every fault goes through; the run is recorded, and says the same again."""
    scene = Scene(code, 6)
    config = EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}})
    engine = Engine([code.code], config, debug=True)
    path = tmp_path_factory.mktemp("fuzz") / "run.mcap"
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code.code))
    for k, (t, batch) in enumerate(scene.run(1.5)):
        wrong = []
        if k % 3 == 1:
            for n, (name, where, value) in enumerate(mutations):
                good = bodies(scene, t, 1000 + 100 * k + n)[name]
                encode = msgspec.msgpack.encode if TOPICS[name].code else _json
                try:
                    data = encode(mutate(good, where, value))
                except (OverflowError, UnicodeEncodeError):
                    continue
                wrong.append(RawMessage(name, "g" if TOPICS[name].code else "car", data))
            wrong += [
                RawMessage(name, "g", msgspec.msgpack.encode(bodies(scene, t, 9000)[name])[:cut])
                for cut in cuts
                for name in ("signal", "hello")
            ]
            wrong += [
                RawMessage(kind, "g", b"x"),
                RawMessage("", "", b""),
                RawMessage("code", "g", b"{}"),
                RawMessage("config", "car", b"{}"),
            ]
        out = engine.step(t, [*batch, *wrong])
        recorder.step(t, [*batch, *wrong], [payload for _, payload in encode_all(out.advisories, engine.faults)])
        for _, _, body in out.replies:
            msgspec.msgpack.encode(body)
        for signals in out.signals:
            msgspec.json.encode(signals)
    recorder.close()
    result = replay(path, debug=True)
    assert (result.difference, result.fault) == (None, None)
    path.unlink()


def _json(body: object) -> bytes:
    return msgspec.json.encode(body)


@pytest.mark.parametrize("end", [2**63 - 1, 2**64 - 1])
def test_an_end_that_is_the_greatest_number_is_not_known(scene: Scene, code: CompiledCode, end: int) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = msgspec.msgpack.decode(scene.signal("r0", 0, T))
    for group in body["g"]:
        group |= {"mx": end, "lk": end, "ng": end, "nd": end}
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    assert not [sort for _, sort, _ in out.replies if sort == "reject"]
    (signals,) = out.signals
    assert all(
        isinstance(g, Group) and g.max_end is None and g.likely_end is None and g.min_end is not None
        for g in signals.groups
    )
    assert engine.metrics.total("signal.end_unknown") == 4 * len(body["g"])


@pytest.mark.parametrize(("field", "value"), [("mn", 2**63), ("mx", 2**64 - 2), ("ng", 2**62 + 1), ("nd", -1)])
def test_an_end_that_no_clock_can_show_is_refused_with_its_range(
    scene: Scene, code: CompiledCode, field: str, value: int
) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = msgspec.msgpack.decode(scene.signal("r0", 0, T))
    body["g"][1][field] = value
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    (reject,) = [reject for _, sort, reject in out.replies if sort == "reject"]
    assert (reject.field, reject.value) == (f"g[1].{field}", str(value))
    assert "64 bits" in reject.rule
    assert reject.remedy


@pytest.mark.parametrize("field", ["t", "q", "rev"])
def test_a_number_beyond_64_bits_is_refused_by_its_name(scene: Scene, code: CompiledCode, field: str) -> None:
    engine = Engine([code.code], EngineConfig({"g": {"r0": code.code.id}}), debug=True)
    body = {**msgspec.msgpack.decode(scene.signal("r0", 0, T)), field: 2**64 - 1}
    out = engine.step(T, [RawMessage("signal", "g", msgspec.msgpack.encode(body))])
    (reject,) = [reject for _, sort, reject in out.replies if sort == "reject"]
    assert reject.field == field
    assert str(2**63 - 1) in reject.value


# --- a whole node ---


def written(tmp_path: Path, code: CompiledCode, port: int, more: str = "", version: int = 5) -> Path:
    (tmp_path / "code.json").write_bytes(codes.dump(code.code))
    file = tmp_path / "node.toml"
    file.write_text(
        f'[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["code.json"]\nstatus = "status.json"\n[broker]\nopen = true\nport = {port}\nversion = {version}\n'
        f'[http]\nbind = "127.0.0.1:0"\n[record]\npath = "run.mcap"\n[[gateway]]\nname = "g"\nrsus = {{ r0 = "{code.code.id}", r1 = "{code.code.id}", r2 = "{code.code.id}" }}\n{more}'
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


def test_in_debugging_a_node_ends_at_the_first_fault_with_its_traceback(code: CompiledCode, tmp_path: Path) -> None:
    written(tmp_path, code, broker.free_port())
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
        assert process.wait(30) == 2
    assert reported()
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stderr=stderr, stdout=subprocess.DEVNULL)
        until(reported, what="the report of the fault")
        assert process.poll() is None, "without debugging it serves on"
        process.terminate()
        assert process.wait(20) == 0


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
