"""A lane of OpenDRIVE before a junction over several roads: mappers cut a road where anything changes, and the last
piece may be short.

Lights, stop lines, signs, limits and permissions of a junction may stand on a piece before the last one. A lane is
therefore followed upstream, from road to road by their links, until it is `MAX_SIGNAL_DISTANCE` long; what lies more
than `MAX_UPSTREAM` before it is cut off."""

from typing import NamedTuple

import numpy as np

from ...polylines import F8, arc_lengths, points_along
from .access import driven
from .lane import Stretch
from .road import Chain, Road
from .signals import MAX_SIGNAL_DISTANCE

# m of a lane on the roads before the last one: an approach, and far below what a code's points may reach
MAX_UPSTREAM = 300.0
# m between the ends of two pieces of one lane: above it, the link is no continuation
MAX_PIECE_GAP = 2.5


class Piece(NamedTuple):
    """A lane on one road of those that it runs on."""

    road: Road
    lane: int
    chain: Chain
    # m along the whole lane where the piece begins; below 0 where its beginning is cut off
    start: float
    beyond: float  # m of the whole lane after the piece

    def along(self, s: float) -> float:
        """Return m along the whole lane, in driving direction, of a place `s` on the road of the piece."""
        return self.start + self.road.along(self.chain, s)

    @property
    def last_s(self) -> float:
        """The s of the road at which the piece ends, in driving direction."""
        return self.chain[-1][0].end if self.road.forward(self.lane) else self.chain[0][0].start


def followed_upstream(roads: dict[str, Road], last: Road, lane: int, chain: Chain) -> tuple[tuple[Piece, ...], F8]:
    """Return the pieces of a lane that leads into a junction from its last road, the first piece first, and the whole
    line."""
    pieces_found = [(last, lane, chain)]
    line = last.line(chain)

    # Of each piece, with the step to the next one
    lengths = [float(arc_lengths(line)[-1])]

    while sum(lengths) < MAX_SIGNAL_DISTANCE:
        preceding = _preceding_piece(roads, *pieces_found[0])
        if preceding is None or any(preceding[0] is road for road, _, _ in pieces_found):
            break

        preceding_line = preceding[0].line(preceding[2])
        if len(preceding_line) < 2 or np.hypot(*(preceding_line[-1] - line[0])) > MAX_PIECE_GAP:
            break

        joined = np.concatenate(
            [preceding_line if np.hypot(*(preceding_line[-1] - line[0])) > 0.01 else preceding_line[:-1], line]
        )
        lengths.insert(0, float(arc_lengths(joined)[-1]) - sum(lengths))
        pieces_found.insert(0, preceding)
        line = joined

    cut = max(sum(lengths[:-1]) - MAX_UPSTREAM, 0.0)
    if cut:
        stations = arc_lengths(line)
        line = np.concatenate([points_along(line, stations, cut)[None], line[stations > cut + 0.01]])

    starts = np.cumsum([-cut, *lengths])
    pieces = tuple(
        Piece(*row, float(starts[index]), float(starts[-1] - starts[index + 1]))
        for index, row in enumerate(pieces_found)
    )
    return pieces, line


def _preceding_piece(roads: dict[str, Road], road: Road, lane: int, chain: Chain) -> tuple[Road, int, Chain] | None:
    """Return the road before a piece, and its lane that leads onto it; None where another junction lies there, or
    nothing."""
    forward = road.forward(lane)
    section, lane_record = chain[0] if forward else chain[-1]
    if section is not (road.sections[0] if forward else road.sections[-1]):
        return None  # the lane begins on this road

    kind, name, contact = road.link("predecessor" if forward else "successor")
    number = lane_record.before if forward else lane_record.after
    road_before = roads.get(name)

    # "-1" is how the format writes that a road belongs to no junction
    if kind != "road" or road_before is None or road_before.junction not in ("", "-1") or number is None:
        return None

    at_end = road_before.meets_at_end(contact, road.place(np.array([0.0 if forward else road.length]), np.zeros(1))[0])
    if road_before.forward(number) != at_end:
        return None

    chain_before = driven(road_before.chain(number, at_end), at_end)
    return (road_before, number, chain_before) if chain_before else None


def stretches(pieces: tuple[Piece, ...]) -> list[Stretch]:
    """Return where limits and permissions hold along a whole lane, m in driving direction."""
    stretches: list[Stretch] = []
    for piece in pieces:
        for stretch in piece.road.stretches(piece.chain):
            start, end = max(stretch.s_from + piece.start, 0.0), stretch.s_to + piece.start
            if end <= start:
                continue

            # No gap where two roads are not drawn quite to each other
            if stretches:
                stretches[-1] = stretches[-1]._replace(s_to=start)
            stretches.append(Stretch(start, end, stretch.state))

    return stretches
