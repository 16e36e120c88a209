"""What a node of a city reports of itself: health and faults, every few seconds. An edge's report goes on to its
region, beside the traffic and advisories that the bridge passes on."""

import msgspec

from ..clock import MS, SECOND
from ..engine import Engine
from ..io.egress import Egress
from ..node_status import NodeReport
from ..settings import BrokerSection, CitySection
from ..topics import MqttTopics

PERIOD = 10 * SECOND
EXPIRY = 30  # s that a report stays with a broker: three of its periods
REPORTED = ("fault", "drop", "reject", "signal", "sensor")  # beginnings of the counters that are reported


class UpwardReport:
    """Reports where the node is one of several, or its broker has a bridge to a region's."""

    def __init__(self, engine: Engine, egress: Egress) -> None:
        self._engine, self._egress = engine, egress
        self._reported: int | None = None  # ns
        self._spent = 0.0  # us in steps, at the last report

    def look(self, t: int, broker: BrokerSection, city: CitySection) -> None:
        """Report at `t` ns, where it is time to."""
        name = broker.bridge_name or city.node
        if not name or (self._reported is not None and 0 <= t - self._reported < PERIOD):
            return

        elapsed = t - self._reported if self._reported is not None else 0
        self._reported = t
        steps = self._engine.metrics.histograms.get("step")
        spent = steps.total if steps else 0.0
        load = (spent - self._spent) * MS / 1000 / elapsed if elapsed else 0.0
        self._spent = spent
        totals: dict[str, int] = {}

        for beginning in REPORTED:
            for counter, sources in self._engine.metrics.by_source(beginning).items():
                totals[counter] = sum(sources.values())

        status = NodeReport(
            node=name,
            t=t,
            intersections=list(self._engine.intersections),
            counters=totals,
            is_edge=broker.bridge_name is not None,
            epochs={
                name: place.advisory_filter.epoch
                for name, place in self._engine.intersections.items()
                if place.advisory_filter.epoch
            },
            load=round(load, 3),
        )
        self._egress.retain(MqttTopics.node_status(name), msgspec.json.encode(status), EXPIRY)
