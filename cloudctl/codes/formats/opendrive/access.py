"""Who may use a lane of OpenDRIVE, and what else holds on it: its type, its <access> and <rule> records, as permit and rules of a code."""

from itertools import takewhile

from ...rule import Rule, Target
from ..importing.permits import MOTOR, Permit, permit, span_rules, turn_bans
from .lane import CAR_POOL, NO_STOPPING, State, Stretch, merged, without_limit
from .road import Chain, RoadLane

EVERY_VEHICLE = frozenset((*MOTOR, "bicycle"))
CROWDED = frozenset(("hov", "bus", "emergency"))
USERS = {  # lane type -> who may use it, where no <access> says so
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
        EVERY_VEHICLE,
    ),
    "bus": frozenset(("bus", "emergency")),
    "taxi": frozenset(("taxi", "emergency")),
    "HOV": CROWDED,
    "biking": frozenset(("bicycle",)),
    **dict.fromkeys(("tram", "rail"), frozenset(("tram",))),
}


def is_driven(lane: RoadLane) -> bool:
    """Return whether a lane is one to drive on: by its type, or because it says whom it lets in."""
    return lane.kind in USERS or (
        lane.kind in ("restricted", "special1", "special2", "special3")
        and any(access.only for _, access in lane.records.accesses)
    )


def driven(chain: Chain, from_end: bool) -> Chain:
    """Return the part of a lane, from one end on, that is of types to drive on."""
    rows = chain[::-1] if from_end else chain
    kept = list(takewhile(lambda row: is_driven(row[1]), rows))
    return kept[::-1] if from_end else kept


def lane_permit(state: State) -> Permit:
    """Return who may use a lane where a state holds, of a lane that `is_driven`."""
    base = CROWDED if CAR_POOL in state.notes else USERS.get(state.kind, frozenset())
    only, never = state.access
    users = (base if only is None else only) - never
    text = "for vehicles with several occupants" if base == CROWDED and only is None else ""
    found = permit(users, text, stated=only is not None)
    also = tuple(name for name in ("bicycle", "automated") if name in never and found.kind in ("", "no_entry"))
    if also:
        found = found._replace(kind="no_entry", classes=(*found.classes, *also))
    return found


def lane_rules(key: str, rows: list[Stretch], whole: Permit) -> list[Rule]:
    """Return the rules of a lane but its limits, each with the span where it holds; whole where it holds all along.

    `whole` is the permit of the lane at the junction, which gives its use.
    """
    rules: list[Rule] = []
    rows = merged(rows, without_limit)
    for row in rows:
        target = Target(key) if len(rows) == 1 else Target(key, round(row.s_from, 2), round(row.s_to, 2))
        rules += span_rules(target, lane_permit(row.state), whole)
        if NO_STOPPING in row.state.notes:
            rules.append(Rule("", "no_stopping", (target,)))
    return rules


def connection_rules(key: str, rows: list[Stretch], joined: list[Permit], stopping: bool) -> list[Rule]:
    """Return the rules of a connecting lane: who may not take it of those who may use the lanes it joins, and where nobody may stop.

    `stopping` is whether one may stop at the end of the lane before: a ban that holds there already is not repeated.
    """
    rules = turn_bans(key, joined, [lane_permit(row.state) for row in rows])
    if stopping and any(NO_STOPPING in row.state.notes for row in rows):
        rules.append(Rule("", "no_stopping", (Target(key),)))
    return rules


def may_stop(rows: list[Stretch]) -> bool:
    """Return whether one may stop at the end of a lane."""
    return NO_STOPPING not in rows[-1].state.notes
