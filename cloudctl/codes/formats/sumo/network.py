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

E_TOWN = Origin(39.7955, 116.5080)  # where a network without a projection is laid


@dataclass
class NetLane:
    """One lane of an edge. `may`: the vClasses that may use it; `stated`: whether the network says so, or leaves it to
    its default."""

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
    may: frozenset[str] | None = None  # the vClasses that may use it, where it says so itself
    speed: float = inf  # m/s, its own limit
    passes: bool = False  # whether it never yields, by its own attribute: the requests of the junction decide
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
    following: tuple[int, ...] = ()  # phases that may come next, where that is not the next in order


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
    """One junction. `control` is of `sumo_words.CONTROL`."""

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
    inner: dict[str, NetLane] = field(default_factory=dict)  # internal lanes and crossings, by lane id
    # Junction -> crossings: edge, and its lane
    crossings: dict[str, list[tuple[str, NetLane]]] = field(default_factory=dict)
    signalled: dict[str, list[NetConnection]] = field(default_factory=dict)  # tl -> connections with a column
    connections: list[NetConnection] = field(default_factory=list)
    junctions: dict[str, NetJunction] = field(default_factory=dict)
    # Junction -> index -> foes, response, cont
    requests: dict[str, dict[int, dict[str, str]]] = field(default_factory=dict)
    programs: dict[str, list[NetProgram]] = field(default_factory=dict)  # by tl
    limits: dict[str, tuple[tuple[str, float], ...]] = field(default_factory=dict)  # road type -> limits of vClasses
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
        """Return whether the network says where on the globe it lies."""
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
        return tuple((a, b) for a, b in table)
