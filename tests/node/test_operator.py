"""What the operator changes while a node runs is an input: recorded, replayed to the byte; SIGHUP takes over what can
change and says what cannot.
"""

import asyncio
import signal
from pathlib import Path

import msgspec
import pytest
from deadlines import until
from node_process import NodeProcess
from two_intersections import advised, elsewhere, two_places

from bench.scene import Scene
from cloudctl import codes
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.recording.reader import Recorder, Recording
from cloudctl.io.zeromq import new_keys
from cloudctl.node.config import ConfigError, load
from cloudctl.payloads import encode
from cloudctl.replay import replay
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig
from cloudctl.topics import OPERATOR

T = 1_767_225_600 * SECOND


def config_input(config: EngineConfig) -> RawMessage:
    return RawMessage("config", OPERATOR, msgspec.json.encode(config))


def test_a_run_with_an_announcement_a_change_and_a_reload_replays_byte_identical(scene: Scene, tmp_path: Path) -> None:
    code = scene.code.code
    config = EngineConfig({"g": {f"r{k}": code.id for k in range(3)}})
    engine, recorder = Engine([code], config), Recorder(tmp_path / "run.mcap")
    recorder.meta("config", msgspec.json.encode(config))
    recorder.meta("code", codes.dump(code))
    later = msgspec.structs.replace(code, revision=2, name="after the works", valid_from=T + 6 * SECOND)
    fewer = EngineConfig({"g": {"r1": code.id, "r0": code.id}, "new": {"r2": code.id}}, period_ms=200)
    changed = False
    for k, (t, batch) in enumerate(scene.run(9.0)):
        orders = {
            9: [RawMessage("code", OPERATOR, codes.dump(later))],
            10: [RawMessage("code", OPERATOR, b"{")],
            60: [config_input(fewer)],
            61: [config_input(EngineConfig({"g": {"r0": "nowhere"}}))],
        }
        batch = [*orders.get(k, []), *batch]
        out = engine.step(t, batch)
        changed |= bool(out.changed)
        assert [answer.refusal is None for answer in out.answers] == ([k in (9, 60)] if k in orders else [])
        recorder.step(t, batch, [encode(a) for a in out.advisories])
    recorder.close()
    assert changed
    assert engine.metrics.counters["reject.perception", "g"] > 0, "r2 is another gateway's after the reload"
    result = replay(tmp_path / "run.mcap")
    assert result.recorded > 0
    assert (result.difference, result.fault, dict(result.faults)) == (None, None, {})


def test_a_reload_keeps_clocks_and_numbers_of_those_that_stay_and_drops_those_that_go() -> None:
    first, second, engine = two_places()
    for (t, batch), (_, other) in zip(first.run(1.0), second.run(1.0), strict=True):
        engine.step(t, [*batch, *(elsewhere(datum) for datum in other)])
    engine.ingest.gateways["g"].offset = 7
    names = first.code.code.id, second.code.code.id
    out = engine.step(T + 2 * SECOND, [config_input(EngineConfig({"g": {"r0": names[0], "r1": names[1]}}))])
    assert out.answers[0].refusal is None
    assert list(engine.ingest.gateways) == ["g"]
    assert engine.ingest.gateways["g"].offset == 7
    assert [place.gateways for place in engine.intersections.values()] == [("g",), ("g",)]
    assert {key: source.intersection for key, source in engine.ingest.sources.items()} == {("r0", "fused"): names[0]}
    assert {rsu: source.intersection for rsu, source in engine.ingest.sources.signals.items()} == {"r0": names[0]}
    outs = []
    for (t, batch), (_, other) in zip(
        first.run(2.0, begin=T + 3 * SECOND), second.run(2.0, begin=T + 3 * SECOND), strict=True
    ):
        keep = [d for d in batch if d.kind == "state" or msgspec.msgpack.decode(d.body)["r"] == "r0"]
        moved = [
            d._replace(sender="g", body=msgspec.msgpack.encode({**msgspec.msgpack.decode(d.body), "r": "r1"}))
            for d in other
            if d.kind != "state"
        ]
        outs.append(engine.step(t, [*keep, *moved[:1]]))
    assert advised(outs, names[1]), "the unit that moved serves its new intersection"


def test_a_code_announced_in_a_running_node_replays(tmp_path: Path, code: CompiledCode) -> None:
    node = NodeProcess(tmp_path, code, record="run.mcap")
    node.config.write_text(node.config.read_text().replace('"code.json"', '"*.code.json", "code.json"'))
    (tmp_path / "0.code.json").write_bytes(codes.dump(code.code))
    with node:
        gateway = node.gateway()

        def driven() -> int:
            gateway.perception(
                "rsu-1", "cam", code.origin.lat, code.origin.lon, [{"x": 12.0, "y": -3.5, "class": "car"}]
            )
            gateway.poll(30)
            return node.count("accept.perception")

        until(lambda: driven() > 5, what="frames")
        begins = WallClock().now() + 9 * SECOND
        (tmp_path / "2.code.json").write_bytes(
            codes.dump(msgspec.structs.replace(code.code, revision=2, valid_from=begins))
        )
        (tmp_path / "3.code.json").write_bytes(b"{")
        until(lambda: driven() and node.count("code.announced"), what="the announcement")
        until(lambda: driven() and WallClock().now() > begins + SECOND, what="the change")
        gateway.close()
    kinds = [datum.kind for step in Recording(tmp_path / "run.mcap").steps() for datum in step.batch]
    assert kinds.count("code") == 1
    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault) == (None, None)
    revisions = {a["inputs"]["revision"] for a in _advisories(tmp_path / "run.mcap")}
    assert revisions == {1, 2}
    assert "3.code.json is not taken in" in node.said


def _advisories(path: Path) -> list[dict]:
    return [msgspec.json.decode(data) for step in Recording(path).steps() for data in step.advisories]


def test_sighup_takes_over_gateways_keys_and_limits_and_says_what_waits_for_a_restart(
    tmp_path: Path, code: CompiledCode
) -> None:
    node = NodeProcess(tmp_path, code, record="run.mcap")
    stranger, late = new_keys(), new_keys()
    place = code.code.id
    with node:
        assert node.process is not None

        def hangup(text: str) -> None:
            node.config.write_text(text)
            node.process.send_signal(signal.SIGHUP)

        def serves(gateway: object, rsu: str) -> None:
            before = node.count("accept.perception", rsu)

            def driven() -> bool:
                gateway.perception(
                    rsu, "cam", code.origin.lat, code.origin.lon, [{"x": 12.0, "y": -3.5, "class": "car"}]
                )
                gateway.poll(20)
                return node.count("accept.perception", rsu) > before

            until(driven, what=f"frames of {rsu}")

        old = node.config.read_text()
        first, other = node.gateway(), node.gateway("other")
        serves(first, "rsu-1")
        serves(other, "rsu-9")
        hangup(old.replace("[[gateway]]", "[[gatewy]]", 1))
        until(lambda: "configuration not taken over" in node.said, what="the refusal of a file that is none")
        hangup(old.replace(f'"rsu-9" = "{place}"', '"rsu-9" = "UST1.nowhere"'))
        until(
            lambda: node.said.count("configuration not taken over") == 2, what="the refusal of an unknown intersection"
        )
        serves(other, "rsu-9")
        new = old.replace(node.keys["other"].public, late.public).replace(
            "[record]\n", "[plan]\nmax_tracks = 100\n[record]\n"
        )
        new = new.replace("[record]\n", "[record]\nkeep_mb = 4096\n")
        new += f'[[gateway]]\nname = "more"\nkey = "{stranger.public}"\nrsus = {{ "rsu-7" = "{place}" }}\n'
        hangup(new)
        until(lambda: "was read again; gateways: g, other, more" in node.said, what="the reload")
        assert "[plan] max_tracks has changed" in node.said
        more, again = node.gateway("more", stranger), node.gateway("other", late)
        serves(more, "rsu-7")
        serves(again, "rsu-9")
        serves(first, "rsu-1")
        refused = node.count("reject.perception")
        other.perception("rsu-9", "cam", code.origin.lat, code.origin.lon, [])
        until(
            lambda: node.count("reject.perception") > refused or node.count("reject.unknown_key"),
            what="the old key is known no more",
        )
        for gateway in (first, other, more, again):
            gateway.close()
    assert "Traceback" not in node.said
    result = replay(tmp_path / "run.mcap")
    assert (result.difference, result.fault) == (None, None)
    assert sum(d.kind == "config" for step in Recording(tmp_path / "run.mcap").steps() for d in step.batch) == 1, (
        "what no file under [node] codes is of never reaches the engine"
    )


def test_what_is_taken_over_is_there_in_every_later_part(tmp_path: Path, code: CompiledCode) -> None:
    recorder = Recorder(tmp_path / "run.mcap")
    recorder.meta("config", b"old")
    recorder.meta("code", b"first")
    recorder.remember("config", b"new")
    recorder.remember("code", b"second")
    recorder.flush()
    recorder.path.unlink()
    recorder.flush()
    recorder.step(1, [], [])
    recorder.close()
    assert Recording(recorder.path).meta == [("code", b"first"), ("config", b"new"), ("code", b"second")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[broker]\nport = 99999\n", "[broker] port = 99999"),
        ("[broker]\nport = 0\n", "[broker] port = 0"),
        ("[plan]\nperiod_ms = 0\n", "[plan] period_ms = 0"),
        ("[plan]\nperiod_ms = -5\n", "[plan] period_ms = -5"),
        ("[plan]\nrefresh = 1.5\n", "[plan] refresh = 1.5"),
        ("[plan]\nrefresh = nan\n", "[plan] refresh = nan"),
        ("[plan]\nmax_tracks = 0\n", "[plan] max_tracks = 0"),
        ("[plan]\nmax_tracks = 1000000\n", "[plan] max_tracks = 1000000"),
        ('[node]\ncurve = false\nbind = "tcp://0.0.0.0:99999"\n', "[node] bind"),
        ('[node]\ncurve = false\nbind = "tcp://0.0.0.0"\n', "[node] bind"),
        ('[http]\nbind = "0.0.0.0:70000"\n', "[http] bind"),
        ("[record]\npart_mb = 0\n", "[record] part_mb = 0"),
        ("[record]\npart_minutes = -1\n", "[record] part_minutes = -1"),
        ("[record]\nkeep_days = -1\n", "[record] keep_days = -1"),
        ("[record]\nkeep_mb = 100\n", "[record] keep_mb = 100"),
        ("[record]\nkeep_mb = inf\n", "[record] keep_mb = inf"),
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_with_its_key(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "node.toml")
    assert named in str(refused.value)
    assert "must be" in str(refused.value)
    assert any(word in str(refused.value) for word in ("Correct it", "Write"))


def test_every_mistake_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(
        '[broker]\nport = 99999\nopen = true\n[plan]\nrefresh = 1.5\n[http]\norigins = ["console"]\n'
    )
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "node.toml")
    lines = str(refused.value).splitlines()
    named = ("[broker] port = 99999", "[plan] refresh = 1.5", "[http] origins")
    assert [next(name for name in named if name in line) for line in lines] == list(named)


def test_a_node_made_without_a_file_says_that_there_is_nothing_to_read(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, code: CompiledCode
) -> None:
    from cloudctl.node.live import Node

    (tmp_path / "code.json").write_bytes(codes.dump(code.code))
    (tmp_path / "node.toml").write_text(
        '[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["code.json"]\n[broker]\nopen ='
        f' true\n[[gateway]]\nname = "g"\nrsus = {{ r = "{code.code.id}" }}\n'
    )

    async def live() -> None:
        node, stop = Node(load(tmp_path / "node.toml")), asyncio.Event()
        task = asyncio.create_task(node.run(stop))
        await asyncio.sleep(0)
        node.reload()
        stop.set()
        await task

    asyncio.run(live())
    assert "nothing to read again" in caplog.text
