"""What an edge reports of itself to its region: health and faults, every few seconds, beside the traffic and advisories
that the bridge passes on."""

import msgspec
from msgspec import Struct

from ..clock import SECOND
from ..engine import Engine
from ..io.egress import Egress
from ..settings import BrokerSection
from ..topics import MqttTopics

PERIOD = 10 * SECOND
EXPIRY = 30  # s that a report stays with the region's broker: three of its periods
REPORTED = ("fault", "drop", "reject", "signal", "sensor")  # beginnings of the counters that are reported


class EdgeStatus(Struct, frozen=True):
    """The health of an edge at `t` ns. Counters are sums over their sources, since the edge started."""

    node: str
    t: int
    intersections: list[str]
    counters: dict[str, int]


class UpwardReport:
    """Reports to the region, where the edge's broker has a bridge to one."""

    def __init__(self, engine: Engine, egress: Egress) -> None:
        self._engine, self._egress = engine, egress
        self._reported: int | None = None  # ns

    def look(self, t: int, section: BrokerSection) -> None:
        """Report at `t` ns, where it is time to."""
        name = section.bridge_name
        if name is None or (self._reported is not None and 0 <= t - self._reported < PERIOD):
            return
        self._reported = t
        totals: dict[str, int] = {}
        for beginning in REPORTED:
            for counter, sources in self._engine.metrics.by_source(beginning).items():
                totals[counter] = sum(sources.values())
        status = EdgeStatus(node=name, t=t, intersections=list(self._engine.intersections), counters=totals)
        self._egress.retain(MqttTopics.node_status(name), msgspec.json.encode(status), EXPIRY)
