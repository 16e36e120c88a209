"""The page over HTTP: who may look, what a page may ask, and a page that never reads."""

import asyncio
import base64
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from deadlines import PATIENCE
from page_messages import decoded

from bench.scene import Scene
from cloudctl.clock import WallClock
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.io.http import Web
from cloudctl.settings import EngineConfig
from cloudctl.view.columns import FrameKind
from cloudctl.view.observer import MAX_VIEWERS, Observer
from cloudctl.view.routes import MAX_REQUEST, MAX_REQUESTS, PAGE, PROTOCOL, View, ViewRoutes, page_address

aiohttp = pytest.importorskip("aiohttp")
TOKEN = "a-token-of-this-test"


class Served:
    """An engine and its page on a port of this machine."""

    def __init__(self, code: CompiledCode, origins: tuple[str, ...] = ()) -> None:
        self.engine = Engine([code.code], EngineConfig({"g": {f"r{k}": code.code.id for k in range(3)}}))
        self.observer = Observer(self.engine)
        view = View(self.observer, TOKEN, origins)
        self.web = Web(
            "127.0.0.1:0", self.engine.versions, WallClock(), more_routes=lambda web: ViewRoutes(web, view).routes()
        )
        self.steps = Scene(code, 30).run(60.0)

    def step(self, count: int = 1) -> None:
        for t, batch in self.steps[:count]:
            self.observer.observe(t, batch, self.engine.step(t, batch))
        del self.steps[:count]


def serve(code: CompiledCode, test: Callable[[Served, Any], Awaitable[None]], origins: tuple[str, ...] = ()) -> None:
    """Run a test against a served page, with an HTTP client."""

    async def main() -> None:
        served = Served(code, origins)
        await served.web.start()
        try:
            async with aiohttp.ClientSession(served.web.address) as client:
                await asyncio.wait_for(test(served, client), 60)
        finally:
            await served.web.stop()

    asyncio.run(main())


async def message_with(stream: Any, kind: FrameKind) -> list[Any]:
    """Return the values of the first message that holds frames of a kind."""
    while True:
        found = decoded(await asyncio.wait_for(stream.receive_bytes(), PATIENCE)).of(kind)
        if found:
            return found


def opened(client: Any, token: str = TOKEN, **headers: str) -> Any:
    return client.ws_connect("/view/socket", protocols=(PROTOCOL, f"token.{token}"), headers=headers, max_msg_size=0)


def test_every_file_of_the_page_is_served_with_its_type_and_a_strict_policy(code: CompiledCode) -> None:
    async def test(_: Served, client: Any) -> None:
        for path in PAGE.iterdir():
            async with client.get(f"/view/{path.name}") as answer:
                assert answer.status == 200, path.name
                assert await answer.read() == path.read_bytes()
                assert (
                    answer.content_type
                    == {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}[path.suffix]
                )
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                tag = answer.headers["ETag"]
            async with client.get(f"/view/{path.name}", headers={"If-None-Match": tag}) as answer:
                assert answer.status == 304
        async with client.get("/view") as answer:
            assert (answer.status, answer.url.path) == (200, "/view/")
        for name in ("..%2fcolumns.py", "columns.py", "%00", "page"):
            async with client.get(f"/view/{name}") as answer:
                assert answer.status == 404

    serve(code, test)


def test_the_page_needs_nothing_from_elsewhere() -> None:
    for path in PAGE.iterdir():
        text = path.read_text()
        found = [word for word in ("http://", "https://", "innerHTML", "eval(") if word in text]
        assert found == [], path.name


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "ä"])
def test_without_the_token_nothing_is_shown(code: CompiledCode, token: str) -> None:
    async def test(served: Served, client: Any) -> None:
        named = token and token.isascii()
        protocols = (PROTOCOL, f"token.{token}") if named else (PROTOCOL,)
        headers = {"Authorization": f"Bearer {token}"} if token and not named else {}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect("/view/socket", protocols=protocols, headers=headers)
        assert refused.value.status == 401
        async with client.get("/view/access") as answer:
            assert answer.status == 401
            assert (await answer.json())["remedy"].startswith("open the address")
        assert served.observer.viewers == []

    serve(code, test)


def test_the_token_may_come_as_a_bearer_too(code: CompiledCode) -> None:
    async def test(_: Served, client: Any) -> None:
        async with client.ws_connect("/view/socket", headers={"Authorization": f"Bearer {TOKEN}"}) as stream:
            (hello,) = await message_with(stream, FrameKind.HELLO)
            assert hello["mode"] == "live"
        async with client.get("/view/access", headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
            assert answer.status == 200

    serve(code, test)


def test_pages_of_other_sites_are_refused_unless_they_are_named(code: CompiledCode) -> None:
    async def test(served: Served, client: Any) -> None:
        for origin in (
            "https://evil.example",
            "null",
            "http://127.0.0.1.evil.example",
            "http://127.0.0.1:1",
            "http://[",
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await opened(client, Origin=origin)
            assert refused.value.status == 403, origin
        for origin in ("https://console.example", served.web.address):
            async with opened(client, Origin=origin) as stream:
                await message_with(stream, FrameKind.HELLO)

    serve(code, test, ("https://console.example",))


def test_a_page_sees_what_is_planned_while_it_looks_and_is_forgotten_when_it_goes(code: CompiledCode) -> None:
    async def test(served: Served, client: Any) -> None:
        served.step(40)
        async with opened(client) as stream:
            await stream.send_str('{"watch":[0],"zone":true}')
            (first,) = await message_with(stream, FrameKind.SNAPSHOT)
            served.step(30)
            (second,) = await message_with(stream, FrameKind.SNAPSHOT)
            assert second["t"] > first["t"]
            assert len(second["tracks"]["id"]) >= 28
        for _ in range(100):
            if not served.observer.viewers:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the page that went is still held")

    serve(code, test)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("no json", "request"), ("[]", "request"), ('{"watch":"all"}', "request"), ('{"unknown":1}', "request"), ('{"watch":[7]}', "watch"),  # noqa: E501
        ('{"select":[9,1]}', "select"), ('{"seek":1}', "seek"), ('{"play":false}', "play"), ('{"exact":true}', "exact"), ("[" * 2000, "request"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_with_field_rule_and_remedy_and_the_next_is_taken(
    code: CompiledCode, text: str, field: str
) -> None:
    async def test(served: Served, client: Any) -> None:
        served.step(30)
        async with opened(client) as stream:
            await stream.send_str(text)
            (row,) = await message_with(stream, FrameKind.ERROR)
            assert row["field"] == field
            assert row["rule"]
            assert row["remedy"]
            await stream.send_str('{"watch":[0]}')
            assert await message_with(stream, FrameKind.SNAPSHOT)

    serve(code, test)


def test_a_page_that_asks_too_much_or_too_often_is_closed_and_no_other(code: CompiledCode) -> None:
    async def test(served: Served, client: Any) -> None:
        served.step(30)
        async with opened(client) as good, opened(client) as large, opened(client) as often:
            await large.send_str('{"watch":[' + "0," * MAX_REQUEST + "0]}")
            for _ in range(MAX_REQUESTS + 40):
                await often.send_str('{"zone":false}')
            for stream, code_ in (
                (large, aiohttp.WSCloseCode.MESSAGE_TOO_BIG),
                (often, aiohttp.WSCloseCode.POLICY_VIOLATION),
            ):
                while not stream.closed:
                    await asyncio.wait_for(stream.receive(), PATIENCE)
                assert stream.close_code == code_
            await good.send_str('{"watch":[0]}')
            assert await message_with(good, FrameKind.SNAPSHOT)

    serve(code, test)


def test_more_pages_than_there_is_room_for_are_refused_in_words(code: CompiledCode) -> None:
    async def test(served: Served, client: Any) -> None:
        for _ in range(MAX_VIEWERS):
            served.observer.open(lambda: None)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await opened(client)
        assert refused.value.status == 503

    serve(code, test)


def raw_viewer(address: str) -> socket.socket:
    """Return a connection that has asked for everything and never reads again."""
    host, port = address.removeprefix("http://").split(":")
    stream = socket.socket()
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stream.connect((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall(
        f"GET /view/socket HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection:"
        f" Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()  # noqa: E501
    )
    text, mask = json.dumps({"watch": [0], "zone": True}).encode(), os.urandom(4)
    stream.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[k % 4] for k, byte in enumerate(text)))
    return stream


def test_pages_that_never_read_hold_up_nobody_and_hold_little(code: CompiledCode) -> None:
    async def test(served: Served, client: Any) -> None:
        served.step(30)
        deaf = [await asyncio.to_thread(raw_viewer, served.web.address) for _ in range(5)]
        try:
            async with opened(client) as good:
                await good.send_str('{"watch":[0]}')
                seen = 0.0

                async def read(patience: float) -> None:
                    nonlocal seen
                    message = await asyncio.wait_for(good.receive_bytes(), patience)
                    for row in decoded(message).snapshots:
                        assert row["t"] > seen
                        seen = row["t"]

                for _ in range(150):
                    served.step()
                    await asyncio.sleep(0.005)
                    with contextlib.suppress(TimeoutError):
                        while True:
                            await read(0.001)
                newest = served.engine.intersections[served.observer.names[0]].latest
                assert newest is not None
                while newest.t / 1e6 - seen >= 1500:
                    await read(PATIENCE)  # it is not held up by the others for good
            stalled = [viewer for viewer in served.observer.viewers if viewer._newest or viewer._events]
            assert all(len(viewer._newest) <= 8 for viewer in stalled)
        finally:
            for stream in deaf:
                stream.close()

    serve(code, test)


def test_the_token_stands_where_it_is_not_sent_or_logged() -> None:
    assert page_address("http://127.0.0.1:8080", "secret") == "http://127.0.0.1:8080/view/#token=secret"
