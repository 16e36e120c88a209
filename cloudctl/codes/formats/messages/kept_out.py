"""Classes that the rules and the use of each lane and connection admit all along it, as far as a message can express
it.

Messages have no times and no parts for access, and close a lane to all users or to none. So a class counts as kept
out where a rule without hours refuses it on any part, if the rule refuses a class that decides what the lane is for
(`DECIDES`); a ban of trucks, or at night, closes no lane to cars: it is lost, and declared. A lane for bicycles or
pedestrians is for its named uses only, whatever its rules leave open. Rules that rest on plates, fuels, sizes
or a manner of driving (automated, dangerous goods) refuse no class as such, and are not asked."""

from collections.abc import Iterable

from ...model import IntersectionCode, Lane
from ...rule import CLASSES, VEHICLE_CLASSES, Rule
from ...rules import REFUSING_KINDS, RESERVING_KINDS, Vehicle, binds, rule_placements

# May use a closed lane: no message closes one to emergency vehicles, and they are left out of what is compared
EXEMPT_CLASS = "emergency"
ACCESS_CLASSES = tuple(name for name in CLASSES if name in VEHICLE_CLASSES and name != EXEMPT_CLASS)
# That a lane for vehicles is for only where it is shared with them
NON_ROAD_CLASSES = (
    "bicycle",
    "pedestrian",
    "tram",
)
CLASSES_OF_USE: dict[str, tuple[str, ...]] = {
    "vehicle": tuple(name for name in ACCESS_CLASSES if name not in NON_ROAD_CLASSES),
    "bus": ("bus",),
    "bike": ("bicycle",),
    "tram": ("tram",),
    "pedestrian": ("pedestrian",),
}


# Of a use, the class that a lane is open or closed for
DECIDING_CLASS = {
    "vehicle": "car",
    "bus": "bus",
    "bike": "bicycle",
    "tram": "tram",
    "pedestrian": "pedestrian",
}


def refused_classes(code: IntersectionCode) -> dict[str, frozenset[str]]:
    """Return, by lane and connection, the classes of `KINDS` that a rule without hours, which refuses a class that
    decides, refuses on some part of it."""
    refused_by_rule = [refused_by(rule) if rule.calendar is None else () for rule in code.rules]
    lanes = {lane.id: lane for lane in code.lanes}
    refused_by_path = {}

    for path, placements in rule_placements(code).items():
        lane = lanes.get(path)
        uses = (lane.use, *lane.shared) if lane is not None else ("vehicle",)
        deciding = {DECIDING_CLASS[use] for use in uses}

        refused_by_path[path] = frozenset(
            name
            for placement in placements
            if not deciding.isdisjoint(refused_by_rule[placement.rule])
            for name in refused_by_rule[placement.rule]
        )

    return refused_by_path


def refused_by(rule: Rule) -> tuple[str, ...]:
    """Return the classes that a rule keeps out while it holds (a tidal lane: while it does not)."""
    if not rule.mandatory or not (
        rule.kind in REFUSING_KINDS or rule.kind in RESERVING_KINDS or (rule.kind == "tidal_lane" and _has_times(rule))
    ):
        return ()
    return tuple(name for name in ACCESS_CLASSES if binds(rule, Vehicle(name)) is True)


def admitted_classes(use: str, shared: Iterable[str], refused: frozenset[str]) -> tuple[str, ...]:
    """Return the classes that may use a lane always and all along it, by its uses and the classes that its rules
    refuse."""
    classes = {name for name_of_use in (use, *shared) for name in CLASSES_OF_USE[name_of_use]}
    return tuple(name for name in ACCESS_CLASSES if name in classes and name not in refused)


def classes_by_lane(code: IntersectionCode) -> dict[str, tuple[str, ...]]:
    """Return, by lane, the classes that may use it always and all along it."""
    refused = refused_classes(code)
    lanes: tuple[Lane, ...] = code.lanes
    return {lane.id: admitted_classes(lane.use, lane.shared, refused[lane.id]) for lane in lanes}


def _has_times(rule: Rule) -> bool:
    return rule.calendar is not None or rule.valid_from is not None or rule.valid_to is not None
