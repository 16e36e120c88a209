"""Whom the rules and the use of each lane and connection let in all along it, by class of vehicle, as far as a message can say it.

Messages have no times and no parts for access, and close a lane to everybody or to nobody. So a class counts as kept out where a rule without hours refuses it
on any part, if the rule refuses a class that decides what the lane is for (`DECIDES`); a ban of trucks, or at night, closes no lane to cars: it is lost, and
declared. A lane for bicycles or pedestrians is for those only whom its uses name, whatever its rules leave open. Rules that rest on plates, fuels, sizes or a manner of driving
(automated, dangerous goods) refuse no class as such, and are not asked.
"""

from collections.abc import Iterable

from ...model import IntersectionCode, Lane
from ...rule import CLASSES, VEHICLE_CLASSES, Rule
from ...rules import REFUSING, RESERVING, Vehicle, binds, places

ON_DUTY = "emergency"  # may use a closed lane: no message closes one to emergency vehicles, and they are left out of what is compared
KINDS = tuple(name for name in CLASSES if name in VEHICLE_CLASSES and name != ON_DUTY)
OFF_ROAD = ("bicycle", "pedestrian", "tram")  # that a lane for vehicles is for only where it is shared with them
USED_BY: dict[str, tuple[str, ...]] = {
    "vehicle": tuple(name for name in KINDS if name not in OFF_ROAD),
    "bus": ("bus",),
    "bike": ("bicycle",),
    "tram": ("tram",),
    "pedestrian": ("pedestrian",),
}


DECIDES = {
    "vehicle": "car",
    "bus": "bus",
    "bike": "bicycle",
    "tram": "tram",
    "pedestrian": "pedestrian",
}  # of a use, the class that a lane is open or closed for


def kept_out(code: IntersectionCode) -> dict[str, frozenset[str]]:
    """Return, by lane and connection, the classes of `KINDS` that a rule without hours, which refuses a class that decides, refuses on some part of it."""
    refused = [refused_by(rule) if rule.calendar is None else () for rule in code.rules]
    lanes = {lane.id: lane for lane in code.lanes}
    out = {}
    for path, found in places(code).items():
        lane = lanes.get(path)
        uses = (lane.use, *lane.shared) if lane is not None else ("vehicle",)
        deciding = {DECIDES[use] for use in uses}
        out[path] = frozenset(
            name for place in found if not deciding.isdisjoint(refused[place.rule]) for name in refused[place.rule]
        )
    return out


def refused_by(rule: Rule) -> tuple[str, ...]:
    """Return the classes that a rule keeps out while it holds (a tidal lane: while it does not)."""
    if not rule.mandatory or not (
        rule.kind in REFUSING or rule.kind in RESERVING or (rule.kind == "tidal_lane" and _has_times(rule))
    ):
        return ()
    return tuple(name for name in KINDS if binds(rule, Vehicle(name)) is True)


def let_in(use: str, shared: Iterable[str], refused: frozenset[str]) -> tuple[str, ...]:
    """Return the classes that may use a lane always and all along it, by its uses and those whom its rules refuse."""
    named = {name for one in (use, *shared) for name in USED_BY[one]}
    return tuple(name for name in KINDS if name in named and name not in refused)


def lanes_let_in(code: IntersectionCode) -> dict[str, tuple[str, ...]]:
    """Return, by lane, the classes that may use it always and all along it."""
    refused = kept_out(code)
    lanes: tuple[Lane, ...] = code.lanes
    return {lane.id: let_in(lane.use, lane.shared, refused[lane.id]) for lane in lanes}


def _has_times(rule: Rule) -> bool:
    return rule.calendar is not None or rule.valid_from is not None or rule.valid_to is not None
