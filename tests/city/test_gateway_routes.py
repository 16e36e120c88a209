"""A gateway between two nodes, over real sockets: whatever is refused when and by which of them, every message is taken
in by a node, or counted as dropped."""

import random

import msgpack
import msgspec
import pytest
from deadlines import Standstill, until

from cloudctl.client import Gateway
from cloudctl.clock import MS, WallClock, sleep_until
from cloudctl.io.ports import free_port
from cloudctl.io.zeromq import Server
from cloudctl.ownership_messages import Moved
from cloudctl.schema import VERSION
from cloudctl.topics import TOPICS

PERCEPTION, MOVED = TOPICS["perception"].code, TOPICS["moved"].code
encode = msgspec.msgpack.Encoder().encode


class ScriptedNode:
    """One end of the wire: it takes in what comes while `is_owner`, and answers the rest with the other node."""

    def __init__(self, address: str) -> None:
        self._server = Server(address, None, {})
        self.address = self._server.address
        self.is_owner = True
        self.successor = ""  # its address
        self.taken: list[int] = []  # sequence numbers
        self._peer = b""

    def announce(self) -> None:
        """Have the gateway send to the successor too."""
        moved = Moved(version=VERSION, intersection="X", rsu="r", address=self.successor, also=True)
        self._server.send(self._peer, MOVED, encode(moved))

    def answer(self) -> None:
        """Take in, or refuse, what waits."""
        for received in self._server.drain():
            self._peer = received.peer
            if received.kind != PERCEPTION:
                continue
            body = msgpack.unpackb(received.body)
            if self.is_owner:
                self.taken.append(body["q"])
                continue
            moved = Moved(
                version=VERSION,
                intersection="X",
                rsu="r",
                address=self.successor,
                kind="perception",
                sensor=body["s"],
                seq=body["q"],
            )
            self._server.send(received.peer, MOVED, encode(moved))

    def close(self) -> None:
        self._server.close()


def send_frames(gateway: Gateway, count: int, period: int) -> None:
    """Send frames, `period` ns apart."""
    for _ in range(count):
        gateway.perception("r", "camera", 39.0, 116.0, [])
        gateway.poll()
        sleep_until(WallClock().now() + period)


def test_what_was_sent_before_the_next_owner_was_connected_is_sent_to_it_when_the_first_refuses_it() -> None:
    first = ScriptedNode("tcp://127.0.0.1:*")
    first.successor = f"tcp://127.0.0.1:{free_port()}"
    with Gateway(first.address, ["r"]) as gateway:

        def is_served() -> bool:
            send_frames(gateway, 1, 5 * MS)
            first.answer()
            return bool(first.taken)

        until(is_served, what="the first frame")
        first.announce()
        send_frames(gateway, 2, 20 * MS)  # the announcement is taken in; nobody listens there yet
        first.answer()
        first.is_owner = False
        send_frames(gateway, 4, 10 * MS)  # of which only the first node gets any, and does not look yet

        second = ScriptedNode(first.successor)
        last = len(first.taken) + 4 - 1

        def is_handed_over() -> bool:
            gateway.poll(5)
            first.answer()
            second.answer()
            return last in second.taken or len(second.taken) + gateway.dropped >= last + 1 - len(first.taken)

        until(is_handed_over, what="the frames that the first node refused")
        # each once, in order: but the oldest where the machine stood still until no node would take them
        assert second.taken == list(range(len(first.taken) + gateway.dropped, last + 1))
    first.close()
    second.close()


def test_what_a_busy_node_is_slow_to_refuse_is_not_lost_in_silence() -> None:
    """A sensor of 40 Hz has sent more, by the time the refusal comes, than a gateway keeps while it has no node."""
    first, second = ScriptedNode("tcp://127.0.0.1:*"), ScriptedNode("tcp://127.0.0.1:*")
    first.successor, first.is_owner = second.address, False
    count = 24
    with Gateway(first.address, ["r"]) as gateway, Standstill() as still:
        until(lambda: gateway.poll() >= 0 and gateway.state == "connected", what="the connection")
        send_frames(gateway, count, 25 * MS)

        def is_handed_over() -> bool:
            gateway.poll(5)
            first.answer()
            second.answer()
            return len(second.taken) + gateway.dropped >= count

        until(is_handed_over, what="every frame, or that it is counted")
        assert second.taken == sorted(set(second.taken))
        assert len(second.taken) + gateway.dropped == count
        assert len(second.taken) >= 10 or still.seconds > 0.2  # a second of a sensor of 10 Hz
    first.close()
    second.close()


@pytest.mark.parametrize("seed", range(12))
def test_every_frame_of_any_hand_over_is_taken_in_or_counted_as_dropped(seed: int) -> None:
    chance = random.Random(seed)
    first, successor = ScriptedNode("tcp://127.0.0.1:*"), f"tcp://127.0.0.1:{free_port()}"
    second: ScriptedNode | None = None
    first.successor = successor
    count = chance.randint(10, 40)
    announced, listening, lost = (chance.randrange(count) for _ in range(3))
    is_announced, laziness = chance.random() < 0.7, chance.random() * 0.8

    with Gateway(first.address, ["r"]) as gateway:
        until(lambda: gateway.poll() >= 0 and gateway.state == "connected", what="the connection")
        for number in range(count):
            if number == listening:
                second = ScriptedNode(successor)
            if number == announced and is_announced:
                first.answer()
                first.announce()
            if number == lost:
                first.answer()
                first.is_owner = False
            send_frames(gateway, 1, chance.randrange(12) * MS)
            for node in (first, second):
                if node is not None and chance.random() > laziness:
                    node.answer()
        second = second or ScriptedNode(successor)

        def is_settled() -> bool:
            send_frames(gateway, 1, 2 * MS)
            first.answer()
            second.answer()
            return len(second.taken) > 0 and second.taken[-1] > count + 5

        until(is_settled, what="frames at the second node")
        taken = {*first.taken, *second.taken}
        missing = set(range(max(second.taken) + 1)) - taken
        assert len(missing) == gateway.dropped, f"lost in silence: {sorted(missing)}"
        assert first.taken == sorted(set(first.taken))
        assert len(second.taken) == len(set(second.taken)), "none twice at one node"
    first.close()
    second.close()
