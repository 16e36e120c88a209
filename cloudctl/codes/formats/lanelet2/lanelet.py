"""Lanelets and crosswalks of a Lanelet2 map, in metres."""

from dataclasses import dataclass, field

from cloudctl.geo import Origin

from ...findings import Loss
from ...polylines import F8
from ..importing.accounting import Accounts
from ..importing.permits import Permit
from .access import Limit
from .rules import Regulations


@dataclass
class Lanelet:
    """One lanelet in one direction, bounds and middle in driving direction, metres of the map's origin."""

    id: str
    name: str
    left: F8
    right: F8
    middle: F8
    width_m: float
    permit: Permit
    limits: list[Limit]
    usual: tuple[float, str]  # limit where it states none, and why
    rules: list[str]  # regulatory elements it names
    turn: str = ""  # as it is tagged
    backward: bool = False  # the other direction of a lanelet for both
    before: list["Lanelet"] = field(default_factory=list)
    after: list["Lanelet"] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its id, with a word for the other direction of a lanelet for both."""
        return f"{self.id} back" if self.backward else self.id


@dataclass
class Walk:
    """A crosswalk: its axis, its width in m, the regulatory elements it names."""

    id: str
    axis: F8
    width: float
    rules: list[str] = field(default_factory=list)


@dataclass
class LaneletMap:
    """What a map holds."""

    origin: Origin
    lanelets: list[Lanelet]
    walks: list[Walk]
    regulations: Regulations
    losses: set[Loss]
    accounts: Accounts
    used: set[str] = field(default_factory=set)  # lights and crosswalks that some intersection has
