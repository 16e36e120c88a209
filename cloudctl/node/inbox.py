"""Messages of vehicles that wait for the next step: bounded, and no vehicle can take the place of the others."""

from collections import Counter, deque

from ..metrics import Metrics
from ..schema import RawMessage

MAX_MESSAGES = 10_000  # that wait; beyond it, the oldest is dropped
MAX_PER_VEHICLE = 100  # of those; further ones are dropped
MAX_OF_STEP = 2048  # that one step takes, some 0.1 s of work: in the next, signal states are not too old yet


class Inbox:
    """What vehicles have sent since the last step."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._messages: deque[RawMessage] = deque()
        self._waiting: Counter[str] = Counter()  # by vehicle

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._messages)

    def put(self, message: RawMessage) -> None:
        """Keep a message; what is dropped for it is counted."""
        if self._waiting[message.sender] >= MAX_PER_VEHICLE:
            self._metrics.count("drop.inbox", message.sender)
            return

        if len(self._messages) >= MAX_MESSAGES:
            self._take_oldest()
            self._metrics.count("drop.inbox", "vehicles")

        self._waiting[message.sender] += 1
        self._messages.append(message)

    def take(self) -> list[RawMessage]:
        """Return what waits, oldest first, at most MAX_OF_STEP messages."""
        return [self._take_oldest() for _ in range(min(len(self._messages), MAX_OF_STEP))]

    def _take_oldest(self) -> RawMessage:
        message = self._messages.popleft()
        self._waiting[message.sender] -= 1
        if not self._waiting[message.sender]:
            del self._waiting[message.sender]

        return message
