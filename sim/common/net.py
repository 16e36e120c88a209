"""What plots need of a SUMO network: the lengths of edges, and the signalled links with their column of the signal's
state.
"""

import gzip
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

INSIDE, PAST_SIGNALS = "inside an intersection", "past the last signal"


@dataclass(frozen=True)
class Link:
    """One connection of a network; `lane` is the junction's own lane it runs over, `signal` is "" where there is
    none.
    """

    lane: str
    signal: str
    column: int

    @property
    def inner(self) -> str:
        """The junction's own edge it runs over."""
        return self.lane.rpartition("_")[0]


@dataclass(frozen=True)
class Net:
    """Lengths of edges in m; links by the pair of edges they join."""

    length: Mapping[str, float]
    links: Mapping[tuple[str, str], Sequence[Link]]

    @property
    def approaches(self) -> frozenset[str]:
        """The edges that end at a signal."""
        return frozenset(edge for (edge, _), links in self.links.items() if any(link.signal for link in links))


def read(file: Path) -> Net:
    """Read a network file (.net.xml, .net.xml.gz)."""
    length: dict[str, float] = {}
    links: defaultdict[tuple[str, str], list[Link]] = defaultdict(list)

    opener = gzip.open if file.suffix == ".gz" else open
    with opener(file, "rb") as stream:
        for _, node in ET.iterparse(stream):
            if node.tag == "edge":
                length[node.attrib["id"]] = max(
                    (float(lane.get("length", 0)) for lane in node.iter("lane")), default=0.0
                )
                node.clear()
            elif node.tag == "connection":
                link = Link(node.get("via", ""), node.get("tl", ""), int(node.get("linkIndex", 0)))
                links[node.attrib["from"], node.attrib["to"]].append(link)

    return Net(length, dict(links))


def approach_of(net: Net, routes: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return, for each edge driven on, the approach that most routes over it come to next (itself where it is one)."""
    ahead: defaultdict[str, Counter[str]] = defaultdict(Counter)
    approaches = net.approaches

    for route in routes.values():
        following = PAST_SIGNALS
        for edge in reversed(route):
            following = edge if edge in approaches else following
            ahead[edge][following] += 1

    return {edge: count.most_common(1)[0][0] for edge, count in ahead.items()}


def by_approach(stops: Mapping[str, float], approach: Mapping[str, str]) -> dict[str, float]:
    """Return stops by approach from stops by edge; those on a junction's own edges are INSIDE."""
    totals: defaultdict[str, float] = defaultdict(float)
    for edge, count in stops.items():
        name = INSIDE if edge.startswith(":") else approach.get(edge, PAST_SIGNALS)
        totals[name] += count
    return dict(totals)
