"""A code beside what our own reader makes of its export, with what is compared in both: lanes, connections, access."""

import numpy as np

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import Connection, IntersectionCode, Point
from ..polylines import arc_lengths, points_along
from ..rules import rule_placements
from .differences import Pairing, max_offset
from .messages.kept_out import classes_by_lane, refused_classes

TOLERANCE = 0.03  # m: a MAP counts in cm, a code in about as much
# m along the lane; a stop line stands on whole cm of a lane whose points do, too
STOP_TOLERANCE = 0.05


class Comparison:
    """A code (`code`), its export read back (`back`), and which lane and connection of one is which of the other."""

    def __init__(self, code: IntersectionCode, back: IntersectionCode, pairing: Pairing) -> None:
        self.code, self.back, self.pairing = code, back, pairing
        self.origin = Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)
        self.back_lanes = {lane.id: lane for lane in back.lanes}
        self.roles = [{link.id: link for link in side.links} for side in (code, back)]
        self.places = rule_placements(code), rule_placements(back)
        self.refused = refused_classes(code)
        self.let_in = (classes_by_lane(code), classes_by_lane(back))
        self.connections = self._paired_connections()

    def line_change(self, before: tuple[Point, ...], after: tuple[Point, ...], stop: float | None = None) -> str:
        """Return how a line differs: "" where it does not, rounded or thinned within the tolerance, shortened to the
        stop line, or moved."""
        if before == after:
            return ""

        first, second = local_lines(self.origin, [before, after])
        if (
            max_offset(second, first) <= TOLERANCE
            and max_offset(first, second) <= TOLERANCE
            and np.hypot(*(first[0] - second[0])) <= TOLERANCE
            and np.hypot(*(first[-1] - second[-1])) <= TOLERANCE
        ):
            return "rounded" if len(first) <= len(second) else "thinned"

        if (
            stop is not None
            and max_offset(second, first) <= TOLERANCE
            and np.hypot(*(points_along(first, arc_lengths(first), stop) - second[-1])) <= STOP_TOLERANCE
            and np.hypot(*(first[0] - second[0])) <= TOLERANCE
        ):
            return "shortened"

        return "moved"

    def _paired_connections(self) -> dict[str, Connection]:
        """Return the connection that was read back for each of the code: of the same lanes, first those with the same
        turn and group."""
        unpaired = list(self.back.connections)
        pairs: dict[str, Connection] = {}
        ends = self.pairing.lanes | self.pairing.exits

        for strict in (True, False):
            for connection in self.code.connections:
                lanes = self.pairing.lanes.get(connection.from_lane), ends.get(connection.to_lane)
                if connection.id in pairs or not connection.inner:
                    continue

                partner = next(
                    (
                        candidate
                        for candidate in unpaired
                        if (candidate.from_lane, candidate.to_lane) == lanes
                        and (not strict or (candidate.turn, candidate.group) == (connection.turn, connection.group))
                    ),
                    None,
                )
                if partner is not None:
                    unpaired.remove(partner)
                    pairs[connection.id] = partner

        self.further = unpaired
        return pairs
