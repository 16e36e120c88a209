"""The gateways of a node: which roadside units each may speak for, and the offset of its clock.

The offset of a clock is known to half the round trip of the exchange it was taken from (NTP, RFC 5905). Two exchanges
whose offsets differ by more than both halves and the drift between them have a step of a clock between them: those
before it are dropped.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..clock import MS, SECOND
from ..schema import VERSION
from .rejections import RejectedMessage, wrong_version

SYNC_WINDOW = 8  # exchanges of which the one with the shortest round trip gives the offset
MAX_ROUND_TRIP = 500 * MS  # of a usable exchange: its offset may be wrong by half of it
MAX_SYNC_AGE = 60 * SECOND  # of an exchange; quartz drifts by 3 ms in that time at 50 ppm, as much as a round trip
MAX_DRIFT = 2e-4  # s/s between two clocks: quartz at 50 ppm each, and NTP may slew by 500 ppm for a while
MAX_OFFSET = 2**61  # ns, 73 years: a clock that begins at 1970 is within, and its times stay within 64 bits
TIMESTAMPING = 2 * MS  # error of reading both clocks, beyond the round trip


class Exchange(NamedTuple):
    """The result of one exchange, ns. Exchanges compare by round trip first."""

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
        """Update the offset from the four times of an exchange (NTP's, ns); return False where it took too long to be
        usable.

        Raises RejectedMessage where they contradict one another.
        """
        round_trip = (t4 - t1) - (t3 - t2)
        if round_trip < 0:
            raise RejectedMessage("t4", t4, "the round trip is negative", "take all four times of one exchange")
        if round_trip > MAX_ROUND_TRIP:
            return False

        exchange = Exchange(round_trip, offset=((t1 - t2) + (t4 - t3)) // 2, t=t3)
        if abs(exchange.offset) > MAX_OFFSET:
            raise RejectedMessage(
                field="t1",
                value=t1,
                rule=f"puts the clock {exchange.offset / SECOND:+.0f} s off; over {MAX_OFFSET // SECOND} s is unusable",
                remedy="set the clock, use UTC ns since 1970, and send t2 and t3 back as they came",
            )

        self._drop_outdated(exchange)
        self.exchanges.append(exchange)
        self.offset = min(self.exchanges).offset

        return True

    def not_its_unit(self, rsu: str, field: str = "r") -> RejectedMessage:
        """Return the refusal of a unit that the gateway's key does not speak for."""
        return RejectedMessage(
            field=field,
            value=rsu,
            rule=f"this key speaks for {', '.join(self.rsus)} only",
            remedy="use the key of that RSU's gateway, or add the RSU under [[gateway]] in the node's file",
        )

    def _drop_outdated(self, new: Exchange) -> None:
        """Drop the exchanges that are too old when `new` comes, and all where a clock has stepped since."""
        while self.exchanges and not 0 <= new.t - self.exchanges[0].t <= MAX_SYNC_AGE:
            self.exchanges.popleft()

        if not self.exchanges:
            return

        best = min(self.exchanges)
        drift = int(MAX_DRIFT * (new.t - best.t))
        uncertainty = (best.round_trip + new.round_trip) // 2 + TIMESTAMPING + drift

        if abs(new.offset - best.offset) > uncertainty:
            self.exchanges.clear()
            self.steps += 1


class Gateways(dict[str, Gateway]):
    """Gateways by name, which is the name of their key."""

    def rebind(self, gateways: Mapping[str, Mapping[str, str]]) -> None:
        """Replace the gateways and the units of each; those that stay keep the offset of their clock."""
        for name in [name for name in self if name not in gateways]:
            del self[name]

        for name, rsus in gateways.items():
            if name in self:
                self[name].rsus = rsus
            else:
                self[name] = Gateway(rsus)

    def known(self, name: str) -> Gateway:
        """Return a gateway. Raises RejectedMessage for an unknown one."""
        gateway = self.get(name)
        if gateway is None:
            raise RejectedMessage(
                field="key",
                value=name,
                rule="this key belongs to no gateway of this node",
                remedy="add it under [[gateway]] in the node's file",
            )

        return gateway

    def authorise(self, name: str, version: int, *rsus: str) -> Gateway:
        """Return the gateway that sent a message, where it may send for `rsus`. Raises RejectedMessage for an unknown
        gateway, another version, or another gateway's unit."""
        gateway = self.known(name)
        if version != VERSION:
            raise wrong_version(version)

        for rsu in rsus:
            if rsu not in gateway.rsus:
                raise gateway.not_its_unit(rsu)

        return gateway
