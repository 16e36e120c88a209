"""A SUMO network as it is read: edges, lanes, connections, junctions, programmes as they stand, and its coordinates on
the globe."""

from dataclasses import dataclass, field
from functools import cached_property
from math import inf

import numpy as np
import pyproj

from cloudctl.geo import Origin

from ...findings import Loss
from ...model import Point
from ...polylines import F8
from ..importing.accounting import Accounts

E_TOWN = Origin(lat=39.7955, lon=116.5080)  # where a network without a projection is laid


@dataclass
class NetLane:
    """One lane of an edge. `may`: the vClasses that may use it; `stated`: whether the network states it, or leaves it
    to its default."""

    id: str
    speed: float
    width: float
    shape: F8
    may: frozenset[str]
    stated: bool
    stop_offset: float = 0.0  # m from its end to its stop line
    # On the globe, once they are needed: a lane is in the codes of several intersections
    points: tuple[Point, ...] = ()


@dataclass
class NetEdge:
    """One edge between junctions; lanes from the outermost: the right-most in right-hand traffic, the left-most in
    left-hand traffic."""

    id: str
    start: str
    end: str
    lanes: list[NetLane]
    name: str = ""
    limits: tuple[tuple[str, float], ...] = ()  # vClass -> m/s, of the road's type


@dataclass
class NetConnection:
    """One connection of lanes. `tl` is its signal, `column` its place in the signal's states; "" and -1 where it has
    none."""

    from_edge: str
    to_edge: str
    from_lane: int
    to_lane: int
    via: str
    turn: str
    tl: str
    column: int
    may: frozenset[str] | None = None  # the vClasses that may use it, where it states them itself
    speed: float = inf  # m/s, its own limit
    # Whether it never yields, by its own attribute: the requests of the junction decide
    passes: bool = False
    points: tuple[Point, ...] = ()  # of its path on the globe, once they are needed


@dataclass
class NetPhase:
    """One phase of a programme, seconds."""

    state: str
    duration: float
    shortest: float | None
    longest: float | None
    name: str = ""
    yellow: float = 0.0
    red: float = 0.0
    # phases that may come next, where that is not the next in order
    following: tuple[int, ...] = ()


@dataclass
class NetProgram:
    """One signal programme."""

    id: str
    kind: str
    offset: float
    phases: list[NetPhase]
    actuated: bool
    keys: dict[str, str] = field(default_factory=dict)  # of `RING_KEYS`


@dataclass
class NetJunction:
    """One junction. `control` is a value of `vocabulary.CONTROL_OF_JUNCTION`."""

    id: str
    x: float
    y: float
    control: str
    name: str = ""
    incoming: tuple[str, ...] = ()  # lanes that lead to it, in the order of its requests


@dataclass
class Net:
    """A network."""

    accounts: Accounts
    edges: dict[str, NetEdge] = field(default_factory=dict)
    # Internal lanes and crossings, by lane id
    inner: dict[str, NetLane] = field(default_factory=dict)
    # Junction -> crossings: edge, and its lane
    crossings: dict[str, list[tuple[str, NetLane]]] = field(default_factory=dict)
    # tl -> connections with a column
    signalled: dict[str, list[NetConnection]] = field(default_factory=dict)
    connections: list[NetConnection] = field(default_factory=list)
    junctions: dict[str, NetJunction] = field(default_factory=dict)
    # Junction -> index -> foes, response, cont
    requests: dict[str, dict[int, dict[str, str]]] = field(default_factory=dict)
    programs: dict[str, list[NetProgram]] = field(default_factory=dict)  # by tl
    # Road type -> limits of vClasses
    limits: dict[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)
    left_hand: bool = False
    projection: str = "!"
    offset: tuple[float, float] = (0.0, 0.0)
    middle: tuple[float, float] = (0.0, 0.0)

    @property
    def losses(self) -> set[Loss]:
        """The lines of the loss report that are no account of elements."""
        return self.accounts.losses

    @property
    def placed(self) -> bool:
        """Return whether the network gives its place on the globe."""
        return self.projection.startswith("+") or "proj" in self.projection

    @cached_property
    def projector(self) -> pyproj.Proj:
        """The projection. Raises pyproj.exceptions.ProjError for one that cannot be."""
        return pyproj.Proj(self.projection)

    def points(self, positions: F8) -> tuple[Point, ...]:
        """Return coordinates on the globe (1e-7 degree)."""
        if self.placed:
            lon, lat = self.projector(positions[:, 0] - self.offset[0], positions[:, 1] - self.offset[1], inverse=True)
        else:
            lat, lon = E_TOWN.to_geodetic(positions[:, 0] - self.middle[0], positions[:, 1] - self.middle[1])

        table = np.rint(np.stack([lat, lon], axis=1) * 1e7).astype(np.int64).tolist()
        return tuple((first, second) for first, second in table)
