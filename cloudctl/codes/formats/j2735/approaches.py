"""The approaches of an intersection of a MAP: which a lane belongs to, and those that lead nowhere."""

from ...findings import Loss, LossKind
from ...terms import LaneUse, LinkRole
from ..importing.accounting import JsonRecord
from ..importing.raw import RawCode


def approach_of(lane: JsonRecord, name: str, number: int) -> str:
    """Return the approach of a lane; one of its own where the message gives none, or no number."""
    approach = lane.get(name)
    if isinstance(approach, int) or (isinstance(approach, str) and approach.isdecimal()):
        return str(approach)

    if approach is not None:
        lane.unknown(name, approach, "the lane stands by itself")
    return f"lane {number}"


def leave_out_blind_approaches(raw: RawCode) -> None:
    """Leave out the driven lanes of roads in which nothing leads through the intersection: no code may hold
    them."""
    lanes_with_movements = {movement.start for movement in raw.moves}

    for approach in sorted(
        {lane.approach for lane in raw.lanes if lane.role == LinkRole.INGRESS and lane.use != LaneUse.PEDESTRIAN}
    ):
        lanes = [lane for lane in raw.lanes if lane.approach == approach and lane.role == LinkRole.INGRESS]
        if not any(lane.key in lanes_with_movements for lane in lanes):
            raw.losses.add(
                Loss(
                    what=LossKind.DROPPED,
                    entity=raw.name,
                    detail=f"approach {approach} leads nowhere: its lanes are left out",
                )
            )

            dropped_keys = {lane.key for lane in lanes}
            raw.lanes = [lane for lane in raw.lanes if lane.key not in dropped_keys]
            # Each has one target yet
            raw.rules = [rule for rule in raw.rules if rule.targets[0].entity not in dropped_keys]
