"""Demand for a network that comes without any: cars across it, bicycles and pedestrians over each signalised
intersection.
"""

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CARS = 80.0  # per hour on each entering lane
CYCLISTS, WALKERS = 60.0, 90.0  # per hour at each signalised intersection
SPAN = 3600.0  # s
KINDS = (("car", "passenger", 0.85), ("van", "delivery", 0.07), ("bus", "bus", 0.03), ("truck", "truck", 0.05))


@dataclass(frozen=True)
class Edge:
    """An edge of a network: the junctions it joins, and how many of its lanes carry cars, bicycles and pedestrians."""

    id: str
    start: str
    end: str
    cars: int
    bicycles: int
    walkers: int


def write(folder: Path, net: Path, seed: int = 7) -> Path:
    """Write NAME.rou.xml and NAME.sumocfg of random demand on an uncompressed network into `folder`; return the
    latter.
    """
    edges, signals = _read(net)
    rng = np.random.default_rng(seed)
    trips = sorted([*_cars(edges, rng), *_locals(edges, signals, rng)], key=lambda trip: trip[0])
    types = "".join(f'  <vType id="{name}" vClass="{kind}" speedDev="0.1"/>\n' for name, kind, _ in KINDS)
    types += '  <vType id="bicycle" vClass="bicycle"/>\n'
    folder.mkdir(parents=True, exist_ok=True)
    body = "".join("  " + text.format(n=index) + "\n" for index, (_, text) in enumerate(trips))
    (folder / "city.rou.xml").write_text(f"<routes>\n{types}{body}</routes>\n")
    config = folder / "city.sumocfg"
    config.write_text(
        f'<configuration>\n  <input>\n    <net-file value="{net}"/>\n    <route-files value="city.rou.xml"/>\n '
        f' </input>\n  <time>\n    <begin value="0"/>\n    <end value="{SPAN:.0f}"/>\n  </time>\n</configuration>\n'
    )

    return config


def _cars(edges: list[Edge], rng: np.random.Generator) -> Iterator[tuple[float, str]]:
    """Yield trips from where roads enter the network to where they leave it."""
    ways = Counter(node for edge in edges if edge.cars for node in {edge.start, edge.end})
    driven = [edge for edge in edges if edge.cars]
    # A road that ends in the network, with no street to turn into, comes from outside
    entries = [edge for edge in driven if ways[edge.start] <= 2 and not _leads_to(edges, edge.start, edge.end)]
    exits = [edge for edge in driven if ways[edge.end] <= 2 and not _leaves(edges, edge.end, edge.start)]

    for entry in entries:
        for arrival in _arrivals(CARS * entry.cars, rng):
            end = exits[int(rng.integers(len(exits)))]
            kind = KINDS[int(rng.choice(len(KINDS), p=[share for *_, share in KINDS]))][0]
            if end.end != entry.start:
                route = f'from="{entry.id}" to="{end.id}" departLane="best"'
                yield arrival, f'<trip id="v{{n}}" type="{kind}" depart="{arrival:.1f}" {route}/>'


def _leads_to(edges: list[Edge], node: str, target: str) -> bool:
    return any(edge.cars and edge.end == node and edge.start != target for edge in edges)


def _leaves(edges: list[Edge], node: str, target: str) -> bool:
    return any(edge.cars and edge.start == node and edge.end != target for edge in edges)


def _locals(edges: list[Edge], signals: set[str], rng: np.random.Generator) -> Iterator[tuple[float, str]]:
    """Yield the trips of pedestrians and cyclists from one arm of a signalised intersection to another."""
    for node in sorted(signals):
        for users, rate in (("bicycles", CYCLISTS), ("walkers", WALKERS)):
            arriving = [edge for edge in edges if edge.end == node and getattr(edge, users)]
            leaving = [edge for edge in edges if edge.start == node and getattr(edge, users)]
            for arrival in _arrivals(rate if arriving and leaving else 0.0, rng):
                first, second = arriving[int(rng.integers(len(arriving)))], leaving[int(rng.integers(len(leaving)))]
                if second.end == first.start:
                    continue  # back the way it came

                if users == "walkers":
                    walk = f'<walk from="{first.id}" to="{second.id}"/>'
                    yield arrival, f'<person id="p{{n}}" depart="{arrival:.1f}">{walk}</person>'
                else:
                    yield (
                        arrival,
                        f'<trip id="b{{n}}" type="bicycle" depart="{arrival:.1f}" from="{first.id}" to="{second.id}"/>',
                    )


def _arrivals(rate: float, rng: np.random.Generator) -> list[float]:
    """Return the moments of a Poisson process of `rate` per hour, s."""
    if rate <= 0.0:
        return []
    times = np.cumsum(rng.exponential(3600.0 / rate, int(2 * rate) + 10))
    return [float(arrival) for arrival in times[times < SPAN]]


def _read(net: Path) -> tuple[list[Edge], set[str]]:
    edges, signals = [], set()
    for _, node in ET.iterparse(net):
        if node.tag == "junction" and node.get("type", "").startswith("traffic_light"):
            signals.add(node.attrib["id"])
        elif node.tag == "edge" and node.get("function") is None:
            lanes = node.findall("lane")
            edge = Edge(
                id=node.attrib["id"],
                start=node.attrib["from"],
                end=node.attrib["to"],
                cars=sum(_carries(lane, "passenger") for lane in lanes),
                bicycles=sum(_carries(lane, "bicycle") for lane in lanes),
                walkers=sum(_carries(lane, "pedestrian") for lane in lanes),
            )

            edges.append(edge)

    return edges, signals


def _carries(lane: ET.Element, vehicle_class: str) -> bool:
    allow = lane.get("allow")
    if allow is not None:
        return allow == "all" or vehicle_class in allow.split()
    return vehicle_class not in lane.get("disallow", "").split()
