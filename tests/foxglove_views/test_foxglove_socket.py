"""The WebSocket for Foxglove: access, what is sent, what a stranger can ask, and viewers that never read."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import node_process
import pytest
import websockets
from deadlines import PATIENCE, until, when
from foxglove_client import FoxgloveClient
from gateway_frames import frame
from node_process import NodeProcess

from bench.scene import Scene, corridor
from cloudctl.clock import MS, SECOND, WallClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.foxglove.budget import BURST, SHARE, Budget
from cloudctl.foxglove.socket import MAX_CLIENTS, MAX_LINES, MAX_REQUESTS, FoxgloveServer
from cloudctl.io.http import Web
from cloudctl.io.http_guard import HttpGuard
from cloudctl.node.config import ConfigError, load
from cloudctl.settings import EngineConfig

TOKEN = "a-token-of-this-test"
PROTOCOLS = ("foxglove.websocket.v1", "foxglove.sdk.v1")


class Served:
    """An engine and its Foxglove channels on a port of this machine."""

    def __init__(self, code: CompiledCode, origins: tuple[str, ...] = ()) -> None:
        self.code = code
        self.engine = Engine([code.code], EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}}))
        self.server = FoxgloveServer(self.engine, TOKEN, origins)
        self.web = Web(
            "127.0.0.1:0",
            self.engine.versions,
            WallClock(),
            more_routes=self.server.routes,
            guard=HttpGuard(TOKEN),
        )
        self.steps = Scene(code, 30).run(60.0)

    @property
    def address(self) -> str:
        return f"{self.web.address.replace('http', 'ws')}/foxglove?token={TOKEN}"

    def step(self, count: int = 1) -> None:
        for t, batch in self.steps[:count]:
            self.server.observe(t, self.engine.step(t, batch))
        del self.steps[:count]


def serve(code: CompiledCode, test: Callable[[Served], Awaitable[None]], origins: tuple[str, ...] = ()) -> None:
    async def main() -> None:
        served = Served(code, origins)
        await served.web.start()
        try:
            await asyncio.wait_for(test(served), 60)
        finally:
            await served.web.stop()

    asyncio.run(main())


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let viewers take all the time there is: where a machine is busy, what a test waits for would be left out."""
    monkeypatch.setattr("cloudctl.foxglove.budget.SHARE", 1.0)
    monkeypatch.setattr("cloudctl.foxglove.budget.BURST", 60 * SECOND)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_viewer_gets_what_it_subscribes_to_and_decodes_it_by_the_advertised_schemas(
    code: CompiledCode, protocol: str
) -> None:
    async def test(served: Served) -> None:
        served.step(20)
        async with FoxgloveClient(served.address, protocol) as client:
            assert client.socket.subprotocol == protocol
            assert client.info["name"] == "cloudctl"
            assert {topic.rpartition("/")[2] for topic in client.channels} == {
                "frame", "location", "geojson", "map", "tracks", "signals", "signal_states", "advisories",
            }  # fmt: skip
            await client.subscribe("/tracks", "/map", "/location")
            drawing = await client.next_of("/map")
            assert len(drawing.value["entities"]) > len(code.code.lanes)
            served.step(3)
            seen = await client.next_of("/tracks")
            world = served.engine.intersections[code.code.id].latest
            assert world is not None
            assert seen.t == world.t
            assert {entity["id"] for entity in seen.value["entities"]} == {f"track {k}" for k in world.tracks["id"]}

    serve(code, test)


def test_nothing_is_made_while_nobody_has_subscribed(code: CompiledCode) -> None:
    async def test(served: Served) -> None:
        served.step(20)
        async with FoxgloveClient(served.address) as client:
            served.step(20)
            assert served.server.made == 0
            await client.subscribe("/tracks")
            await when(lambda: any(one.numbers for one in served.server.clients), what="the subscription")
            served.step(3)
            assert served.server.made > 0
            await client.unsubscribe()
            await when(lambda: not any(one.numbers for one in served.server.clients), what="its end")
            made = served.server.made
            served.step(20)
            assert served.server.made == made
        await when(lambda: not served.server.clients, what="the viewer's end")

    serve(code, test)


@pytest.mark.parametrize(
    ("query", "headers", "protocol", "code_"),
    [
        ("", {}, PROTOCOLS[0], 401),
        ("?token=wrong", {}, PROTOCOLS[0], 401),
        (f"?token={TOKEN}", {"Origin": "https://elsewhere.example"}, PROTOCOLS[0], 403),
        (f"?token={TOKEN}", {}, "something.else", 400),
        ("", {"Authorization": f"Bearer {TOKEN}"}, PROTOCOLS[0], None),
        (f"?token={TOKEN}", {"Origin": "https://viewer.example"}, PROTOCOLS[1], None),
    ],
)
def test_only_who_has_the_token_and_comes_from_a_site_that_may_is_let_in(
    code: CompiledCode, query: str, headers: dict[str, str], protocol: str, code_: int | None
) -> None:
    async def test(served: Served) -> None:
        address = served.address.partition("?")[0] + query
        client = FoxgloveClient(address, protocol, additional_headers=headers)
        if code_ is None:
            async with client:
                assert client.channels
            return
        with pytest.raises(websockets.InvalidStatus) as error:
            await client.__aenter__()
        assert error.value.response.status_code == code_
        body = json.loads(error.value.response.body)
        assert body["rule"]
        assert body["remedy"]
        assert served.server.clients == []

    serve(code, test, origins=("https://viewer.example",))


@pytest.mark.usefixtures("unhurried")
def test_what_cannot_be_asked_is_answered_and_the_viewer_goes_on(code: CompiledCode) -> None:
    async def test(served: Served) -> None:
        served.step(20)
        async with FoxgloveClient(served.address) as client:
            for text in ("{", "[]", '{"op":7}', '{"op":"setParameters","parameters":[]}'):
                await client.socket.send(text)
            await client.socket.send(b"\x01\x02\x03\x04")
            await client.ask(op="subscribe", subscriptions=[{"id": 1, "channelId": 999}, {"id": -1, "channelId": 1}])
            await client.ask(op="unsubscribe", subscriptionIds=[12345])
            while len(client.statuses) < 8:
                await client.receive()
            assert all(status["message"] and status["level"] in (1, 2) for status in client.statuses)
            await client.subscribe("/tracks")
            await when(lambda: any(one.numbers for one in served.server.clients), what="the subscription")
            served.step(3)
            await client.next_of("/tracks")

    serve(code, test)


def test_too_many_viewers_and_too_many_requests_are_ended(code: CompiledCode) -> None:
    async def test(served: Served) -> None:
        clients = [FoxgloveClient(served.address) for _ in range(MAX_CLIENTS)]
        for client in clients:
            await client.__aenter__()
        with pytest.raises(websockets.InvalidStatus) as error:
            await FoxgloveClient(served.address).__aenter__()
        assert error.value.response.status_code == 503
        for _ in range(MAX_REQUESTS * 3):
            await clients[0].ask(op="unsubscribe", subscriptionIds=[])

        async def read_on() -> None:
            while True:
                await clients[0].receive()

        with pytest.raises(websockets.ConnectionClosed):
            await read_on()
        for client in clients[1:]:
            await client.socket.close()

    serve(code, test)


@pytest.mark.usefixtures("unhurried")
def test_a_viewer_that_never_reads_holds_up_nobody_and_grows_nothing(code: CompiledCode) -> None:
    async def test(served: Served) -> None:
        served.step(20)
        async with FoxgloveClient(served.address) as reader, FoxgloveClient(served.address, max_queue=1) as silent:
            for client in (reader, silent):
                await client.subscribe("/tracks", "/map", "/advisories")
            await when(lambda: all(one.numbers for one in served.server.clients), what="the subscriptions")
            silent.socket.transport.pause_reading()
            for _ in range(30):
                served.step(10)
                await reader.next_of("/tracks")
            waiting = [sum(len(frame) for frame in one.take()[1]) for one in served.server.clients]
            assert max(waiting) < 1_000_000 + MAX_LINES * 1000
            silent.socket.transport.resume_reading()

    serve(code, test)


def test_viewers_take_a_share_of_the_loop_and_no_more() -> None:
    now = 0
    budget = Budget(lambda: now)
    busy = 0
    for _ in range(10_000):  # steps of 1 ms each, and viewers who want 5 ms of each
        now += MS
        if budget.begin():
            now += 5 * MS
            busy += 5 * MS
            budget.end()
    assert busy <= SHARE * now + BURST + 5 * MS
    assert busy >= 0.8 * SHARE * now


def test_a_viewer_of_more_than_there_is_time_for_gets_all_advisories_and_a_word_on_the_rest(
    code: CompiledCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloudctl.foxglove.budget.SHARE", 0.0)
    monkeypatch.setattr("cloudctl.foxglove.budget.BURST", 0)

    async def test(served: Served) -> None:
        served.step(1)
        async with FoxgloveClient(served.address) as client:
            await client.subscribe("/tracks", "/advisories", "/map")
            await when(lambda: any(one.numbers for one in served.server.clients), what="the subscription")
            given = 0
            for t, batch in served.steps[:100]:
                output = served.engine.step(t, batch)
                given += len(output.advisories)
                served.server.observe(t, output)
            assert given > 0
            lines = [(await client.next_of("/advisories")).topic for _ in range(given)]
            assert len(lines) == given
            assert any("pictures are left out" in status["message"] for status in client.statuses)
            assert served.engine.metrics.counted("drop.view", "live") > 0

    serve(code, test)


def test_viewers_are_told_which_intersections_are_new(code: CompiledCode) -> None:
    async def test(served: Served) -> None:
        async with FoxgloveClient(served.address) as client:
            before = set(client.channels)
            other = corridor()[1]
            elsewhere = Engine([other.code], EngineConfig({}))
            served.engine.intersections[other.code.id] = elsewhere.intersections[other.code.id]
            served.step(1)
            while set(client.channels) == before:
                await client.receive()
            new = {topic for topic in client.channels if topic not in before}
            assert all(other.code.id in topic for topic in new)
            assert len({row["id"] for row in client.channels.values()}) == len(client.channels)

    serve(code, test)


def test_the_client_of_these_tests_speaks_as_the_makers_own_server_wants_it() -> None:
    foxglove = pytest.importorskip("foxglove", reason="pip install foxglove-sdk")
    from foxglove.channels import LocationFixChannel
    from foxglove.messages import LocationFix

    server = foxglove.start_server(port=0)
    channel = LocationFixChannel("/place")

    async def main() -> None:
        client = FoxgloveClient(f"ws://127.0.0.1:{server.port}", "foxglove.sdk.v1")
        client.socket = await websockets.connect(
            f"ws://127.0.0.1:{server.port}", subprotocols=[websockets.Subprotocol("foxglove.sdk.v1")]
        )
        while not client.channels:
            await client.receive()
        await client.subscribe("/place")

        async def log() -> None:
            while True:  # what is logged before the server has read the subscription goes to no client
                channel.log(LocationFix(latitude=1.0, longitude=2.0), log_time=5)
                await asyncio.sleep(0.1)

        logging = asyncio.create_task(log())
        data = await asyncio.wait_for(client.socket.recv(), PATIENCE)
        logging.cancel()
        assert data[:13] == b"\x01\x07\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00"
        await client.socket.close()

    asyncio.run(main())
    server.stop()


def test_a_node_serves_it_where_its_file_asks_for_it(tmp_path: Path, code: CompiledCode) -> None:
    node = NodeProcess(tmp_path, code, "[live]\nfoxglove = true\n")

    async def send_frames() -> None:
        while True:
            frame(gateway, code)
            gateway.poll(0)
            await asyncio.sleep(0.1)

    async def look() -> None:
        async with FoxgloveClient(f"ws://127.0.0.1:{node.http_port}/foxglove?token={node_process.TOKEN}") as client:
            await client.subscribe("/tracks", "/signal_states")
            sending = asyncio.create_task(send_frames())
            seen = await asyncio.wait_for(client.next_of("/tracks"), PATIENCE)
            sending.cancel()
            assert seen.schema == "foxglove.SceneUpdate"

    with node, node.gateway() as gateway:
        asyncio.run(look())
        until(lambda: node.count("accept.perception") > 0, what="the frames")
        assert node.count("fault.foxglove") == 0


def test_a_file_that_asks_for_it_without_a_web_server_is_refused(tmp_path: Path, code: CompiledCode) -> None:
    node = NodeProcess(tmp_path, code)
    without = re.sub(r"(?s)\[http\].*?(?=\n\[)", "", node.config.read_text())
    node.config.write_text(without.replace("[broker]", "[live]\nfoxglove = true\n[broker]", 1))
    with pytest.raises(ConfigError, match=r"\[live\] foxglove is served by \[http\]"):
        load(node.config)
