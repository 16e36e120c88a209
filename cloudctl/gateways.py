"""The gateways that a node knows: which roadside units each may speak for, and how its clock differs from ours."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from .clock import MS
from .refusals import Refused, wrong_version
from .schema import VERSION, Sync

SYNC_WINDOW = 8  # exchanges among which the one of the shortest round trip is believed
SLOWEST_SYNC = 500 * MS  # round trip; one that took longer says nothing: the offset may be wrong by half of it


@dataclass
class Gateway:
    """One gateway: the roadside units its key may speak for, and its clock against ours."""

    rsus: Mapping[str, str]  # RSU id -> intersection id
    offset: int = 0  # ns; its clock less ours
    exchanges: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SYNC_WINDOW))  # (round trip, offset)

    def intersection(self, version: int, rsu: str) -> str:
        """Return which intersection a message is about; raises Refused where its version is not ours, or the unit another's."""
        if version != VERSION:
            raise wrong_version(version)
        if rsu not in self.rsus:
            raise Refused(
                "r",
                rsu,
                f"this key speaks for {', '.join(self.rsus)} only",
                "use the key of that RSU's gateway, or add the RSU under [[gateway]] in the node's file",
            )
        return self.rsus[rsu]

    def exchanged(self, body: Sync) -> bool:
        """Learn from a whole exchange of times (NTP's four); False where it took too long to say anything. Raises Refused where it cannot be."""
        if body.t2 is None or body.t3 is None or body.t4 is None:
            return False
        round_trip = (body.t4 - body.t1) - (body.t3 - body.t2)
        if round_trip < 0:
            raise Refused("t4", body.t4, "the round trip is negative", "take all four times of one exchange")
        if round_trip > SLOWEST_SYNC:
            return False
        self.exchanges.append((round_trip, ((body.t1 - body.t2) + (body.t4 - body.t3)) // 2))
        self.offset = min(self.exchanges)[1]
        return True


class Gateways(dict[str, Gateway]):
    """By name, which is the name of its key."""

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
