"""Demand for our own corridor: Poisson arrivals at every entry, most of them along the main road, a few of every kind of vehicle."""

import gzip
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np

DURATION = 3600.0  # s
PER_LANE = 230.0  # vehicles an hour entering on one lane of the main road, 40 % of it on a side road
SIDE = 0.4
KINDS = (("car", "passenger", 0.86), ("van", "delivery", 0.06), ("bus", "bus", 0.03), ("truck", "truck", 0.05))
WALKERS = 60.0  # an hour at each entry with a sidewalk


def write_corridor(folder: Path, net: Path, flow: float = 1.0, seed: int = 7) -> Path:
    """Write corridor.rou.xml and corridor.sumocfg into `folder`; return the latter. `flow` scales the demand."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, exits, walks = _fringe(net)
    rng = np.random.default_rng(seed)
    trips: list[tuple[float, str]] = []
    main = max(entries.values())
    for entry, lanes in entries.items():
        rate = PER_LANE * lanes * flow * (1.0 if lanes == main else SIDE) / 3600.0
        weights = np.array([lanes_out**2 if not _opposite(entry, edge) else 0.0 for edge, lanes_out in exits.items()], float)
        for t in np.cumsum(rng.exponential(1 / rate, int(rate * DURATION * 1.5) + 10)):
            to = list(exits)[int(rng.choice(len(exits), p=weights / weights.sum()))]
            kind = KINDS[int(rng.choice(len(KINDS), p=[share for *_, share in KINDS]))][0]
            if t < DURATION:
                trips.append((float(t), f'<trip id="v{{n}}" type="{kind}" depart="{t:.1f}" from="{entry}" to="{to}" departLane="best" departSpeed="max"/>'))
    for a, b in walks:
        for t in np.cumsum(rng.exponential(3600.0 / (WALKERS * flow), int(WALKERS * flow * 2) + 10)):
            if t < DURATION:
                trips.append((float(t), f'<person id="p{{n}}" depart="{t:.1f}"><walk from="{a}" to="{b}"/></person>'))
    trips.sort()
    types = "".join(f'  <vType id="{name}" vClass="{kind}" speedDev="0.1"/>\n' for name, kind, _ in KINDS)
    body = "".join("  " + text.format(n=n) + "\n" for n, (_, text) in enumerate(trips))
    (folder / "corridor.rou.xml").write_text(f"<routes>\n{types}{body}</routes>\n")
    config = folder / "corridor.sumocfg"
    config.write_text(f'<configuration>\n  <input>\n    <net-file value="{net}"/>\n    <route-files value="corridor.rou.xml"/>\n  </input>\n'
                      f'  <time>\n    <begin value="0"/>\n    <end value="{DURATION:.0f}"/>\n  </time>\n</configuration>\n')
    return config


def _opposite(a: str, b: str) -> bool:
    return a.lstrip("-") == b.lstrip("-")


def _fringe(net: Path) -> tuple[dict[str, int], dict[str, int], list[tuple[str, str]]]:
    """Return entry and exit edges with their number of motor lanes, and pairs of edges between which people walk."""
    edges: dict[str, tuple[str, str, int, bool]] = {}
    with gzip.open(net, "rb") as file:
        for _, edge in ET.iterparse(file):
            if edge.tag == "edge" and edge.get("function") is None:
                lanes = edge.findall("lane")
                motor = sum(1 for lane in lanes if "pedestrian" not in lane.get("allow", "") and lane.get("allow") != "bicycle")
                edges[edge.attrib["id"]] = (edge.attrib["from"], edge.attrib["to"], motor, len(lanes) > motor)
    degree = Counter(edge[0] for edge in edges.values())
    ends = {node for edge in edges.values() for node in edge[:2] if degree[node] <= 1}
    entries = {name: motor for name, (a, _, motor, _) in edges.items() if a in ends and motor}
    exits = {name: motor for name, (_, b, motor, _) in edges.items() if b in ends and motor}
    by_node: dict[str, list[str]] = {}
    for name in entries:
        if edges[name][3]:
            by_node.setdefault(edges[name][1], []).append(name)
    walks = [(a, b.lstrip("-") if b.startswith("-") else f"-{b}") for group in by_node.values() for a in group for b in group if a != b]
    return entries, exits, [(a, b) for a, b in walks if b in edges]
