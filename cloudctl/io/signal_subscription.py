"""The intersections of other nodes whose published signals this node asks its broker for."""

from collections.abc import Callable, Iterable

from ..topics import MqttTopics
from .mqtt import Connection

SIGNALS = MqttTopics.signals("")


class SignalSubscription:
    """What one node asks for. `on_signals(intersection, payload)`, where set, gets what comes."""

    def __init__(self) -> None:
        self.on_signals: Callable[[str, bytes], None] | None = None
        self._followed: frozenset[str] = frozenset()
        self._connection: Connection | None = None

    def begin(self, connection: Connection) -> None:
        """Ask a new connection for what is followed."""
        self._connection = connection
        connection.subscribe(*_topics(self._followed))

    def end(self) -> None:
        """Take in that there is no connection any more."""
        self._connection = None

    def follow(self, intersections: Iterable[str]) -> None:
        """Ask for the signals of some intersections from now on."""
        before, self._followed = self._followed, frozenset(intersections)
        if self._connection is not None and before != self._followed:
            self._connection.subscribe(*_topics(self._followed - before))
            self._connection.unsubscribe(*_topics(before - self._followed))

    def receive(self, topic: str, payload: bytes) -> None:
        """Take a message in."""
        if self.on_signals is not None:
            self.on_signals(topic.removeprefix(SIGNALS), payload)


def _topics(intersections: frozenset[str]) -> list[str]:
    return [MqttTopics.signals(name) for name in sorted(intersections)]
