"""What a gateway keeps while its node is away: of each stream the newest messages, as long as the node would take
them.
"""

from collections import deque
from typing import Any, NamedTuple

from ..topics import TOPICS

# messages of one sensor or signal: a second at 10 Hz, beyond which the node refuses them as too old
MAX_PER_STREAM = 10
MAX_STREAMS = 1000  # sensors, signals, hazards; the longest waiting goes first
ONE_STREAM_EACH = ("hazard",)  # each has an id of its own and stands beside the others


class Kept(NamedTuple):
    """One message that waits; `at` ns when it was to be sent, by a monotonic clock."""

    at: int
    kind: str
    body: Any


class Outbox:
    """Newest wins: a full stream drops its oldest message."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, ...], deque[Kept]] = {}

    def __bool__(self) -> bool:
        return bool(self._streams)

    def put(self, kind: str, body: Any, kept_at: int) -> int:
        """Keep a message; return how many were dropped for it."""
        name, dropped = stream_of(kind, body), 0
        stream = self._streams.get(name)
        if stream is None:
            if len(self._streams) >= MAX_STREAMS:
                dropped = len(self._streams.pop(next(iter(self._streams))))
            stream = self._streams[name] = deque(maxlen=MAX_PER_STREAM)

        dropped += len(stream) == MAX_PER_STREAM
        stream.append(Kept(kept_at, kind, body))
        return dropped

    def take(self, now: int) -> tuple[list[Kept], int]:
        """Return what is still worth sending, in order, and how many messages were too old; nothing is kept after
        that. `now`: ns by a monotonic clock, when they will be there.
        """
        messages = sorted(
            (message for stream in self._streams.values() for message in stream), key=lambda message: message.at
        )
        self._streams = {}
        fresh = [
            message
            for message in messages
            if not TOPICS[message.kind].max_age or now - message.at < TOPICS[message.kind].max_age
        ]

        return fresh, len(messages) - len(fresh)


def stream_of(kind: str, body: Any) -> tuple[str, ...]:
    """Return what a message is the newest of."""
    names = ("rsu", "sensor", "intersection", *(("id",) if kind in ONE_STREAM_EACH else ()))
    return (kind, *(str(getattr(body, name, "")) for name in names))
