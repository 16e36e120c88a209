"""Codes published: a revision takes effect at its time without a restart and without a wrong word in between; MQTT and
HTTP.
"""

import asyncio
from pathlib import Path

import msgspec
import pytest
from deadlines import Standstill, when
from msgspec.structs import replace

from bench.scene import Scene
from cloudctl import codes
from cloudctl.client import Vehicle
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.codes.canon import from_compact
from cloudctl.codes.versions import Versions
from cloudctl.engine import Engine
from cloudctl.io.egress import Egress
from cloudctl.io.http import HttpServerError, Web, time_of
from cloudctl.node.config import ConfigError, code_files, load
from cloudctl.node.live import Node
from cloudctl.node.publish import Publisher
from cloudctl.schema import AdvisoryKind, Signal
from cloudctl.settings import EngineConfig

T = 1_767_225_600 * SECOND
CHANGE = T + 4 * SECOND
decode, encode = msgspec.msgpack.Decoder(Signal).decode, msgspec.msgpack.encode


def revisions(scene: Scene) -> tuple[codes.IntersectionCode, codes.IntersectionCode]:
    """Return the code, and a revision that bans the movement of the connected vehicle's lane from CHANGE on."""
    code = scene.code.code
    return code, replace(code, revision=2, name="after the works", valid_from=CHANGE)


def engine_of(scene: Scene, *known: codes.IntersectionCode) -> Engine:
    return Engine(known, EngineConfig({"g": {f"r{k}": scene.code.code.id for k in range(3)}}))


def drive(engine: Engine, scene: Scene, switch: int | None, seconds: float = 10.0) -> list:
    """Return what is said; the gateway says revision 2 from `switch` on."""
    said = []
    for t, batch in scene.run(seconds):
        revision = 2 if switch is not None and t >= switch else 1
        sent = [
            d._replace(body=encode(replace(decode(d.body), revision=revision))) if d.kind == "signal" else d
            for d in batch
        ]
        said += engine.step(t, sent).advisories
    return said


def test_a_revision_takes_effect_at_its_time_and_nothing_wrong_is_said(scene: Scene) -> None:
    engine = engine_of(scene, *revisions(scene))
    said = drive(engine, scene, CHANGE + 2 * SECOND)
    assert any(a.kind is AdvisoryKind.GLOSA for a in said)
    for a in said:
        assert a.inputs.revision == (2 if a.t >= CHANGE else 1)
        assert a.t >= CHANGE or a.valid_until <= CHANGE, "nothing said by the old code is valid under the new one"
    between = [a for a in said if CHANGE <= a.t < CHANGE + 2 * SECOND]
    assert not any(a.kind is AdvisoryKind.GLOSA for a in between)
    assert any(
        (a.kind is AdvisoryKind.DEGRADED and "revision" in a.reason) or "no signal state" in a.reason for a in between
    )
    assert any(a.kind is AdvisoryKind.GLOSA for a in said if a.t > CHANGE + 4 * SECOND), (
        "advice is back when the gateway follows"
    )


def test_tracks_outlive_a_change_and_a_moved_origin(scene: Scene) -> None:
    before, after = revisions(scene)
    for moved in (0, 1500):
        engine = engine_of(scene, before, replace(after, ref_lat_e7=after.ref_lat_e7 + moved))
        drive(engine, scene, CHANGE, 8.0)
        tracks = engine.intersections[before.id].fusion.tracks(engine.intersections[before.id].t_sensor)
        assert (tracks["status"] == 1).sum() >= 25


def test_a_change_is_due_without_data(scene: Scene) -> None:
    before, after = revisions(scene)
    engine = engine_of(scene, before)
    assert engine.next_plan() is None
    engine.announce(after, T - 10 * SECOND)
    assert engine.next_plan() == CHANGE
    assert engine.step(CHANGE - 1, []).changed == []
    assert engine.step(CHANGE, []).changed == [before.id]
    assert engine.intersections[before.id].code.code == after
    assert engine.step(CHANGE + 1, []).changed == []


def test_nothing_is_said_while_no_revision_is_in_force(scene: Scene) -> None:
    before, _ = revisions(scene)
    engine = engine_of(scene, replace(before, valid_to=CHANGE))
    said = drive(engine, scene, None)
    assert said
    assert all(a.t < CHANGE and a.valid_until <= CHANGE for a in said)
    assert engine.metrics.total("code.none_in_force") > 10


def test_a_late_announcement_is_refused(scene: Scene) -> None:
    before, after = revisions(scene)
    engine = engine_of(scene, before)
    for code, t, says in (
        (after, CHANGE - SECOND, "5 s before"),
        (replace(after, valid_from=None), T, "5 s before"),
        (replace(after, id="UST1.other"), T, "no intersection"),
    ):
        with pytest.raises(codes.CodeError, match=says):
            engine.announce(code, t)
    engine.announce(before, T)


def test_a_time_in_a_question() -> None:
    assert (
        time_of("1767225600000000000")
        == time_of("2026-01-01T00:00:00+00:00")
        == time_of("2026-01-01T08:00:00+08:00")
        == T
    )
    for text in ("", "yesterday", "2026-01-01T00:00:00"):
        with pytest.raises(ValueError):  # noqa: PT011
            time_of(text)


def test_codes_over_http(scene: Scene) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    before, after = revisions(scene)
    versions, now = Versions(), WallClock().now()
    before, after = replace(before, valid_to=None), replace(after, valid_from=now + 3600 * SECOND)
    versions.add(before)
    versions.add(after)

    async def ask() -> None:
        web = Web("127.0.0.1:0", versions, WallClock())
        await web.start()
        try:
            async with aiohttp.ClientSession(web.address) as session:
                answers = {
                    path: await fetch(session, path)
                    for path in (
                        "/codes",
                        f"/codes/{before.id}",
                        f"/codes/{before.id}/next",
                        f"/codes/{before.id}?at={now + 7200 * SECOND}",
                        f"/codes/{before.id}?form=compact",
                        "/codes/none",
                        f"/codes/{before.id}?at=then",
                        f"/codes/{before.id}?form=pdf",
                        "/schema",
                    )
                }
                status, headers, body = answers[f"/codes/{before.id}"]
                assert (status, body) == (200, codes.dump(before))
                assert headers["ETag"] == f'"{codes.content_hash(before)}"'
                for tag in (headers["ETag"], f'"x", W/{headers["ETag"]}', "*"):
                    assert (await fetch(session, f"/codes/{before.id}", tag))[::2] == (304, b"")
                assert (await fetch(session, f"/codes/{before.id}", '"other"'))[0] == 200
                assert (
                    answers[f"/codes/{before.id}/next"][2]
                    == answers[f"/codes/{before.id}?at={now + 7200 * SECOND}"][2]
                    == codes.dump(after)
                )
                assert from_compact(answers[f"/codes/{before.id}?form=compact"][2]) == before
                (row,) = msgspec.json.decode(answers["/codes"][2])
                assert (row["current"]["revision"], row["next"]["revision"]) == (1, 2)
                for path in ("/codes/none", f"/codes/{before.id}?at=then", f"/codes/{before.id}?form=pdf"):
                    assert answers[path][0] in (400, 404)
                    assert {"field", "value", "rule", "remedy"} <= set(msgspec.json.decode(answers[path][2]))
        finally:
            await web.stop()

    asyncio.run(ask())


async def fetch(session, path: str, tag: str | None = None) -> tuple:
    async with session.get(path, headers={"If-None-Match": tag} if tag else {}) as answer:
        return answer.status, answer.headers, await answer.read()


def test_a_file_in_the_folder_of_a_running_node_is_announced_and_takes_effect(scene: Scene, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    before, after = revisions(scene)
    (tmp_path / "codes").mkdir()
    (tmp_path / "codes" / "1.json").write_bytes(codes.dump(before))
    (tmp_path / "node.toml").write_text(
        '[node]\nbind = "tcp://127.0.0.1:*"\ncurve = false\ncodes = ["codes/*.json"]\n[broker]\nopen = true\nembedded'
        ' = true\nport = 0\n[http]\nbind = "127.0.0.1:0"\n[record]\npath = "run.mcap"\n[[gateway]]\nname = "g"\nrsus ='
        f' {{ r = "{before.id}" }}\n'
    )
    clock = WallClock()

    async def live() -> None:
        node, stop = Node(load(tmp_path / "node.toml")), asyncio.Event()
        task = asyncio.create_task(node.run(stop))
        version = node.broker.version if node.broker else 5
        async with Vehicle("car", port=node.broker.port, version=version, intersections=(before.id,)) as car:
            await when(lambda: car.codes.get(before.id) == codes.compact(before))
            begins = clock.now() + 7 * SECOND
            (tmp_path / "codes" / "2.json").write_bytes(codes.dump(replace(after, valid_from=begins)))
            (tmp_path / "codes" / "3.json").write_bytes(b"{")
            await when(lambda: bool(car.announced.get(before.id)))
            assert from_compact(car.codes[before.id]).revision == 1
            with Standstill() as still:
                await when(lambda: from_compact(car.codes[before.id]).revision == 2)
                assert -100 * MS < clock.now() - begins < (1 + still.seconds) * SECOND
            assert node.engine.metrics.total("code.refused") == 1
            await when(lambda: car.announced[before.id] == b"")
        stop.set()
        await task

    asyncio.run(live())


def test_a_broken_file_is_reported_once_and_what_the_node_writes_is_no_code(scene: Scene, tmp_path: Path) -> None:
    code = scene.code.code
    (tmp_path / "1.json").write_bytes(codes.dump(code))
    config = tmp_path / "node.toml"
    config.write_text(
        '[node]\ncodes = ["*.json"]\nstatus = "status.json"\n[broker]\nopen = true\n[[gateway]]\nname = "g"\nkey ='
        f' "{"k" * 40}"\nrsus = {{ r = "{code.id}" }}\n'
    )
    engine = engine_of(scene, code)
    publisher = Publisher(
        load(config), engine, Egress(load(config).broker, WallClock(), engine.metrics, lambda *_: None), None
    )
    for k in range(3):
        (tmp_path / "status.json").write_text(f'{{"counters": {k}}}')
        (tmp_path / "2.json").write_text("{" + " " * k)
        assert publisher.watch(T) == []
    assert [path.name for path in code_files(load(config))] == ["1.json", "2.json"]
    assert engine.metrics.total("code.refused") == 1
    later = replace(code, revision=2, valid_from=CHANGE)
    (tmp_path / "2.json").write_bytes(codes.dump(later))
    assert publisher.watch(T - 10 * SECOND) == [code.id]


def test_a_wrong_bind_is_named(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text('[node]\ncurve = false\n[http]\nbind = "8080"\n')
    with pytest.raises(ConfigError, match="host:port"):
        load(tmp_path / "node.toml")


def test_a_port_in_use_is_named(scene: Scene) -> None:
    pytest.importorskip("aiohttp")

    async def twice() -> None:
        first = Web("127.0.0.1:0", Versions(), WallClock())
        await first.start()
        second = Web(first.address.removeprefix("http://"), Versions(), WallClock())
        try:
            with pytest.raises(HttpServerError, match="bind"):
                await second.start()
        finally:
            await first.stop()
            await second.stop()

    asyncio.run(twice())
