"""The permitted users of a lane of OpenDRIVE, and what else holds on it: its type, its <access> and <rule> records, as
permit and rules of a code."""

from itertools import takewhile

from ...rule import Rule, Target
from ..importing.permits import MOTOR_CLASSES, Permit, permit_of, span_rules, turn_bans
from .lane import CAR_POOL, NO_STOPPING, State, Stretch, merged, without_limit
from .road import Chain, RoadLane

ALL_VEHICLES = frozenset((*MOTOR_CLASSES, "bicycle"))
CAR_POOL_USERS = frozenset(("hov", "bus", "emergency"))
USERS_OF_LANE_TYPE = {  # lane type -> its permitted users, where no <access> decides
    **dict.fromkeys(
        (
            "driving",
            "entry",
            "exit",
            "onRamp",
            "offRamp",
            "connectingRamp",
            "slipLane",
            "bidirectional",
            "mwyEntry",
            "mwyExit",
            "shared",
        ),
        ALL_VEHICLES,
    ),
    "bus": frozenset(("bus", "emergency")),
    "taxi": frozenset(("taxi", "emergency")),
    "HOV": CAR_POOL_USERS,
    "biking": frozenset(("bicycle",)),
    **dict.fromkeys(("tram", "rail"), frozenset(("tram",))),
}


def is_driven(lane: RoadLane) -> bool:
    """Return whether a lane is one to drive on: by its type, or because its <access> admits users."""
    return lane.kind in USERS_OF_LANE_TYPE or (
        lane.kind in ("restricted", "special1", "special2", "special3")
        and any(access.only for _, access in lane.records.accesses)
    )


def driven(chain: Chain, from_end: bool) -> Chain:
    """Return the part of a lane, from one end on, that is of types to drive on."""
    from_that_end = chain[::-1] if from_end else chain
    driven_part = list(takewhile(lambda row: is_driven(row[1]), from_that_end))
    return driven_part[::-1] if from_end else driven_part


def lane_permit(state: State) -> Permit:
    """Return the permitted users of a lane where a state holds, of a lane that `is_driven`."""
    users_of_type = CAR_POOL_USERS if CAR_POOL in state.notes else USERS_OF_LANE_TYPE.get(state.kind, frozenset())
    allowed_only, refused = state.access
    users = (users_of_type if allowed_only is None else allowed_only) - refused
    text = "for vehicles with several occupants" if users_of_type == CAR_POOL_USERS and allowed_only is None else ""
    granted = permit_of(users, text, stated=allowed_only is not None)
    also_refused = tuple(
        name for name in ("bicycle", "automated") if name in refused and granted.kind in ("", "no_entry")
    )

    if also_refused:
        granted = granted._replace(kind="no_entry", classes=(*granted.classes, *also_refused))

    return granted


def lane_rules(key: str, stretches: list[Stretch], permit_at_junction: Permit) -> list[Rule]:
    """Return the rules of a lane but its limits, each with the span where it holds; whole where it holds all along.

    `permit_at_junction` is the permit of the lane at the junction, which gives its use.
    """
    rules: list[Rule] = []
    stretches = merged(stretches, without_limit)
    for stretch in stretches:
        target = Target(key) if len(stretches) == 1 else Target(key, round(stretch.s_from, 2), round(stretch.s_to, 2))
        rules += span_rules(target, lane_permit(stretch.state), permit_at_junction)
        if NO_STOPPING in stretch.state.notes:
            rules.append(Rule(id="", kind="no_stopping", targets=(target,)))

    return rules


def connection_rules(
    key: str, stretches: list[Stretch], lane_permits: list[Permit], may_stop_before: bool
) -> list[Rule]:
    """Return the rules of a connecting lane: those that may not take it of the permitted users of the lanes it joins,
    and its ban on stopping.

    `may_stop_before` is whether one may stop at the end of the lane before: a ban that holds there already is not
    repeated."""
    rules = turn_bans(key, lane_permits, [lane_permit(stretch.state) for stretch in stretches])
    if may_stop_before and any(NO_STOPPING in stretch.state.notes for stretch in stretches):
        rules.append(Rule(id="", kind="no_stopping", targets=(Target(key),)))

    return rules


def may_stop(stretches: list[Stretch]) -> bool:
    """Return whether one may stop at the end of a lane."""
    return NO_STOPPING not in stretches[-1].state.notes
