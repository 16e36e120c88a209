"""Whether the node goes along when the machine's clock steps: those it serves decide, for the advice must be valid by
their clocks.

While the machine's clock differs from the node's time, the times that gateways and vehicles send are compared with
both. Where more of them
agree with the machine, or none says anything, the node follows; else it keeps its time on a monotonic clock, and asks
again.
"""

import contextlib
from collections.abc import Sequence

import msgspec

from ..clock import SECOND, SteadyClock
from ..metrics import Metrics
from ..schema import RawMessage
from ..topics import TOPICS

DELIBERATION = 2 * SECOND  # how long votes are gathered after a step; advice that is withheld longer is missed
MAX_VOTERS = 1000  # senders that are asked
AGREES = 2 * SECOND  # a sent time no further than that from a clock agrees with it: it may wait on the way


class _Sent(msgspec.Struct):
    """The time in any message."""

    t: int


class Timekeeper:
    """Watches one node's clock: `observe` each batch, `decide` about every second."""

    def __init__(self, clock: SteadyClock, metrics: Metrics) -> None:
        self._clock, self._metrics = clock, metrics
        # by sender: ns that its time is ahead of the node's, by the message that was the least delayed
        self._ahead: dict[str, int] = {}
        self._since: int | None = None
        self._machine = msgspec.json.Decoder(_Sent).decode, msgspec.msgpack.Decoder(_Sent).decode
        self.trouble: str | None = None  # why the node's time is not the machine's, for the operator

    def observe(self, t: int, batch: Sequence[RawMessage]) -> None:
        """Take in what senders say the time is, while the machine's clock and the node's time `t` (ns) differ."""
        stepped = self._clock.stepped
        if stepped == 0:
            return

        json, msgpack = self._machine
        for datum in batch:
            topic = TOPICS.get(datum.kind)
            if (
                topic is None
                or topic.max_age == 0
                or (datum.sender not in self._ahead and len(self._ahead) >= MAX_VOTERS)
            ):
                continue

            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                ahead = (msgpack if topic.code else json)(datum.body).t - t
                if min(abs(ahead), abs(ahead - stepped)) < AGREES:
                    self._ahead[datum.sender] = max(ahead, self._ahead.get(datum.sender, ahead))

    def decide(self, t: int) -> str | None:
        """Return what is to be logged when the node follows the machine's clock now (it then has a new time), else
        None.
        """
        stepped = self._clock.stepped
        if stepped == 0:
            self._ahead.clear()
            self._since = self.trouble = None
            return None

        if self._since is None:
            self._since = t
            self._metrics.count("clock.step")

        if t - self._since < DELIBERATION:
            return None

        # of a step that is shorter than AGREES, both clocks may be meant: the nearer one is
        follows = sum(abs(ahead - stepped) < abs(ahead) for ahead in self._ahead.values())
        keeps = len(self._ahead) - follows
        self._ahead.clear()
        step = f"the machine's clock stepped by {stepped / SECOND:+.3f} s"

        if keeps > 0 and keeps >= follows:
            self._since = t
            # the count of those who agree changes; the sentence must not, or it would be logged every time
            self.trouble = (
                f"{step}, away from the clocks of the gateways and vehicles. The node keeps its time; "
                "set the machine's clock (NTP or PTP)"
            )
            return None

        self._since = self.trouble = None
        self._clock.follow()
        self._metrics.count("clock.followed")

        return f"{step}: the node follows it. Tracks and signals begin anew; gateways compare their clocks again"
