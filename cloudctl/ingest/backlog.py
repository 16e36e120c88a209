"""Which of the perception frames that wait are taken.

A burst is taken whole: after a stall of a link or of the machine, the tracker makes use of every frame. A node that has
fallen behind takes the newest alone. Else it would settle where each batch brings as many frames as it can just work
off, most of a second behind, and signal states are too old after half a second: they would all be refused.
"""

from collections import Counter
from operator import attrgetter

from ..clock import MS
from ..metrics import Metrics
from .frames import Pending

MAX_FRAMES = 8  # of one source in one batch; the oldest are dropped first
MAX_FRAMES_BEHIND = 2  # the same, of a node that has fallen behind: one place and the way from there
# ns between two batches beyond which a node that had frames to read is late: advice on older perception is withheld
MAX_INTERVAL = 300 * MS
MIN_LATE_BATCHES = 2  # in a row: a node catches up with a single stall

_time_of = attrgetter("t")


class Backlog:
    """Whether the node has fallen behind, by the times of its batches alone, so that a replay decides alike."""

    def __init__(self) -> None:
        self._begin: int | None = None  # ns, time of this batch
        self._is_late = False
        self._late = 0  # batches in a row that were late, and brought more than a node that is behind takes

    def begin(self, t_rx: int) -> None:
        """Begin with the batch of `t_rx` ns, whether or not it has frames."""
        self._is_late = self._begin is not None and t_rx - self._begin > MAX_INTERVAL
        self._begin = t_rx

    def newest(self, pending: list[Pending], metrics: Metrics) -> list[Pending]:
        """Return the frames of this batch that are taken, in order of event time; the others are the oldest of their
        sources, and are counted."""
        most = _most_of_one_source(pending) if self._is_late or len(pending) > MAX_FRAMES else 0
        self._late = self._late + 1 if self._is_late and most > MAX_FRAMES_BEHIND else 0

        limit = MAX_FRAMES if self._late < MIN_LATE_BATCHES else MAX_FRAMES_BEHIND
        if most > limit:
            pending = _newest(pending, limit, metrics)
        return sorted(pending, key=_time_of)


def _most_of_one_source(pending: list[Pending]) -> int:
    return max(Counter(_source_of(frame) for frame in pending).values(), default=0)


def _source_of(frame: Pending) -> int:
    return id(frame.route.source)


def _newest(pending: list[Pending], limit: int, metrics: Metrics) -> list[Pending]:
    counts: Counter[int] = Counter()
    kept = []
    for frame in reversed(pending):
        counts[_source_of(frame)] += 1
        if counts[_source_of(frame)] <= limit:
            kept.append(frame)
        else:
            metrics.count("drop.queue", frame.route.name)
    return kept[::-1]
