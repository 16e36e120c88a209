"""HTTP of a node: TLS, a token for all but digital codes, limits on rates and connections, over real sockets."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from deadlines import PATIENCE
from hypothesis import given
from hypothesis import strategies as st

from cloudctl import codes, maps
from cloudctl.clock import SECOND, WallClock
from cloudctl.codes.versions import Versions
from cloudctl.io import http_guard
from cloudctl.io.http import Web
from cloudctl.io.http_guard import HttpGuard, is_public, server_tls
from cloudctl.node.config import ConfigError, load
from cloudctl.node.credentials import Authority

aiohttp = pytest.importorskip("aiohttp")
TOKEN = "a-token-that-nobody-guesses"


def served(act: Callable[[Web], Awaitable[None]], guard: HttpGuard, tls: ssl.SSLContext | None = None) -> None:
    """Run `act` against a server of the shipped intersection."""
    versions = Versions()
    versions.add(codes.load(maps.path("intersection.json")))

    async def run() -> None:
        web = Web("127.0.0.1:0", versions, WallClock(), guard=guard, tls=tls)
        await web.start()
        try:
            await asyncio.wait_for(act(web), 60)
        finally:
            await web.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    "path", ["/metrics", "/intersections", "/codesx", "/", "/viewer", "/codes/../metrics", "//codes"]
)
def test_everything_but_codes_needs_the_token(path: str) -> None:
    async def ask(web: Web) -> None:
        async with aiohttp.ClientSession() as session:
            for headers, status in (
                ({}, 401),
                ({"Authorization": "Bearer wrong"}, 401),
                ({"Authorization": f"Basic {TOKEN}"}, 401),
                ({"Authorization": f"Bearer {TOKEN}"}, 404),
            ):
                answer = await session.get(web.address + path, headers=headers)
                assert answer.status == status
                assert answer.content_type == "application/problem+json"
                assert answer.headers["Server"] == "cloudctl"
            assert (await session.get(f"{web.address}/codes")).status == 200

    served(ask, HttpGuard(TOKEN))


def test_without_a_token_nothing_but_codes_is_served() -> None:
    guard = HttpGuard()
    assert guard.refusal("/codes", "a", "") is None
    for authorization in ("", "Bearer ", "Bearer None"):
        refusal = guard.refusal("/metrics", "a", authorization)
        assert refusal is not None
        assert "[http] token" in refusal.remedy
    assert not is_public("/metrics/codes")


def test_the_server_speaks_tls_and_nothing_else_where_it_has_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    authority.create()
    cert, key = authority.issue_server("http", ["127.0.0.1"])

    async def ask(web: Web) -> None:
        assert web.address.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=authority.certificate_file)
        async with aiohttp.ClientSession() as session:
            assert (await session.get(f"{web.address}/codes", ssl=trusting)).status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{web.address}/codes")  # by an authority it does not know
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{web.address}/codes".replace("https", "http"))

    served(ask, HttpGuard(TOKEN), server_tls(str(cert), str(key)))


def test_too_many_requests_of_one_address_are_refused_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "MAX_ADDRESSES", 100)
    now = [0]
    guard = HttpGuard(TOKEN, now=lambda: now[0])
    statuses = [refusal.status if (refusal := guard.refusal("/codes", "a", "")) else 200 for _ in range(2100)]
    assert statuses.count(200) == http_guard.REQUEST_BURST
    assert set(statuses[http_guard.REQUEST_BURST :]) == {429}
    assert guard.refusal("/codes", "b", "") is None
    now[0] += SECOND
    assert guard.refusal("/codes", "a", "") is None
    for number in range(1000):
        guard.refusal("/codes", f"address {number}", "")
    assert guard.watched_addresses == 100


def test_one_address_cannot_take_every_connection_and_silence_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_guard, "MAX_CONNECTIONS_PER_ADDRESS", 5)
    monkeypatch.setattr(http_guard, "REQUEST_TIMEOUT", 1.5)
    guard = HttpGuard(TOKEN)

    async def ask(web: Web) -> None:
        port = int(web.address.rpartition(":")[2])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
        silent[0][1].write(b"GET /codes HTTP/1.1\r\nHost: x\r\n")  # a head that never ends
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read(1) == b""
        assert guard.refused_connections == 1
        for other, _ in silent:
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(other.read(1), PATIENCE) == b""
        async with aiohttp.ClientSession() as session:
            assert (await session.get(f"{web.address}/codes")).status == 200
        for _, other in (*silent, (reader, writer)):
            other.close()

    served(ask, guard)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('bind = "0.0.0.0:8080"\n', "reachable from other machines"),
        ('bind = "[::]:8080"\n', "reachable from other machines"),
        ('bind = "127.0.0.1:8080"\ntls_cert = "x"\n', "tls_key is missing"),
        ('bind = "127.0.0.1:8080"\ntls_key = "x"\n', "tls_cert is missing"),
        ('bind = "127.0.0.1:8080"\ntls_cert = "x"\ntls_key = "x"\nopen = true\n', "contradicts"),
        (f'bind = "127.0.0.1:8080"\ntoken = "{TOKEN}"\n', "chmod 600"),
    ],
)
def test_settings_that_would_be_open_by_mistake_are_refused(tmp_path: Path, text: str, named: str) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f"[node]\ncurve = false\n[broker]\nopen = true\n[http]\n{text}")
    file.chmod(0o644)
    with pytest.raises(ConfigError, match=named):
        load(file)


@given(scheme=st.sampled_from(("Bearer", "bearer", "BEARER", "Basic", "")), sent=st.binary(max_size=30))
def test_whatever_bytes_an_authorization_holds_it_is_answered(scheme: str, sent: bytes) -> None:
    header = f"{scheme} ".encode() + sent
    refusal = HttpGuard(TOKEN).refusal("/metrics", "a", header.decode(errors="surrogateescape"))  # as aiohttp reads it
    assert refusal is not None
    assert refusal.status == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
def test_the_scheme_of_the_token_is_read_in_any_case(scheme: str) -> None:
    assert HttpGuard(TOKEN).refusal("/metrics", "a", f"{scheme} {TOKEN}") is None
