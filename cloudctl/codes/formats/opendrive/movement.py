"""Lanes beside a junction of OpenDRIVE, and the movements between them."""

from typing import NamedTuple

from ...polylines import F8
from ..importing.permits import Permit
from .lane import Stretch
from .road import Chain, Road
from .upstream import Piece, stretches


class LaneEnd(NamedTuple):
    """A lane beside the junction: as far as its road goes, and into the junction over the roads before, where that is
    short."""

    key: str
    road: Road
    lane: int
    chain: Chain
    line: F8  # in driving direction
    width: float
    permit: Permit  # at the junction
    ingress: bool
    pieces: tuple[Piece, ...]  # on each road that it runs on, the one at the junction last

    def stretches(self) -> list[Stretch]:
        """Return where limits and permissions hold, m along the lane."""
        return stretches(self.pieces)


class LaneSide(NamedTuple):
    """A lane of a road, and whether the junction lies at the road's end."""

    road: Road
    lane: int
    at_end: bool


class Movement(NamedTuple):
    """A movement: from lane to lane, by a lane of a connecting road."""

    start: str
    end: str
    line: F8
    turn: str
    road: Road
    lane: int
    chain: Chain
