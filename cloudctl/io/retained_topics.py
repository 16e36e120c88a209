"""What the broker is to retain for the node: published anew before the broker lets go of it, and to each new broker."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..clock import SECOND, stopwatch

EXPIRY = 600  # s that the broker keeps what is retained; it is published anew after a third of that

Put = Callable[[str, bytes, bool, int | None], bool]  # topic, payload, whether to retain it, s; returns whether it went


@dataclass
class Retained:
    """What the broker is to retain on one topic."""

    payload: bytes
    seconds: int  # that the broker keeps it
    is_renewed: bool  # for as long as the node runs; else it is published once
    since: int  # ns by `stopwatch`: when it was published


class RetainedTopics:
    """The topics on which something is retained; `put` publishes."""

    def __init__(self, put: Put) -> None:
        self._put = put
        self._topics: dict[str, Retained] = {}

    def topics(self) -> list[str]:
        """Return the topics on which something is retained."""
        return [topic for topic, item in self._topics.items() if item.payload]

    def retain(self, topic: str, payload: bytes, seconds: int | None) -> None:
        """Publish something retained, now and to each new broker: for `seconds`, or (None) for as long as the node
        runs.
        """
        item = Retained(payload, seconds or EXPIRY, is_renewed=seconds is None, since=stopwatch())
        self._topics[topic] = item
        self._publish(topic, item)

    def release(self, topics: Iterable[str]) -> None:
        """Keep no longer what the broker retains on some topics, and leave it there."""
        for topic in topics:
            self._topics.pop(topic, None)

    def publish_all(self) -> None:
        """Publish everything to a new broker."""
        for topic, item in self._topics.items():
            self._publish(topic, item)

    def renew(self) -> None:
        """Publish anew what the broker would let go of, and let go of what has had its time."""
        now = stopwatch()
        for topic, item in list(self._topics.items()):
            age = now - item.since
            if item.is_renewed and item.payload and age > item.seconds * SECOND // 3:
                if self._publish(topic, item):
                    item.since = now
            elif not item.is_renewed and age > item.seconds * SECOND:
                del self._topics[topic]

    def _publish(self, topic: str, item: Retained) -> bool:
        return self._put(topic, item.payload, True, item.seconds if item.payload else None)
