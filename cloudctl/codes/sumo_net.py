"""Reading a SUMO network: its elements as they stand, and its coordinates on the globe."""

import gzip
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from ..geo import Origin
from .model import CodeError, Finding, Point

E_TOWN = Origin(39.7955, 116.5080)  # where a network without a projection is laid
MOTOR = ("passenger", "private", "taxi", "delivery", "truck")


@dataclass
class NetLane:
    """One lane of an edge."""

    id: str
    speed: float
    width: float
    shape: NDArray[np.float64]
    use: str


@dataclass
class NetEdge:
    """One edge between junctions; lanes from the right-most."""

    id: str
    start: str
    end: str
    lanes: list[NetLane]


@dataclass
class Net:
    """A network."""

    edges: dict[str, NetEdge] = field(default_factory=dict)
    inner: dict[str, NetLane] = field(default_factory=dict)  # internal lanes and crossings, by lane id
    connections: list[dict[str, str]] = field(default_factory=list)
    junctions: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: dict[str, dict[int, tuple[str, str]]] = field(
        default_factory=dict
    )  # junction -> index -> (response, foes)
    programs: dict[str, list[list[str]]] = field(default_factory=dict)  # tl -> programmes -> states
    projection: str = "!"
    offset: tuple[float, float] = (0.0, 0.0)
    middle: tuple[float, float] = (0.0, 0.0)

    def points(self, xy: NDArray[np.float64]) -> tuple[Point, ...]:
        """Return coordinates on the globe (1e-7 degree)."""
        if self.projection == "!":
            lat, lon = E_TOWN.to_geodetic(xy[:, 0] - self.middle[0], xy[:, 1] - self.middle[1])
        else:
            lon, lat = pyproj.Proj(self.projection)(xy[:, 0] - self.offset[0], xy[:, 1] - self.offset[1], inverse=True)
        return tuple((round(a * 1e7), round(b * 1e7)) for a, b in zip(lat, lon, strict=True))


def read_net(path: Path, additional: Iterable[Path] = ()) -> Net:
    """Read a .net.xml or .net.xml.gz, and signal programmes of additional files. Raises CodeError."""
    net = Net()
    for file in (path, *additional):
        try:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
                for _, node in ET.iterparse(stream):
                    _take(net, node)
        except (ET.ParseError, EOFError, KeyError, ValueError, OSError) as error:
            raise CodeError(
                str(file),
                [
                    Finding(
                        "network",
                        "file",
                        str(file),
                        f"cannot be read as a SUMO network ({error})",
                        "give a .net.xml or .net.xml.gz as netconvert writes it",
                    )
                ],
            ) from None
    if not net.edges:
        raise CodeError(
            str(path),
            [Finding("network", "edge", "none", "a network has edges", "give a .net.xml as netconvert writes it")],
        )
    return net


def _take(net: Net, node: ET.Element) -> None:
    attrib = dict(node.attrib)
    if node.tag == "edge":
        _take_edge(net, node)
    elif node.tag == "connection":
        net.connections.append(attrib)
    elif node.tag == "junction":
        net.junctions[attrib["id"]] = attrib
        net.requests[attrib["id"]] = {
            int(r.attrib["index"]): (r.attrib["response"], r.attrib["foes"]) for r in node.findall("request")
        }
    elif node.tag == "tlLogic":
        net.programs.setdefault(attrib["id"], []).append([phase.attrib["state"] for phase in node.findall("phase")])
    elif node.tag == "location":
        net.projection = attrib.get("projParameter", "!")
        x, y = attrib.get("netOffset", "0,0").split(",")
        net.offset = (float(x), float(y))
        x0, y0, x1, y1 = map(float, attrib.get("convBoundary", "0,0,0,0").split(","))
        net.middle = ((x0 + x1) / 2, (y0 + y1) / 2)


def _take_edge(net: Net, node: ET.Element) -> None:
    lanes = [_lane(lane) for lane in node.findall("lane")]
    function = node.attrib.get("function", "normal")
    if function in ("internal", "crossing", "walkingarea"):
        net.inner.update((lane.id, lane) for lane in lanes)
    else:
        net.edges[node.attrib["id"]] = NetEdge(node.attrib["id"], node.attrib["from"], node.attrib["to"], lanes)


def _lane(node: ET.Element) -> NetLane:
    shape = np.array([[float(v) for v in point.split(",")[:2]] for point in node.attrib["shape"].split()])
    return NetLane(
        node.attrib["id"],
        float(node.attrib["speed"]),
        float(node.attrib.get("width", 3.2)),
        shape,
        _use(node.attrib.get("allow"), node.attrib.get("disallow", "")),
    )


def _use(allow: str | None, disallow: str) -> str:
    def may(kind: str) -> bool:
        return kind in allow.split() if allow is not None else disallow != "all" and kind not in disallow.split()

    if any(may(kind) for kind in MOTOR):
        return "vehicle"
    return "bus" if may("bus") else "bike" if may("bicycle") else "pedestrian"
