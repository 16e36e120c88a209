"""What a gateway keeps while its node is away: of each stream the newest message, as long as the node would take it."""

from typing import Any, NamedTuple

from ..topics import TOPICS

MAX_STREAMS = 1000  # sensors, signals, hazards; the longest waiting goes first
KEPT_MESSAGES = ("hazard",)  # each has an id of its own and stands beside the others


class Kept(NamedTuple):
    """One message that waits; `at` ns when it was to be sent, by a monotonic clock."""

    kind: str
    body: Any
    at: int


class Outbox:
    """Newest wins: a message pushes out the one before it of the same stream."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], Kept] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, kind: str, body: Any, at: int) -> int:
        """Keep a message; return how many were dropped for it."""
        stream = _stream(kind, body)
        dropped = int(self._kept.pop(stream, None) is not None)
        if len(self._kept) >= MAX_STREAMS:
            del self._kept[next(iter(self._kept))]
            dropped += 1
        self._kept[stream] = Kept(kind, body, at)
        return dropped

    def take(self, now: int) -> tuple[list[Kept], int]:
        """Return what is still worth sending, in order, and how many messages were too old; nothing is kept after that."""
        kept, self._kept = list(self._kept.values()), {}
        fresh = [item for item in kept if not TOPICS[item.kind].max_age or now - item.at < TOPICS[item.kind].max_age]
        return fresh, len(kept) - len(fresh)


def _stream(kind: str, body: Any) -> tuple[str, ...]:
    """Return what a message is the newest of."""
    names = ("rsu", "sensor", "intersection", *(("id",) if kind in KEPT_MESSAGES else ()))
    return (kind, *(str(getattr(body, name, "")) for name in names))
