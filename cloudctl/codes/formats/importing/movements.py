"""Paths, turns and conflicts of the movements that an importer read, as far as the source does not give them."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from ...findings import Loss, LossKind
from ...model import Conflict
from ...polylines import F8, meeting_point
from .clusters import unit_vector
from .raw import RawCode, RawMove

# A movement that bends less is straight; more is a turn back
MAX_STRAIGHT_ANGLE, MIN_U_TURN_ANGLE = np.radians(35), np.radians(150)
# Right of way where the source gives none: the movement of higher rank yields to that of lower rank
YIELD_RANK = {"straight": 0, "right": 1, "left": 2, "u": 3}
YIELD_RANK_LEFT_HAND = {"straight": 0, "left": 1, "right": 2, "u": 3}


def draw_paths(raw: RawCode) -> None:
    """Draw the paths that are missing, and read the turns."""
    lane_by_key = {lane.key: lane for lane in raw.lanes}
    for move in raw.moves:
        lane_out, lane_in = lane_by_key[move.start].xy, lane_by_key[move.end].xy
        leaving, entering = unit_vector(lane_out[-1] - lane_out[-2]), unit_vector(lane_in[1] - lane_in[0])

        if move.xy is None:
            raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=raw.name,
                    detail="paths through the intersection are curves from lane to lane: the source has none",
                )
            )

            # A cubic Bezier curve that touches both lanes; a quarter circle would have handles of 0.39 of its chord
            handle_length = 0.4 * float(np.hypot(*(lane_in[0] - lane_out[-1])))
            share = np.linspace(0, 1, 9)[:, None]

            p0, p1, p2, p3 = (
                lane_out[-1],
                lane_out[-1] + leaving * handle_length,
                lane_in[0] - entering * handle_length,
                lane_in[0],
            )

            move.xy = (
                (1 - share) ** 3 * p0
                + 3 * (1 - share) ** 2 * share * p1
                + 3 * (1 - share) * share**2 * p2
                + share**3 * p3
            )

        if not move.turn:
            move.turn = _turn(
                float(np.arctan2(leaving[0] * entering[1] - leaving[1] * entering[0], leaving @ entering))
            )


def _turn(angle: float) -> str:
    """Return the turn of a movement that bends by `angle`, radians, to the left."""
    if abs(angle) < MAX_STRAIGHT_ANGLE:
        return "straight"
    if abs(angle) > MIN_U_TURN_ANGLE:
        return "u"
    return "left" if angle > 0 else "right"


def drawn_path(move: RawMove) -> F8:
    """Return the path of a movement, after `draw_paths`."""
    if move.xy is None:
        raise ValueError("paths are drawn first")
    return move.xy


def conflicts(raw: RawCode) -> Iterator[Conflict]:
    """Yield where paths of different lanes cross or merge. The right of way is the source's, or follows the turns."""
    if raw.yields is None and len(raw.moves) > 1:
        raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=raw.name,
                detail="who yields follows the turns: straight before "
                f"{'left before right' if raw.left_hand else 'right before left'} before turning back",
            )
        )

    rank = YIELD_RANK_LEFT_HAND if raw.left_hand else YIELD_RANK
    for (index, first), (other_index, second) in combinations(enumerate(raw.moves), 2):
        if first.start == second.start:
            continue

        kind, s_a, s_b, gap = meeting_point(drawn_path(first), drawn_path(second), first.end == second.end)
        if gap > 0.1 and kind == "cross":
            continue

        by_turn = rank[first.turn] > rank[second.turn], rank[second.turn] > rank[first.turn]
        if raw.yields is None:
            yields = by_turn
        else:
            yields = (raw.yields.get((index, other_index), False), raw.yields.get((other_index, index), False))

        if (index, other_index) in raw.stated or (other_index, index) in raw.stated:
            yields = raw.stated.get((index, other_index), False), raw.stated.get((other_index, index), False)

        yield Conflict(f"C{index + 1}", f"C{other_index + 1}", kind, round(s_a, 2), round(s_b, 2), *yields)
