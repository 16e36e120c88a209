"""ZeroMQ with CURVE: who may speak, what is refused, and what the other side is told."""

from collections.abc import Iterator

import pytest
from deadlines import until

from cloudctl.clock import MS, SECOND, WallClock, sleep_until
from cloudctl.io.zeromq import Dealer, KeyPair, Server, ZeroMqError, new_keys, read_keys, write_keys

KNOWN, STRANGER, NODE = new_keys(), new_keys(), new_keys()


def drain(server: Server, n: int) -> list:
    """Return what came once `n` messages have."""
    messages: list = []
    until(lambda: messages.extend(server.drain()) or len(messages) >= n, what=f"{n} messages")
    return messages


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server("tcp://127.0.0.1:*", NODE, {KNOWN.public: "gateway"})
    yield server
    server.close()


def test_a_known_key_comes_with_every_message(server: Server) -> None:
    dealer = Dealer(server.address, KNOWN, NODE.public)
    dealer.send(b"P", b"one")
    dealer.send(b"P", b"two")
    got = drain(server, 2)
    dealer.close()
    assert [(m.key, m.kind, m.body) for m in got] == [(KNOWN.public, b"P", b"one"), (KNOWN.public, b"P", b"two")]


def test_an_unknown_key_is_refused_counted_and_told(server: Server) -> None:
    dealer, seen, clock = Dealer(server.address, STRANGER, NODE.public), [], WallClock()
    deadline = clock.now() + 5000 * MS
    dealer.send(b"P", b"never")
    while "refused" not in seen and clock.now() < deadline:
        dealer.events(seen.append)
        sleep_until(clock.now() + MS)
    dealer.close()
    assert "refused" in seen
    assert server.refused[STRANGER.public] >= 1
    assert server.drain() == []


def test_the_others_are_served_on_beside_a_stranger(server: Server) -> None:
    stranger, friend = Dealer(server.address, STRANGER, NODE.public), Dealer(server.address, KNOWN, NODE.public)
    stranger.send(b"P", b"never")
    friend.send(b"P", b"heard")
    got = drain(server, 1)
    stranger.close()
    friend.close()
    assert [m.body for m in got] == [b"heard"]


def test_what_others_send_does_not_wait_behind_a_flood(server: Server) -> None:
    other = new_keys()
    server.allow({KNOWN.public: "gateway", other.public: "other"})
    flood, friend = Dealer(server.address, KNOWN, NODE.public), Dealer(server.address, other, NODE.public)
    flood.send(b"P", b"0")
    friend.send(b"P", b"0")
    drain(server, 2)
    for _ in range(500):
        assert flood.send(b"P", b"flood")
    for _ in range(5):
        assert friend.send(b"P", b"friend")
    sleep_until(WallClock().now() + SECOND)

    batches = []
    until(lambda: batches.append(server.drain(1000, 50)) or sum(map(len, batches)) >= 505, what="every message")
    flood.close()
    friend.close()
    batches = [[message.body for message in batch] for batch in batches if batch]
    assert max(batch.count(b"flood") for batch in batches) == 50
    assert sum(batch.count(b"friend") for batch in batches[:2]) == 5
    assert sum(batch.count(b"flood") for batch in batches) == 500


def test_replies_reach_their_sender(server: Server) -> None:
    dealer = Dealer(server.address, KNOWN, NODE.public)
    dealer.send(b"Y", b"?")
    peer = drain(server, 1)[0].peer
    assert server.send(peer, b"Y", b"!")
    assert dealer.receive(5000) == (b"Y", b"!")
    dealer.close()
    assert not server.send(b"nobody", b"Y", b"!")


def test_a_taken_port_names_the_remedy(server: Server) -> None:
    with pytest.raises(ZeroMqError, match="Choose another port"):
        Server(server.address, None, {})


def test_a_full_queue_says_so_instead_of_blocking() -> None:
    dealer = Dealer("tcp://127.0.0.1:9", None, None, high_water=5)
    assert not all(dealer.send(b"P", b"x") for _ in range(50))
    dealer.close()


def test_key_files(tmp_path) -> None:
    keys = write_keys(tmp_path / "node")
    assert read_keys(tmp_path / "node.key") == keys
    assert read_keys(tmp_path / "node.pub") == KeyPair(keys.public, "")
    assert (tmp_path / "node.key").stat().st_mode & 0o077 == 0
    with pytest.raises(ZeroMqError, match="never overwritten"):
        write_keys(tmp_path / "node")
    with pytest.raises(ZeroMqError, match="cloudctl keys new"):
        read_keys(tmp_path / "absent.key")
    (tmp_path / "bad.pub").write_text('public = "short"')
    with pytest.raises(ZeroMqError, match="not a CURVE key"):
        read_keys(tmp_path / "bad.pub")
