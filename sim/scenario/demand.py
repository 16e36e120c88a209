"""Demand for our own corridor: Poisson arrivals at every entry, most of them along the main road, a few of every kind
of vehicle.
"""

import gzip
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DURATION = 3600.0  # s
MAIN_ROAD_FLOW = 230.0  # vehicles per hour entering on one lane of the main road
SIDE_ROAD_SHARE = 0.4  # of that, on a lane of a side road
KINDS = (("car", "passenger", 0.86), ("van", "delivery", 0.06), ("bus", "bus", 0.03), ("truck", "truck", 0.05))
WALKERS = 25.0  # per hour between each two roads of an outer intersection


def write_corridor(folder: Path, net: Path, flow: float = 1.0, seed: int = 7) -> Path:
    """Write corridor.rou.xml and corridor.sumocfg into `folder`; return the latter. `flow` scales the demand."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, exits = _fringe(net)
    rng = np.random.default_rng(seed)
    trips: list[tuple[float, str]] = []
    main_lanes = max(edge.lanes for edge in entries.values())

    for entry, edge in entries.items():
        share = 1.0 if edge.lanes == main_lanes else SIDE_ROAD_SHARE
        rate = MAIN_ROAD_FLOW * edge.lanes * flow * share / 3600.0
        # Wide roads attract more than in proportion to their lanes, and no trip turns back where it came from
        weights = np.array([out.lanes**2 if out.end != edge.start else 0.0 for out in exits.values()], float)

        for departure in np.cumsum(rng.exponential(1 / rate, int(rate * DURATION * 1.5) + 10)):
            to = list(exits)[int(rng.choice(len(exits), p=weights / weights.sum()))]
            kind = KINDS[int(rng.choice(len(KINDS), p=[share for *_, share in KINDS]))][0]

            if departure < DURATION:
                trip = (
                    f'<trip id="v{{n}}" type="{kind}" depart="{departure:.1f}" from="{entry}" to="{to}" '
                    'departLane="best" departSpeed="max"/>'
                )
                trips.append((float(departure), trip))

    walks = [
        (origin, target)
        for origin, x in entries.items()
        for target, exit_ in exits.items()
        if x.walk and exit_.walk and x.end == exit_.start and x.start != exit_.end
    ]
    for origin, target in walks:
        for departure in np.cumsum(rng.exponential(3600.0 / (WALKERS * flow), int(WALKERS * flow * 2) + 10)):
            if departure < DURATION:
                trips.append(
                    (
                        float(departure),
                        f'<person id="p{{n}}" depart="{departure:.1f}"><walk from="{origin}" to="{target}"/></person>',
                    )
                )

    trips.sort()
    types = "".join(f'  <vType id="{name}" vClass="{kind}" speedDev="0.1"/>\n' for name, kind, _ in KINDS)
    body = "".join("  " + text.format(n=index) + "\n" for index, (_, text) in enumerate(trips))
    (folder / "corridor.rou.xml").write_text(f"<routes>\n{types}{body}</routes>\n")
    config = folder / "corridor.sumocfg"
    config.write_text(
        f'<configuration>\n  <input>\n    <net-file value="{net}"/>\n    <route-files value="corridor.rou.xml"/>\n '
        f' </input>\n  <time>\n    <begin value="0"/>\n    <end value="{DURATION:.0f}"/>\n  </time>\n</configuration>\n'
    )

    return config


@dataclass(frozen=True)
class _Edge:
    start: str
    end: str
    lanes: int  # for motor vehicles
    walk: bool


def _fringe(net: Path) -> tuple[dict[str, _Edge], dict[str, _Edge]]:
    """Return the edges by which traffic enters and leaves a network."""
    edges: dict[str, _Edge] = {}
    with gzip.open(net, "rb") as file:
        for _, edge in ET.iterparse(file):
            if edge.tag == "edge" and edge.get("function") is None:
                allowed = [lane.get("allow", "") for lane in edge.findall("lane")]
                edges[edge.attrib["id"]] = _Edge(
                    start=edge.attrib["from"],
                    end=edge.attrib["to"],
                    lanes=sum(1 for vehicle_class in allowed if vehicle_class not in ("pedestrian", "bicycle")),
                    walk="pedestrian" in allowed,
                )

    # A node that one edge leaves lies at the edge of the network
    ways = Counter(edge.start for edge in edges.values())
    ends = {node for node, count in ways.items() if count == 1}
    return (
        {name: edge_ for name, edge_ in edges.items() if edge_.start in ends and edge_.lanes},
        {name: edge_ for name, edge_ in edges.items() if edge_.end in ends and edge_.lanes},
    )
