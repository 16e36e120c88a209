"""What a node of a city reports of itself over MQTT, retained for a while (`MqttTopics.node_status`)."""

from collections.abc import Mapping

from msgspec import Struct


class NodeReport(Struct, frozen=True):
    """The health of a node at `t` ns, by its clock. Counters are sums over their sources, since the node started."""

    node: str
    t: int
    intersections: list[str]
    counters: dict[str, int]
    is_edge: bool = True  # it owns what it has, and passes on to a region
    epochs: dict[str, int] = {}  # of its intersections, where they are owned by leases
    load: float = 0.0  # share of a core that its engine's steps took since the report before


def worst(counters: Mapping[str, int], limit: int) -> list[tuple[str, int]]:
    """Return the greatest of some counters, `limit` at most, with their names, the greatest first."""
    return sorted(counters.items(), key=lambda item: (-item[1], item[0]))[:limit]
