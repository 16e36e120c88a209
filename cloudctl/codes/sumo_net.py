"""Reading a SUMO network: its elements as they stand, and its coordinates on the globe."""

import gzip
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pyproj
from numpy.typing import NDArray

from cloudctl.geo import Origin

from .findings import refuse
from .lines import F8
from .model import Point
from .report import Loss

E_TOWN = Origin(39.7955, 116.5080)  # where a network without a projection is laid
MOTOR = ("passenger", "private", "taxi", "delivery", "truck")


@dataclass
class NetLane:
    """One lane of an edge."""

    id: str
    speed: float
    width: float
    shape: F8
    use: str
    shared: tuple[str, ...]


@dataclass
class NetEdge:
    """One edge between junctions; lanes from the right-most."""

    id: str
    start: str
    end: str
    lanes: list[NetLane]


@dataclass
class NetProgram:
    """One signal programme: per phase its attributes as they stand."""

    id: str
    kind: str
    offset: float
    phases: list[dict[str, str]]


@dataclass
class Net:
    """A network."""

    edges: dict[str, NetEdge] = field(default_factory=dict)
    inner: dict[str, NetLane] = field(default_factory=dict)  # internal lanes and crossings, by lane id
    connections: list[dict[str, str]] = field(default_factory=list)
    junctions: dict[str, dict[str, str]] = field(default_factory=dict)
    requests: dict[str, dict[int, dict[str, str]]] = field(default_factory=dict)  # junction -> index -> attributes
    programs: dict[str, list[NetProgram]] = field(default_factory=dict)  # by tl
    projection: str = "!"
    offset: tuple[float, float] = (0.0, 0.0)
    middle: tuple[float, float] = (0.0, 0.0)
    losses: set[Loss] = field(default_factory=set)

    @property
    def placed(self) -> bool:
        """Return whether the network says where on the globe it lies."""
        return self.projection.startswith("+") or "proj" in self.projection

    @cached_property
    def _projector(self) -> pyproj.Proj:
        return pyproj.Proj(self.projection)

    def points(self, xy: F8) -> tuple[Point, ...]:
        """Return coordinates on the globe (1e-7 degree)."""
        if self.placed:
            lon, lat = self._projector(xy[:, 0] - self.offset[0], xy[:, 1] - self.offset[1], inverse=True)
        else:
            lat, lon = E_TOWN.to_geodetic(xy[:, 0] - self.middle[0], xy[:, 1] - self.middle[1])
        table = np.rint(np.stack([lat, lon], axis=1) * 1e7).astype(np.int64).tolist()
        return tuple((a, b) for a, b in table)


def read_net(path: Path, additional: Iterable[Path] = ()) -> Net:
    """Read a .net.xml or .net.xml.gz, and signal programmes of additional files. Raises CodeError."""
    net = Net()
    remedy = "give a .net.xml or .net.xml.gz as netconvert writes it"
    for file in (path, *additional):
        try:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
                for _, node in ET.iterparse(stream):
                    _take(net, node)
            net._projector if net.placed else None  # noqa: B018 - a projection that pyproj refuses is found here
        except (ET.ParseError, EOFError, KeyError, ValueError, OSError, pyproj.exceptions.ProjError) as error:
            raise refuse(
                str(file), "network", "file", file, f"cannot be read as a SUMO network ({error!r})", remedy
            ) from None
    if not net.edges:
        raise refuse(str(path), "network", "edge", "none", "a network has edges", remedy)
    if not net.placed:
        net.losses.add(
            Loss(
                "guessed",
                "location",
                "the network has no projection: laid at Beijing E-Town, its middle at 39.7955, 116.5080",
            )
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
        net.requests[attrib["id"]] = {int(r.attrib["index"]): dict(r.attrib) for r in node.findall("request")}
    elif node.tag == "tlLogic" and node.find("phase") is not None:
        program = NetProgram(
            attrib.get("programID", "0"),
            attrib.get("type", "static"),
            float(attrib.get("offset", 0)),
            [dict(phase.attrib) for phase in node.findall("phase")],
        )
        net.programs.setdefault(attrib["id"], []).append(program)
    elif node.tag == "location":
        net.projection = attrib.get("projParameter", "!")
        x, y = attrib.get("netOffset", "0,0").split(",")
        net.offset = (float(x), float(y))
        x0, y0, x1, y1 = map(float, attrib.get("convBoundary", "0,0,0,0").split(","))
        net.middle = ((x0 + x1) / 2, (y0 + y1) / 2)


def _take_edge(net: Net, node: ET.Element) -> None:
    lanes = [_lane(net, lane) for lane in node.findall("lane")]
    if node.attrib.get("function", "normal") in ("internal", "crossing", "walkingarea"):
        net.inner.update((lane.id, lane) for lane in lanes)
    else:
        net.edges[node.attrib["id"]] = NetEdge(node.attrib["id"], node.attrib["from"], node.attrib["to"], lanes)
    node.clear()


def _lane(net: Net, node: ET.Element) -> NetLane:
    shape = _shape(node.attrib["shape"])
    if shape.shape[1] > 2 and np.ptp(shape[:, 2]) > 0.01:
        net.losses.add(Loss("dropped", "elevation", "lanes are taken flat: heights of the network are not in the code"))
    use, shared = _uses(node.attrib.get("allow"), node.attrib.get("disallow"))
    return NetLane(
        node.attrib["id"], float(node.attrib["speed"]), float(node.attrib.get("width", 3.2)), shape[:, :2], use, shared
    )


def _shape(text: str) -> NDArray[np.float64]:
    rows = [[float(v) for v in point.split(",")] for point in text.split()]
    return np.array([row[: min(map(len, rows))] for row in rows])


def _uses(allow: str | None, disallow: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the main use of a lane, and the further ones where the network says more than its default (everyone)."""
    allowed, refused = (allow or "").split(), (disallow or "").split()

    def may(kind: str) -> bool:
        return (
            kind in allowed or "all" in allowed if allow is not None else kind not in refused and "all" not in refused
        )

    kinds = {
        "vehicle": any(map(may, MOTOR)),
        "bus": may("bus"),
        "bike": may("bicycle"),
        "pedestrian": may("pedestrian"),
    }
    found = [kind for kind, ok in kinds.items() if ok] or ["vehicle" if disallow else "pedestrian"]
    said = allow is not None or disallow is not None
    return found[0], tuple(found[1:]) if said else ()
