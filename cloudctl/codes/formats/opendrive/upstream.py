"""A lane of OpenDRIVE before a junction over several roads: mappers cut a road where anything changes, and the last piece may be short.

Lights, stop lines, signs, limits and permissions of a junction may stand on a piece before the last one. A lane is therefore followed
upstream, from road to road by their links, until it is `MAX_BEFORE` long; what lies more than `MAX_UPSTREAM` before it is cut off.
"""

from typing import NamedTuple

import numpy as np

from ...polylines import F8, arc, at
from .access import driven
from .lane import Stretch
from .road import Chain, Road
from .signals import MAX_BEFORE

MAX_UPSTREAM = (
    300.0  # m of a lane on the roads before the last one: an approach, and far below what a code's points may reach
)
MAX_STEP = 2.5  # m between the ends of two pieces of one lane: above it, the link is no continuation


class Piece(NamedTuple):
    """A lane on one road of those that it runs on."""

    road: Road
    lane: int
    chain: Chain
    start: float  # m along the whole lane where the piece begins; below 0 where its beginning is cut off
    beyond: float  # m of the whole lane after the piece

    def along(self, s: float) -> float:
        """Return m along the whole lane, in driving direction, of a place `s` on the road of the piece."""
        return self.start + self.road.along(self.chain, s)

    @property
    def last_s(self) -> float:
        """The s of the road at which the piece ends, in driving direction."""
        return self.chain[-1][0].end if self.road.forward(self.lane) else self.chain[0][0].start


def upstream(roads: dict[str, Road], last: Road, lane: int, chain: Chain) -> tuple[tuple[Piece, ...], F8]:
    """Return the pieces of a lane that leads into a junction from its last road, the first piece first, and the whole line."""
    rows = [(last, lane, chain)]
    whole = last.line(chain)
    sizes = [float(arc(whole)[-1])]  # of each piece, with the step to the next one
    while sum(sizes) < MAX_BEFORE:
        found = _before(roads, *rows[0])
        if found is None or any(found[0] is road for road, _, _ in rows):
            break
        line = found[0].line(found[2])
        if len(line) < 2 or np.hypot(*(line[-1] - whole[0])) > MAX_STEP:
            break
        joined = np.concatenate([line if np.hypot(*(line[-1] - whole[0])) > 0.01 else line[:-1], whole])
        sizes.insert(0, float(arc(joined)[-1]) - sum(sizes))
        rows.insert(0, found)
        whole = joined

    cut = max(sum(sizes[:-1]) - MAX_UPSTREAM, 0.0)
    if cut:
        along = arc(whole)
        whole = np.concatenate([at(whole, along, cut)[None], whole[along > cut + 0.01]])
    starts = np.cumsum([-cut, *sizes])
    pieces = tuple(Piece(*row, float(starts[k]), float(starts[-1] - starts[k + 1])) for k, row in enumerate(rows))
    return pieces, whole


def _before(roads: dict[str, Road], road: Road, lane: int, chain: Chain) -> tuple[Road, int, Chain] | None:
    """Return the road before a piece, and its lane that leads onto it; None where another junction lies there, or nothing."""
    forward = road.forward(lane)
    section, found = chain[0] if forward else chain[-1]
    if section is not (road.sections[0] if forward else road.sections[-1]):
        return None  # the lane begins on this road
    kind, name, contact = road.link("predecessor" if forward else "successor")
    number = found.before if forward else found.after
    before = roads.get(name)
    if kind != "road" or before is None or before.junction not in ("", "-1") or number is None:
        return None
    at_end = before.meets_at_end(contact, road.place(np.array([0.0 if forward else road.length]), np.zeros(1))[0])
    if before.forward(number) != at_end:
        return None
    upper = driven(before.chain(number, at_end), at_end)
    return (before, number, upper) if upper else None


def stretches(pieces: tuple[Piece, ...]) -> list[Stretch]:
    """Return where limits and permissions hold along a whole lane, m in driving direction."""
    out: list[Stretch] = []
    for piece in pieces:
        for row in piece.road.stretches(piece.chain):
            begin, end = max(row.s_from + piece.start, 0.0), row.s_to + piece.start
            if end <= begin:
                continue
            if out:  # no gap where two roads are not drawn quite to each other
                out[-1] = out[-1]._replace(s_to=begin)
            out.append(Stretch(begin, end, row.state))
    return out
