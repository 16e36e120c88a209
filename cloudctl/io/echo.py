"""Whether what the node publishes is passed on, and how long that takes: a message to itself, by way of the broker.

A broker that refuses a publication or a subscription for want of rights says nothing of it (QoS 0), and one behind a
link that is too slow answers all the same: a connection alone does not show that advice reaches anybody.
"""

from collections import deque
from itertools import count
from typing import Protocol

from ..clock import SECOND, stopwatch
from ..metrics import Metrics
from ..topics import MqttTopics

# messages in a row that have not come back, one a second: more than the pings that end a connection to a broker that
# hangs, which is another trouble
MAX_PENDING = 8
MAX_REMEMBERED = 60  # of those on their way: what comes later is late beyond use
MAX_TRIP = SECOND  # there and back: advice is valid for 2 s and more, and half of that is left to act on it
TRIPS = 3  # in a row, before a link counts as slow, or as slow no more


class EchoConnection(Protocol):
    """What an echo needs of a connection."""

    def subscribe(self, *topics: str) -> None: ...

    def publish(self, topic: str, payload: bytes) -> None: ...


class Echo:
    """The messages that one node sends itself; `name` is its client identifier."""

    def __init__(self, name: str, metrics: Metrics) -> None:
        self.topic = MqttTopics.echo(name)
        self.trouble: str | None = None  # what is wrong with what is connected, for the operator
        self._metrics = metrics
        self._numbers = count()
        self._sent: dict[bytes, int] = {}  # by payload: ns by the stopwatch
        self._pending = 0  # sent since the last one came back
        self._trips: deque[int] = deque(maxlen=TRIPS)  # ns, there and back

    @property
    def is_passed_on(self) -> bool:
        """Return whether what is published comes back, as far as is known yet."""
        return self._pending <= MAX_PENDING

    def begin(self, connection: EchoConnection) -> None:
        """Begin anew on a connection."""
        self._sent.clear()
        self._trips.clear()
        self._pending, self.trouble = 0, None
        connection.subscribe(self.topic)

    def look(self, connection: EchoConnection, where: str, *, is_full: bool) -> None:
        """Send the next one, unless the connection `is_full`, and tell what is wrong with those before; to be called
        once a second."""
        self._judge(where)
        self._pending += 1
        if is_full:
            return

        payload = b"%d" % next(self._numbers)
        self._sent[payload] = stopwatch()
        if len(self._sent) > MAX_REMEMBERED:
            del self._sent[next(iter(self._sent))]
        connection.publish(self.topic, payload)

    def receive(self, payload: bytes) -> None:
        """Take one in that has come back."""
        sent = self._sent.pop(payload, None)
        if sent is not None:
            self._pending = 0
            self._trips.append(stopwatch() - sent)

    def _judge(self, where: str) -> None:
        was_well = self.trouble is None
        if not self.is_passed_on:
            self.trouble = (
                f"the MQTT broker at {where} is connected, and passes on nothing of what this node publishes: the node "
                "has no right to publish or to read there, or the link is far too slow. Vehicles get no advice. Give "
                "its name the rights of a node, cloudctl/# both ways: cloudctl broker OUT writes them, cloudctl doctor "
                "tries them"
            )
            if was_well:
                self._metrics.count("egress.no_echo")
        elif len(self._trips) == TRIPS and min(self._trips) > MAX_TRIP:
            self.trouble = (
                f"what is published at the MQTT broker at {where} takes over {MAX_TRIP // SECOND} s to come back: "
                "advice reaches vehicles late, and what is over by then is dropped. Look at the link's bandwidth and "
                "the broker's load"
            )
            if was_well:
                self._metrics.count("egress.slow")
        elif not self._trips or max(self._trips) <= MAX_TRIP:
            self.trouble = None
