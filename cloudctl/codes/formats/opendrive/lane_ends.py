"""The lanes beside a junction of OpenDRIVE, each taken in from the junction's side of its road."""

from ...findings import LossKind
from ...terms import LaneUse
from ..importing.accounting import Accounts
from .access import driven, lane_permit
from .movement import LaneEnd, LaneSide
from .road import Road
from .upstream import Piece, followed_upstream

MIN_WIDTH = 0.3  # m of a lane that can be driven on


class LaneEnds:
    """The lanes beside one junction, by a key of their side, road and number."""

    def __init__(self, roads: dict[str, Road], accounts: Accounts) -> None:
        self.roads, self.accounts = roads, accounts
        self.by_key: dict[str, LaneEnd] = {}

    def take_in(self, side: LaneSide, *, ingress: bool) -> str | None:
        """Return the key of a road's lane, which is taken in; None where it cannot be driven on."""
        road, lane, at_end = side
        key = f"{'in' if ingress else 'out'} {road.id}/{lane}"
        if key in self.by_key:
            return key

        chain, end_index = driven(road.chain(lane, at_end), at_end), -1 if at_end else 0
        if not chain:
            return None

        section, lane_record = chain[end_index]
        if lane_record.direction == "both" or lane_record.kind == "bidirectional":
            self.accounts.enter(
                LossKind.DIFFERS,
                "lane",
                "lanes for both directions are taken in the one their number says",
                f"lane {lane} of road {road.id}",
            )

        width = road.width(section, lane_record, section.end - 1e-6 if at_end else section.start)
        permit = lane_permit(road.stretches(chain)[-1 if ingress else 0].state)
        line = road.line(chain)

        if width < MIN_WIDTH or len(line) < 2 or permit.use == LaneUse.PEDESTRIAN:
            return None

        pieces: tuple[Piece, ...] = (Piece(road=road, lane=lane, chain=chain, start=0.0, beyond=0.0),)
        if ingress:
            pieces, line = followed_upstream(self.roads, road, lane, chain)

        self.by_key[key] = LaneEnd(
            key=key,
            road=road,
            lane=lane,
            chain=chain,
            line=line,
            width=width,
            permit=permit,
            ingress=ingress,
            pieces=pieces,
        )

        return key
