"""The gateways that a node knows: which roadside units each may speak for, and how its clock differs from ours.

The offset of a clock is known to half the round trip of the exchange it was taken from (NTP, RFC 5905): two exchanges that differ by more
than both halves and the drift between them have a step between them, and what was measured before it is dropped.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..clock import MS, SECOND
from ..schema import VERSION
from .rejections import RejectedMessage, wrong_version

SYNC_WINDOW = 8  # exchanges among which the one of the shortest round trip is believed
SLOWEST_SYNC = 500 * MS  # round trip; one that took longer says nothing: the offset may be wrong by half of it
MAX_SYNC_AGE = 60 * SECOND  # of an exchange; quartz drifts by 3 ms in that time at 50 ppm, as much as a round trip
MAX_DRIFT = 2e-4  # s/s between two clocks: quartz at 50 ppm each, and NTP may slew by 500 ppm for a while
TIMESTAMPING = 2 * MS  # of both clocks' readings, beyond what the round trip tells


class Exchange(NamedTuple):
    """What one exchange says, ns."""

    round_trip: int
    offset: int
    t: int  # when, by our clock


@dataclass
class Gateway:
    """One gateway: the roadside units its key may speak for, and its clock against ours."""

    rsus: Mapping[str, str]  # RSU id -> intersection id
    offset: int = 0  # ns; its clock less ours
    exchanges: deque[Exchange] = field(default_factory=lambda: deque(maxlen=SYNC_WINDOW))
    steps: int = 0  # of its clock against ours, that exchanges showed

    def exchanged(self, t1: int, t2: int, t3: int, t4: int) -> bool:
        """Learn from the four times of an exchange (NTP's, ns); False where it took too long to say anything. Raises RejectedMessage where it cannot be."""
        round_trip = (t4 - t1) - (t3 - t2)
        if round_trip < 0:
            raise RejectedMessage("t4", t4, "the round trip is negative", "take all four times of one exchange")
        if round_trip > SLOWEST_SYNC:
            return False
        exchange = Exchange(round_trip, ((t1 - t2) + (t4 - t3)) // 2, t3)
        self._forget(exchange)
        self.exchanges.append(exchange)
        self.offset = min(self.exchanges).offset
        return True

    def _forget(self, new: Exchange) -> None:
        """Drop exchanges that a new one shows to be out of date: too old, or from before a step of either clock."""
        while self.exchanges and not 0 <= new.t - self.exchanges[0].t <= MAX_SYNC_AGE:
            self.exchanges.popleft()
        if not self.exchanges:
            return
        best = min(self.exchanges)
        uncertainty = (best.round_trip + new.round_trip) // 2 + TIMESTAMPING + int(MAX_DRIFT * (new.t - best.t))
        if abs(new.offset - best.offset) > uncertainty:
            self.exchanges.clear()
            self.steps += 1


class Gateways(dict[str, Gateway]):
    """By name, which is the name of its key."""

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> None:
        """Take over which gateways there are and the units of each; what was learnt of the clocks of those that stay is kept."""
        for name in [name for name in self if name not in gateways]:
            del self[name]
        for name, rsus in gateways.items():
            if name in self:
                self[name].rsus = rsus
            else:
                self[name] = Gateway(rsus)

    def known(self, name: str) -> Gateway:
        """Return a gateway; raises Refused where there is none."""
        gateway = self.get(name)
        if gateway is None:
            raise RejectedMessage(
                "key",
                name,
                "this key belongs to no gateway of this node",
                "add it under [[gateway]] in the node's file",
            )
        return gateway

    def speaking(self, name: str, version: int, *rsus: str) -> Gateway:
        """Return a gateway that speaks for roadside units; raises Refused where there is none, its message's version is not ours, or a unit another's."""
        gateway = self.known(name)
        if version != VERSION:
            raise wrong_version(version)
        for rsu in rsus:
            if rsu not in gateway.rsus:
                raise RejectedMessage(
                    "r",
                    rsu,
                    f"this key speaks for {', '.join(gateway.rsus)} only",
                    "use the key of that RSU's gateway, or add the RSU under [[gateway]] in the node's file",
                )
        return gateway
