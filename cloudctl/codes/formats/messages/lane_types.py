"""Who a lane is for, as messages write it (LaneTypeAttributes, LaneSharing; J2735 and YD/T 3709 alike), and as a code does.

message                                     code
vehicle                                     use vehicle
vehicle, restrictedToBusUse                 use bus, rule bus_lane
vehicle, restrictedToTaxiUse                rule lane_use for taxis (with buses: use bus, rule for both)
vehicle, hovLaneUseOnly                     rule closure that says for whom: a code cannot count occupants
vehicle, restrictedFromPublicUse            rule lane_use for emergency vehicles
bikeLane, sidewalk, trackedVehicle          use bike, pedestrian, tram (with a rule lane_use for trams and those who share it)
sharedWith                                  further uses; on a reserved lane its rule names these, too
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...model import IntersectionCode, Lane
from ...rule import CLASSES, Rule
from ..importing.accounting import JsonRecord
from ..importing.permits import MOTOR, permit
from .bit_strings import unread_flags
from .kept_out import USED_BY, let_in, refused_by
from .speed_limits import narrowed
from .tree import LANE_TYPES, SHARING

TRAVELLED = {
    "vehicle": "vehicle",
    "bikeLane": "bike",
    "sidewalk": "pedestrian",
    "trackedVehicle": "tram",
}  # lane types to travel on, and their use
REVOCABLE = {
    "vehicle": "isVehicleRevocableLane",
    "bikeLane": "bikeRevocableLane",
    "sidewalk": "sidewalk-RevocableLane",
    "trackedVehicle": "spec-RevocableLane",
}
SHARED_USES = {
    "individualMotorizedVehicleTraffic": "vehicle",
    "busVehicleTraffic": "bus",
    "cyclistVehicleTraffic": "bike",
    "trackedVehicleTraffic": "tram",
    "pedestriansTraffic": "pedestrian",
    "pedestrianTraffic": "pedestrian",
}
TAXIS = "taxiVehicleTraffic"  # of LaneSharing: no use of its own
USE_CLASSES: dict[str, tuple[str, ...]] = {
    "vehicle": MOTOR,
    "bus": ("bus",),
    "bike": ("bicycle",),
    "tram": ("tram",),
    "pedestrian": ("pedestrian",),
}
RESTRICTED = {
    "restrictedToBusUse": "bus",
    "restrictedToTaxiUse": "taxi",
    "hovLaneUseOnly": "hov",
    "restrictedFromPublicUse": "emergency",
}  # and for whom
HIGH_OCCUPANCY, NOT_PUBLIC = "high-occupancy vehicles", "not for public use"
NOT_UNDERSTOOD = "who may use the lane is not understood"
RESERVED_KINDS = ("bus_lane", "lane_use", "closure")  # rules that keep others, or everyone, off a lane


TURN_FLAGS = {
    "maneuverStraightAllowed": "straight",
    "maneuverLeftAllowed": "left",
    "maneuverRightAllowed": "right",
    "maneuverUTurnAllowed": "u",
}


class LaneUse(NamedTuple):
    """Who a lane is for. `kind`: of the rule that reserves it, "" without one; `classes`: whom that rule names."""

    use: str
    shared: tuple[str, ...] = ()
    kind: str = ""
    classes: tuple[str, ...] = ()
    text: str = ""
    revocable: bool = False


def read_lane_type(attributes: JsonRecord) -> tuple[str, JsonRecord]:
    """Return the lane's type and its flags. Raises CodeError where it has none, or one that is not known."""
    name, flags = attributes.child("laneType").one()
    if name not in LANE_TYPES:
        raise attributes.refuse("laneType", name, f"must be one of {', '.join(LANE_TYPES)}", "correct the sender")
    if not isinstance(flags, JsonRecord):
        raise attributes.refuse("laneType", f"{name} {flags}", "must be a bit string", "correct the sender")
    return name, flags


def read_turns(maneuver: JsonRecord) -> list[str]:
    """Return the turns that a bit string of maneuvers allows; its other flags are left for the report."""
    return [turn for flag, turn in TURN_FLAGS.items() if maneuver.flag(flag)]


def read_use(kind: str, flags: JsonRecord, sharing: JsonRecord) -> LaneUse:
    """Return who a lane of a type in `TRAVELLED` is for; one whose flags are not understood is for nobody, so that no restriction opens it."""
    unread = unread_flags(flags.values, LANE_TYPES[kind][0])
    if unread:
        for name, value in unread.items():
            flags.unknown(
                name,
                value,
                f"the lane is closed to all, as it might keep others out; flags are {', '.join(LANE_TYPES[kind][0])}",
            )
        return LaneUse(TRAVELLED[kind], (), "closure", (), NOT_UNDERSTOOD)
    for name, value in unread_flags(sharing.values, SHARING).items():
        sharing.unknown(name, value, f"it opens the lane to nobody; flags are {', '.join(SHARING)}")
    uses = [use for name, use in SHARED_USES.items() if sharing.flag(name)]
    if kind == "bikeLane" and flags.flag("pedestrianUseAllowed"):
        uses.append("pedestrian")
    if kind == "sidewalk" and flags.flag("bicyleUseAllowed"):
        uses.append("bike")
    restricted = [name for name in RESTRICTED if kind == "vehicle" and flags.flag(name)]
    if kind in ("bikeLane", "sidewalk") and sharing.flag(TAXIS) and "vehicle" not in uses:
        sharing.unknown(
            TAXIS, True, f"a {kind} for taxis and no other motor vehicles has no use of its own: they are kept out"
        )
    return _use(kind, restricted, tuple(dict.fromkeys(uses)), sharing.flag(TAXIS))._replace(
        revocable=flags.flag(REVOCABLE[kind])
    )


def _use(kind: str, restricted: Sequence[str], uses: tuple[str, ...], taxis: bool) -> LaneUse:
    """Return who a lane is for, by its type, its restrictions (of `RESTRICTED`), and those it is shared with."""
    own = TRAVELLED[kind]
    also = {name for use in uses for name in USE_CLASSES[use]} | ({"taxi"} if taxis else set())
    if own == "tram":
        named = also | {"tram"}
        return LaneUse(
            own, tuple(use for use in uses if use != own), "lane_use", tuple(name for name in CLASSES if name in named)
        )
    if own != "vehicle" or not restricted:
        return LaneUse(own, tuple(use for use in uses if use != own))
    text = (
        HIGH_OCCUPANCY
        if "hovLaneUseOnly" in restricted
        else NOT_PUBLIC
        if restricted == ["restrictedFromPublicUse"]
        else ""
    )
    found = permit({RESTRICTED[name] for name in restricted} | also, text, stated=False)
    own = "bus" if "restrictedToBusUse" in restricted else "vehicle"
    kind_of_rule = "lane_use" if found.kind == "bus_lane" and own != "bus" else found.kind
    return LaneUse(own, tuple(use for use in uses if use != own), kind_of_rule, found.classes, found.text)


class WrittenUse(NamedTuple):
    """A lane's type as a message writes it: its name, the flags set, those of LaneSharing, and the rules that these carry."""

    kind: str
    flags: tuple[str, ...]
    sharing: tuple[str, ...]
    carried: tuple[str, ...]


def write_use(lane: Lane, rules: Sequence[Rule], refused: frozenset[str]) -> WrittenUse:
    """Return how a message writes who a lane is for; `rules` are those that reserve it at all times, `refused` whom its rules keep out at any.

    Of what can be written, that comes first which our reader makes the rule of; no type and no sharing is written that lets in a class that is refused.
    Where every one of them would, the lane is written as not for public use.
    """
    kind = {"bike": "bikeLane", "pedestrian": "sidewalk", "tram": "trackedVehicle"}.get(lane.use, "vehicle")
    uses = tuple(use for use in dict.fromkeys(SHARED_USES.values()) if use in lane.shared and use != lane.use)
    fewer = tuple(use for use in uses if refused.isdisjoint(USED_BY[use]))  # those whom no rule keeps out
    own = ("restrictedToBusUse",) if lane.use == "bus" else ()

    for rule in rules if kind in ("vehicle", "trackedVehicle") else ():
        for restricted, shared, taxis in _ways(kind, own, (uses, fewer)):
            if "hovLaneUseOnly" in restricted and HIGH_OCCUPANCY not in rule.text:
                continue  # a lane that is closed to all is not one for those
            read = _use(kind, restricted, shared, taxis)
            if (read.use, read.kind, {*read.classes}) == (lane.use, rule.kind, {*rule.classes}) and refused.isdisjoint(
                _opened(read)
            ):
                return _written(lane, kind, restricted, shared, taxis, (rule.id,))

    for shared in (uses, fewer):
        if refused.isdisjoint(_opened(_use(kind, own, shared, False))):
            return _written(lane, kind, own, shared, False)
    return _written(lane, "vehicle", ("restrictedFromPublicUse",), fewer if lane.use == "vehicle" else (), False)


def _ways(
    kind: str, own: tuple[str, ...], shares: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], bool]]:
    """Yield what a lane type can be written with: its restrictions, the uses it is shared with, and whether taxis share it."""
    for more in (
        ((), ("restrictedToTaxiUse",), ("hovLaneUseOnly",), ("restrictedFromPublicUse",))
        if kind == "vehicle"
        else ((),)
    ):
        for shared in dict.fromkeys(shares):
            for taxis in (False, True):
                yield tuple(sorted({*own, *more})), shared, taxis


def _opened(read: LaneUse) -> tuple[str, ...]:
    """Return the classes that a lane lets in when it is read."""
    rule = Rule("", read.kind, (), classes=read.classes)
    return let_in(read.use, read.shared, frozenset(refused_by(rule)) if read.kind else frozenset())


def _written(
    lane: Lane, kind: str, restricted: Sequence[str], shared: Sequence[str], taxis: bool, carried: tuple[str, ...] = ()
) -> WrittenUse:
    flags = ((REVOCABLE[kind],) if lane.revocable else ()) + tuple(restricted)
    sharing = tuple(name for name, use in SHARED_USES.items() if use in shared and name != "pedestrianTraffic")
    return WrittenUse(kind, flags, sharing + ((TAXIS,) if taxis else ()), carried)


def standing_rules(code: IntersectionCode) -> dict[str, list[Rule]]:
    """Return the rules that reserve each lane at all times, on its whole length; those of its link, too."""
    lanes: dict[str, list[Rule]] = {}
    of_link: dict[str, list[str]] = {}
    for lane in code.lanes:
        lanes[lane.id] = []
        of_link.setdefault(lane.link, []).append(lane.id)
    for rule in code.rules:
        if (
            rule.kind not in RESERVED_KINDS
            or not always(rule)
            or (rule.kind == "closure" and (rule.classes or rule.except_classes))
        ):
            continue
        for target in rule.targets:
            if target.s_from is None and target.s_to is None:
                for lane_id in (
                    [target.entity]
                    if target.entity in lanes
                    else list(lanes)
                    if target.entity == "code"
                    else of_link.get(target.entity, [])
                ):
                    lanes[lane_id].append(rule)
    return lanes


def always(rule: Rule) -> bool:
    """Return whether a rule holds at all times, for everyone whom its classes name."""
    return rule.calendar is None and not narrowed(rule)
