"""Messages of vehicles that wait for the next step: bounded, and no vehicle can take the place of the others."""

from collections import Counter

from ..metrics import Metrics
from ..schema import RawMessage

MAX_MESSAGES = 10_000  # that wait; beyond it, the oldest is dropped
MAX_PER_VEHICLE = 100  # of those; further ones are dropped


class Inbox:
    """What vehicles have sent since the last step."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._messages: list[RawMessage] = []
        self._waiting: Counter[str] = Counter()  # by vehicle

    def __len__(self) -> int:
        """Return how many messages wait."""
        return len(self._messages)

    def put(self, message: RawMessage) -> None:
        """Keep a message; what is dropped for it is counted."""
        self._waiting[message.sender] += 1
        if self._waiting[message.sender] > MAX_PER_VEHICLE:
            self._metrics.count("drop.inbox", message.sender)
            return

        if len(self._messages) >= MAX_MESSAGES:
            self._messages.pop(0)
            self._metrics.count("drop.inbox", "vehicles")

        self._messages.append(message)

    def take(self) -> list[RawMessage]:
        """Return what waits, oldest first; nothing waits then."""
        taken, self._messages = self._messages, []
        self._waiting.clear()
        return taken
