"""The tiles whose vehicles a node asks its broker for, and whether a state is of the tile it came under."""

import asyncio
from collections.abc import Callable, Iterable

from ..clock import SECOND, Clock
from ..metrics import Metrics
from ..rates import OncePer
from ..schema import MAX_NAME, VERSION, Reject
from ..tiles import is_in_tile
from ..topics import MqttTopics
from .mqtt import Connection

TILES = f"{MqttTopics.ROOT}/tiles/"
DELAY = 0.05  # s from a change of what is wanted to asking the broker: intersections come and go many at a time
ANSWER_INTERVAL = SECOND  # between two answers to one vehicle on states under the wrong tile
MAX_ANSWERED = 100_000  # vehicles that are remembered as answered
ALL = frozenset("+")


class TileSubscription:
    """What one node asks for. `reject(vehicle, reject)` answers a vehicle."""

    def __init__(self, clock: Clock, metrics: Metrics, reject: Callable[[str, Reject], None]) -> None:
        self._clock, self._metrics, self._reject = clock, metrics, reject
        self._wanted = self._asked = ALL
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._answered = OncePer(ANSWER_INTERVAL, MAX_ANSWERED)

    def begin(self, connection: Connection) -> None:
        """Ask a new connection for what is wanted."""
        self._connection, self._asked = connection, self._wanted
        connection.subscribe(*_topics(self._wanted))

    def end(self) -> None:
        """Take in that there is no connection any more."""
        self._connection = None

    def want(self, tiles: Iterable[str] | None) -> None:
        """Ask for some tiles from now on, None: for all."""
        self._wanted = ALL if tiles is None else frozenset(tiles)
        if self._connection is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY, self._ask)

    def _ask(self) -> None:
        self._timer = None
        if self._connection is None:
            return
        before, self._asked = self._asked, self._wanted
        self._connection.subscribe(*_topics(self._wanted - before))
        self._connection.unsubscribe(*_topics(before - self._wanted))

    def is_true(self, topic: str, vehicle: str, payload: bytes) -> bool:
        """Return whether a state is of the tile it came under: the broker's ACL cannot know. One that is not is counted
        and answered."""
        tile = topic.removeprefix(TILES).partition("/")[0]
        if is_in_tile(tile, payload):
            return True

        self._metrics.count("reject.tile", vehicle)
        if self._answered.allow(vehicle, self._clock.now()):
            rule = "is not the tile of the position in the state: its cell of the BeiDou grid, level 5"
            remedy = "publish each state under the tile of its own position, or under vehicles/ID/state"
            self._reject(vehicle, Reject(VERSION, "state", None, "tile", tile[:MAX_NAME], rule, remedy))

        return False


def _topics(tiles: frozenset[str]) -> list[str]:
    return [MqttTopics.tile_state(tile, "+") for tile in sorted(tiles)]
