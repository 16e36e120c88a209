"""What waits for each open page. A slow page waits alone: of each thing it gets the newest when it reads again, and
nothing grows meanwhile.
"""

from collections import deque
from collections.abc import Callable

import msgspec

from .columns import FrameKind, frame

MAX_EVENTS = 200  # that wait for one page; older ones are dropped and counted
MAX_WATCHED = 64  # intersections that one page sees in full at a time

FIRST = (FrameKind.HELLO, FrameKind.PLAYER)  # kinds after which a page forgets what it has seen

# Of what is replaced by a newer one: its kind, and the intersection it is of
Key = tuple[FrameKind, int]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page asks for: each field replaces what it asked for before, None leaves that as it is."""

    watch: tuple[int, ...] | None = None  # intersections in view, by their number in the hello
    zone: bool | None = None  # whether the overview is wanted
    # (intersection, track) whose detail is wanted; a track of -1: none
    select: tuple[int, int] | None = None
    play: bool | None = None
    seek: float | None = None  # ms since 1970
    step: int | None = None  # recorded plans forwards
    speed: float | None = None  # times real time
    exact: bool | None = None  # whether the run is repeated from its beginning


class Viewer:
    """One open page: what it watches, and what waits to be sent to it. `wake` is called when something begins to
    wait.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.watched: tuple[int, ...] = ()
        self.zone = False
        self.selected: tuple[int, int] | None = None
        self.vehicle: str | None = None  # that reports as the selected track
        self.detailed = 0  # ns; when the selected track was shown last
        self.dropped = 0  # events that found no room
        self._wake = wake
        self._newest: dict[Key, bytes] = {}
        self._events: deque[bytes] = deque()
        self._scenes: dict[int, int] = {}  # revision of the drawing that was sent, by intersection

    def put(self, key: Key, data: bytes) -> None:
        """Let a frame wait in the place of an older one of the same key."""
        self._newest[key] = data
        self._wake()

    def add_event(self, row: bytes) -> None:
        """Let one event (JSON) wait behind the others."""
        if len(self._events) >= MAX_EVENTS:
            self._events.popleft()
            self.dropped += 1
        self._events.append(row)
        self._wake()

    def needs_scene(self, index: int, revision: int) -> bool:
        """Return whether the drawing of an intersection was not sent to this page yet, and take it as sent."""
        if self._scenes.get(index) == revision:
            return False
        self._scenes[index] = revision
        return True

    def forget_scenes(self) -> None:
        """Take no drawing as sent: intersections have other numbers now."""
        self._scenes.clear()

    def clear(self) -> None:
        """Forget what waits but for drawings: the time that it is of was left."""
        kinds_kept = (FrameKind.HELLO, FrameKind.SCENE)
        self._newest = {key: data for key, data in self._newest.items() if key[0] in kinds_kept}
        self._events.clear()

    def take(self) -> bytes:
        """Return all that waits as one message; b"" where nothing does. First what the rest is understood by: the list
        of intersections,
        whether a recording has jumped, the drawings."""
        newest, self._newest = self._newest, {}
        frames = [newest[key] for key in sorted(newest, key=lambda key: (key[0] not in FIRST, key))]

        if self._events:
            rows = b",".join(self._events)
            self._events.clear()
            frames.append(frame(FrameKind.EVENTS, b"[" + rows + b"]"))

        return b"".join(frames)
