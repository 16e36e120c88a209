"""What a node takes in of what gateways send, and how it answers the rest; what a gateway does with such answers."""

from collections.abc import Mapping

import msgpack
import msgspec
import pytest
from city_gateways import INTERSECTIONS
from deadlines import Standstill, until
from hypothesis import given, settings
from hypothesis import strategies as st
from tcp_link import Link

from cloudctl.city.fixed import FixedHash, Worker
from cloudctl.client import Gateway, Group, SignalState
from cloudctl.clock import SECOND, WallClock
from cloudctl.io.zeromq import Server
from cloudctl.metrics import Metrics
from cloudctl.node.share import Share
from cloudctl.ownership_messages import Moved
from cloudctl.schema import VERSION, RawMessage, Sync
from cloudctl.topics import TOPICS

GATEWAYS: Mapping[str, Mapping[str, str]] = {
    "both": {"r0": INTERSECTIONS[0].code.id, "r1": INTERSECTIONS[1].code.id, "r2": INTERSECTIONS[2].code.id},
    "one": {"s0": INTERSECTIONS[3].code.id},
}
RSUS = [*(rsu for bound in GATEWAYS.values() for rsu in bound), "nobody's", ""]
VALUES = st.one_of(st.none(), st.integers(-5, 5), st.text(max_size=3), st.sampled_from(RSUS), st.binary(max_size=4))
BODIES = st.dictionaries(st.sampled_from(["r", "s", "q", "g", "v", "t"]), st.one_of(VALUES, st.lists(VALUES)))
KINDS = st.sampled_from(["hello", "perception", "signal", "hazard", "health", "sync", "moved", "frame x"])


def share(number: int = 1) -> Share:
    made = Share(FixedHash(Worker(number, 2, 7788)), (code.code for code in INTERSECTIONS), Metrics())
    made.begin(GATEWAYS)
    return made


@settings(max_examples=300)
@given(kind=KINDS, sender=st.sampled_from(["both", "one", "stranger", ""]), body=st.one_of(BODIES, st.none(), VALUES))
def test_a_message_is_taken_in_or_answered_with_its_owner_and_never_lost(kind: str, sender: str, body: object) -> None:
    raw = RawMessage(kind, sender, msgpack.packb(body))
    node = share()
    served = {code.id for code in node.begin(GATEWAYS)}
    kept, moved = node.here([raw])
    assert len(kept) <= 1
    assert kept or moved

    bound = GATEWAYS.get(sender, {})
    for gateway, answer in moved:
        assert gateway == sender
        assert bound[answer.rsu] == answer.intersection
        assert answer.intersection not in served
        assert (answer.address, answer.kind) == ("tcp://*:7789", kind)
    if kept and kind == "hello" and isinstance(body, dict) and isinstance(body.get("r"), list):
        left = msgpack.unpackb(kept[0].body)["r"]
        assert not any(bound.get(rsu) not in (None, *served) for rsu in left if isinstance(rsu, str))
    elif kept:
        assert kept == [raw]


@given(st.binary(max_size=40), KINDS)
def test_what_cannot_be_read_is_left_to_the_engine_to_refuse(body: bytes, kind: str) -> None:
    raw = RawMessage(kind, "both", body)
    kept, moved = share().here([raw])
    assert kept == [raw] or moved


def test_two_workers_take_in_every_message_between_them_exactly_once() -> None:
    nodes = [share(1), share(2)]
    for gateway, bound in GATEWAYS.items():
        for rsu in bound:
            body = msgpack.packb({"r": rsu, "s": "camera", "q": 7})
            taken = [node.here([RawMessage("perception", gateway, body)]) for node in nodes]
            assert sorted(len(kept) for kept, _ in taken) == [0, 1]
            ((_, answer),) = [answer for _, moved in taken for answer in moved]
            assert (answer.kind, answer.sensor, answer.seq) == ("perception", "camera", 7)


@pytest.mark.parametrize(
    ("address", "is_address"),
    [
        ("nonsense", False),
        ("tcp://", False),
        ("tcp://*:", False),
        ("", False),
        (None, False),
        ("tcp://127.0.0.1:9", True),
    ],
)
def test_a_gateway_that_is_sent_nowhere_keeps_what_it_has_and_asks_again(address: str | None, is_address: bool) -> None:
    server = Server("tcp://127.0.0.1:*", None, {})
    encode = msgspec.msgpack.Encoder().encode
    answer = Moved(version=VERSION, intersection="X", rsu="r", address=address, kind="perception")
    with Gateway(server.address, ["r"]) as gateway:
        got: list[int] = []

        def served() -> bool:
            gateway.perception("r", "camera", 39.0, 116.0, [])
            gateway.poll()
            for received in server.drain():
                if received.kind != TOPICS["perception"].code:
                    continue
                body = msgpack.unpackb(received.body)
                if len(got) < 3:  # refuses the first ones
                    refused = msgspec.structs.replace(answer, sensor=body["s"], seq=body["q"])
                    server.send(received.peer, TOPICS["moved"].code, encode(refused))
                got.append(body["q"])
            return len(set(got)) > 8

        until(served, what="frames after the refusals")
        # a node that does not answer is waited for, and of that time only the newest messages are kept
        assert is_address or sorted(set(got)) == list(range(max(got) + 1)), "what was refused came again"
    server.close()


def test_what_waited_for_the_node_that_serves_it_is_not_too_old_when_it_arrives() -> None:
    """Both nodes are 0.2 s away, and a handshake takes several times that."""
    first, owner = Server("tcp://127.0.0.1:*", None, {}), Server("tcp://127.0.0.1:*", None, {})
    links = [Link(int(server.address.rpartition(":")[2]), 0.2) for server in (first, owner)]
    encode, clock, ages = msgspec.msgpack.Encoder().encode, WallClock(), []
    moved = Moved(version=VERSION, intersection="X", rsu="r", address=f"tcp://127.0.0.1:{links[1].port}", kind="signal")
    is_known = False
    with Standstill() as still, Gateway(f"tcp://127.0.0.1:{links[0].port}", ["r"]) as gateway:

        def served() -> bool:
            nonlocal is_known
            gateway.signal("r", "X", 1, [Group(group=1, state=SignalState.RED)])
            gateway.poll(20)
            for received in first.drain():
                body = msgpack.unpackb(received.body)
                if received.kind == TOPICS["sync"].code and body.get("t4") is None:
                    now = clock.now()
                    answer = Sync(version=VERSION, gateway="g", t1=body["t1"], t2=now, t3=now)
                    first.send(received.peer, TOPICS["sync"].code, encode(answer))
                is_known |= received.kind == TOPICS["sync"].code and body.get("t4") is not None
                if received.kind == TOPICS["signal"].code and is_known:
                    refused = msgspec.structs.replace(moved, sensor="", seq=body["q"])
                    first.send(received.peer, TOPICS["moved"].code, encode(refused))
            for received in owner.drain():
                if received.kind == TOPICS["signal"].code:
                    ages.append(clock.now() - msgpack.unpackb(received.body)["t"])
            return len(ages) > 20

        until(served, what="signals at the owner")
        assert max(ages) < TOPICS["signal"].max_age + still.seconds * SECOND
        assert gateway.dropped > 0, "some had become too old, and are counted"
    for link in links:
        link.close()
    first.close()
    owner.close()


def test_a_gateway_needs_an_address() -> None:
    with pytest.raises(ValueError, match="address is empty"):
        Gateway([], ["r"])
