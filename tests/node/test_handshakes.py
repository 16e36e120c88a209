"""Why a handshake failed is known at both ends: real sockets with CURVE, one thing wrong at a time."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator

import pytest
from deadlines import until
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.client import Gateway
from cloudctl.io.handshakes import OPENING, Mechanism, Refusal, mechanism_of
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import KeyPair, Server, new_keys
from cloudctl.metrics import Metrics
from cloudctl.node.reports import Reports
from cloudctl.schema import Reject

NODE, OTHER_NODE, GATEWAY, STRANGER = (new_keys() for _ in range(4))


def refusals(address: str, keys: KeyPair | None, node_key: str | None) -> list[Reject]:
    """Return the first refusals that a gateway reports."""
    rejects: list[Reject] = []
    with Gateway(address, ["r"], key=keys, node_key=node_key, on_reject=rejects.append) as gateway:
        until(lambda: gateway.poll(20) or rejects, what="a refusal")
    return rejects


@pytest.mark.parametrize(
    ("node_keys", "keys", "node_key", "field", "rule", "counted"),
    [
        (NODE, STRANGER, NODE.public, "key", "does not know this key", None),
        (NODE, GATEWAY, OTHER_NODE.public, "node_key", "it has another one", Refusal.WRONG_NODE_KEY),
        (NODE, None, None, "key", "this gateway has no keys", Refusal.GATEWAY_IN_CLEAR),
        (None, GATEWAY, NODE.public, "node_key", "the node speaks in clear", Refusal.NODE_IN_CLEAR),
    ],
    ids=["unknown key", "another node's key", "gateway in clear", "node in clear"],
)
def test_each_cause_of_a_failed_handshake_is_named_at_both_ends(
    node_keys: KeyPair | None,
    keys: KeyPair | None,
    node_key: str | None,
    field: str,
    rule: str,
    counted: Refusal | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rejects: list[Reject] = []
    with contextlib.closing(Server("tcp://127.0.0.1:*", node_keys, {GATEWAY.public: "gateway"})) as server:

        def is_counted() -> bool:
            """Connect once more: where the gateway is first to end an attempt, the node does not see why."""
            rejects.extend(refusals(server.address, keys, node_key))
            server.note_handshakes()
            return bool(server.refused or server.failed_handshakes)

        until(is_counted, what="the count")

    assert {reject.field for reject in rejects} == {field}
    assert all(rule in reject.rule and server.address in reject.rule for reject in rejects)
    assert set(server.failed_handshakes) == ({counted} if counted else set())
    assert set(server.refused) == ({STRANGER.public} if counted is None else set())

    metrics = Metrics()
    with caplog.at_level(logging.WARNING):
        Reports(metrics, {}).failed_handshakes(server.failed_handshakes, server.public_key)
    if counted is not None:
        assert metrics.counted("reject.handshake", counted.value) > 0
        assert (NODE.public in caplog.text) is (counted is Refusal.WRONG_NODE_KEY)


def test_a_gateway_that_was_refused_is_connected_once_its_key_is_right() -> None:
    server = Server("tcp://127.0.0.1:*", OTHER_NODE, {GATEWAY.public: "gateway"})
    rejects: list[Reject] = []
    with Gateway(server.address, ["r"], key=GATEWAY, node_key=NODE.public, on_reject=rejects.append) as gateway:
        until(lambda: gateway.poll(20) or gateway.state == "refused", what="the refusal")
        server.change_keys(NODE)
        until(lambda: gateway.poll(20) or gateway.state == "connected", what="the connection")
    server.close()


@pytest.fixture
def strange_port() -> Iterator[int]:
    """Something that listens, and closes every connection after an answer that is none of ZMTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n" + b"x" * 80)

        threading.Thread(target=answer, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_no_key_is_blamed_where_no_node_is(strange_port: int) -> None:
    rejects: list[Reject] = []
    for port in (strange_port, free_port()):
        with Gateway(
            f"tcp://127.0.0.1:{port}", ["r"], key=GATEWAY, node_key=NODE.public, on_reject=rejects.append
        ) as gateway:
            for _ in range(20):
                gateway.poll(20)
            assert gateway.state in ("connecting", "disconnected")
        assert mechanism_of(f"tcp://127.0.0.1:{port}") is None
    assert rejects == []


@pytest.mark.parametrize("keys", [GATEWAY, None], ids=["gateway with keys", "gateway in clear"])
def test_a_gateway_is_connected_once_the_node_speaks_as_it_does(keys: KeyPair | None) -> None:
    # Which end is first to give an attempt up is chance, and only one of the two tries again by itself.
    before, after = (None, NODE) if keys else (NODE, None)
    for _ in range(4):
        address = f"tcp://127.0.0.1:{free_port()}"
        rejects: list[Reject] = []
        with Gateway(address, ["r"], key=keys, node_key=keys and NODE.public, on_reject=rejects.append) as gateway:
            with contextlib.closing(Server(address, before, {GATEWAY.public: "gateway"})):
                until(lambda: gateway.poll(20) or rejects, what="a refusal")  # noqa: B023
            with contextlib.closing(Server(address, after, {GATEWAY.public: "gateway"})):
                until(lambda: gateway.poll(20) or gateway.state == "connected", what="the connection")


@pytest.mark.parametrize("keys", [NODE, None], ids=["with CURVE", "in clear"])
def test_a_node_is_asked_what_it_speaks(keys: KeyPair | None) -> None:
    server = Server("tcp://127.0.0.1:*", keys, {})
    assert mechanism_of(server.address, 5.0) is (Mechanism.CURVE if keys else Mechanism.NULL)
    server.close()


@given(st.one_of(st.binary(max_size=100), st.builds(lambda rest: OPENING + rest, st.binary(max_size=80))))
def test_whatever_answers_is_a_node_or_none(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert mechanism_of(f"tcp://127.0.0.1:{listener.getsockname()[1]}", 5.0) in (None, *Mechanism)
        thread.join()


@pytest.mark.parametrize("address", ["tcp://", "tcp://host", "ipc://x", "tcp://[::1]:x", "tcp://127.0.0.1:99999"])
def test_an_address_that_is_none_has_no_greeting(address: str) -> None:
    assert mechanism_of(address) is None
