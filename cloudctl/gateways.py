"""The gateways that a node knows: which roadside units each may speak for, and how its clock differs from ours."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from .clock import MS
from .refusals import Refused, wrong_version
from .schema import VERSION

SYNC_WINDOW = 8  # exchanges among which the one of the shortest round trip is believed
SLOWEST_SYNC = 500 * MS  # round trip; one that took longer says nothing: the offset may be wrong by half of it


@dataclass
class Gateway:
    """One gateway: the roadside units its key may speak for, and its clock against ours."""

    rsus: Mapping[str, str]  # RSU id -> intersection id
    offset: int = 0  # ns; its clock less ours
    exchanges: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SYNC_WINDOW))  # (round trip, offset)

    def exchanged(self, t1: int, t2: int, t3: int, t4: int) -> bool:
        """Learn from the four times of an exchange (NTP's, ns); False where it took too long to say anything. Raises Refused where it cannot be."""
        round_trip = (t4 - t1) - (t3 - t2)
        if round_trip < 0:
            raise Refused("t4", t4, "the round trip is negative", "take all four times of one exchange")
        if round_trip > SLOWEST_SYNC:
            return False
        self.exchanges.append((round_trip, ((t1 - t2) + (t4 - t3)) // 2))
        self.offset = min(self.exchanges)[1]
        return True


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
            raise Refused(
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
                raise Refused(
                    "r",
                    rsu,
                    f"this key speaks for {', '.join(gateway.rsus)} only",
                    "use the key of that RSU's gateway, or add the RSU under [[gateway]] in the node's file",
                )
        return gateway
