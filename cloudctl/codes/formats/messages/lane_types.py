"""Permitted users of a lane, as messages write them (LaneTypeAttributes, LaneSharing; J2735 and YD/T 3709 alike), and
as a code does.

message                                     code
vehicle                                     use vehicle
vehicle, restrictedToBusUse                 use bus, rule bus_lane
vehicle, restrictedToTaxiUse                rule lane_use for taxis (with buses: use bus, rule for both)
vehicle, hovLaneUseOnly                     rule closure whose text names the users: a code has no occupancy
vehicle, restrictedFromPublicUse            rule lane_use for emergency vehicles
bikeLane, sidewalk, trackedVehicle          use bike, pedestrian, tram (with a rule lane_use for trams and those that
share it)
sharedWith                                  further uses; on a reserved lane its rule names these, too
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...model import IntersectionCode, Lane
from ...rule import CLASSES, Rule
from ...terms import LaneUse
from ..importing.accounting import JsonRecord
from ..importing.permits import MOTOR_CLASSES, permit_of
from .bit_strings import unread_flags
from .kept_out import CLASSES_OF_USE, admitted_classes, refused_by
from .names import LANE_TYPES, SHARING_FLAGS
from .speed_limits import narrowing_fields

# Lane types to travel on, and their use
USE_OF_LANE_TYPE = {
    "vehicle": "vehicle",
    "bikeLane": "bike",
    "sidewalk": "pedestrian",
    "trackedVehicle": "tram",
}
REVOCABLE_FLAG = {
    "vehicle": "isVehicleRevocableLane",
    "bikeLane": "bikeRevocableLane",
    "sidewalk": "sidewalk-RevocableLane",
    "trackedVehicle": "spec-RevocableLane",
}
USE_OF_SHARING = {
    "individualMotorizedVehicleTraffic": "vehicle",
    "busVehicleTraffic": "bus",
    "cyclistVehicleTraffic": "bike",
    "trackedVehicleTraffic": "tram",
    "pedestriansTraffic": "pedestrian",
    "pedestrianTraffic": "pedestrian",
}
TAXI_SHARING = "taxiVehicleTraffic"  # of LaneSharing: no use of its own
CLASSES_SHARING: dict[str, tuple[str, ...]] = {
    "vehicle": MOTOR_CLASSES,
    "bus": ("bus",),
    "bike": ("bicycle",),
    "tram": ("tram",),
    "pedestrian": ("pedestrian",),
}
# Flag of a restricted lane -> the users it admits
CLASS_OF_RESTRICTION = {
    "restrictedToBusUse": "bus",
    "restrictedToTaxiUse": "taxi",
    "hovLaneUseOnly": "hov",
    "restrictedFromPublicUse": "emergency",
}
HIGH_OCCUPANCY, NOT_PUBLIC = "high-occupancy vehicles", "not for public use"
UNREADABLE_ACCESS = "the users of the lane are not understood"
# rules that keep others, or everyone, off a lane
RESERVING_RULE_KINDS = ("bus_lane", "lane_use", "closure")


TURN_FLAGS = {
    "maneuverStraightAllowed": "straight",
    "maneuverLeftAllowed": "left",
    "maneuverRightAllowed": "right",
    "maneuverUTurnAllowed": "u",
}


class LaneAccess(NamedTuple):
    """Permitted users of a lane. `kind`: of the rule that reserves it, "" without one; `classes`: those that the rule
    names."""

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


def read_use(kind: str, flags: JsonRecord, sharing: JsonRecord) -> LaneAccess:
    """Return the permitted users of a lane of a type in `USE_OF_LANE_TYPE`; one whose flags are not understood is
    closed, so that no restriction opens it."""
    unread = unread_flags(flags.values, LANE_TYPES[kind][0])
    if unread:
        for name, value in unread.items():
            flags.unknown(
                name,
                value,
                f"the lane is closed to all, as it might keep others out; flags are {', '.join(LANE_TYPES[kind][0])}",
            )

        return LaneAccess(use=USE_OF_LANE_TYPE[kind], shared=(), kind="closure", classes=(), text=UNREADABLE_ACCESS)

    for name, value in unread_flags(sharing.values, SHARING_FLAGS).items():
        sharing.unknown(name, value, f"it opens the lane to nobody; flags are {', '.join(SHARING_FLAGS)}")

    uses = [use for name, use in USE_OF_SHARING.items() if sharing.flag(name)]
    if kind == "bikeLane" and flags.flag("pedestrianUseAllowed"):
        uses.append(LaneUse.PEDESTRIAN)

    if kind == "sidewalk" and flags.flag("bicyleUseAllowed"):
        uses.append(LaneUse.BIKE)

    # Only a vehicle lane has restrictions; on others the same bits have other meanings
    restricted = [name for name in CLASS_OF_RESTRICTION if kind == "vehicle" and flags.flag(name)]
    if kind in ("bikeLane", "sidewalk") and sharing.flag(TAXI_SHARING) and "vehicle" not in uses:
        sharing.unknown(
            TAXI_SHARING,
            True,
            f"a {kind} for taxis and no other motor vehicles has no use of its own: they are kept out",
        )

    return _access(kind, restricted, tuple(dict.fromkeys(uses)), sharing.flag(TAXI_SHARING))._replace(
        revocable=flags.flag(REVOCABLE_FLAG[kind])
    )


def _access(kind: str, restricted: Sequence[str], uses: tuple[str, ...], taxis: bool) -> LaneAccess:
    """Return the permitted users of a lane, by its type, its restrictions (of `CLASS_OF_RESTRICTION`), and those it is
    shared with."""
    own_use = USE_OF_LANE_TYPE[kind]
    sharing_classes = {name for use in uses for name in CLASSES_SHARING[use]} | ({"taxi"} if taxis else set())

    if own_use == LaneUse.TRAM:
        named = sharing_classes | {"tram"}
        return LaneAccess(
            use=own_use,
            shared=tuple(use for use in uses if use != own_use),
            kind="lane_use",
            classes=tuple(name for name in CLASSES if name in named),
        )

    if own_use != LaneUse.VEHICLE or not restricted:
        return LaneAccess(own_use, tuple(use for use in uses if use != own_use))

    if "hovLaneUseOnly" in restricted:
        text = HIGH_OCCUPANCY
    elif restricted == ["restrictedFromPublicUse"]:
        text = NOT_PUBLIC
    else:
        text = ""

    # A bus lane that taxis share is a lane_use rule: `bus_lane` would keep the taxis out
    granted = permit_of({CLASS_OF_RESTRICTION[name] for name in restricted} | sharing_classes, text, stated=False)
    own_use = "bus" if "restrictedToBusUse" in restricted else "vehicle"
    kind_of_rule = "lane_use" if granted.kind == "bus_lane" and own_use != LaneUse.BUS else granted.kind

    return LaneAccess(
        use=own_use,
        shared=tuple(use for use in uses if use != own_use),
        kind=kind_of_rule,
        classes=granted.classes,
        text=granted.text,
    )


class WrittenUse(NamedTuple):
    """A lane's type as a message writes it: its name, the flags set, those of LaneSharing, and the rules that these
    carry."""

    kind: str
    flags: tuple[str, ...]
    sharing: tuple[str, ...]
    carried: tuple[str, ...]


def write_use(lane: Lane, rules: Sequence[Rule], refused: frozenset[str]) -> WrittenUse:
    """Return how a message writes the permitted users of a lane; `rules` are those that reserve it at all times,
    `refused` the classes that its rules keep out at any.

    Of what can be written, that comes first which our reader makes the rule of; no type and no sharing is written that
    admits a class that is refused. Where every one of them would, the lane is written as not for public use."""
    kind = {"bike": "bikeLane", "pedestrian": "sidewalk", "tram": "trackedVehicle"}.get(lane.use, "vehicle")
    uses = tuple(use for use in dict.fromkeys(USE_OF_SHARING.values()) if use in lane.shared and use != lane.use)
    # The users that no rule keeps out
    unrefused_uses = tuple(use for use in uses if refused.isdisjoint(CLASSES_OF_USE[use]))
    own_flags = ("restrictedToBusUse",) if lane.use == LaneUse.BUS else ()

    for rule in rules if kind in ("vehicle", "trackedVehicle") else ():
        for restricted, shared, taxis in _ways_to_write(kind, own_flags, (uses, unrefused_uses)):
            if "hovLaneUseOnly" in restricted and HIGH_OCCUPANCY not in rule.text:
                # A lane that is closed to all is not one for those
                continue

            read_back = _access(kind, restricted, shared, taxis)
            if (read_back.use, read_back.kind, {*read_back.classes}) == (
                lane.use,
                rule.kind,
                {*rule.classes},
            ) and refused.isdisjoint(_admitted(read_back)):
                return _written_use(
                    lane=lane, kind=kind, restricted=restricted, shared=shared, taxis=taxis, carried=(rule.id,)
                )

    for shared in (uses, unrefused_uses):
        if refused.isdisjoint(_admitted(_access(kind, own_flags, shared, taxis=False))):
            return _written_use(lane, kind, own_flags, shared, taxis=False)

    return _written_use(
        lane,
        "vehicle",
        ("restrictedFromPublicUse",),
        unrefused_uses if lane.use == LaneUse.VEHICLE else (),
        taxis=False,
    )


def _ways_to_write(
    kind: str, own_flags: tuple[str, ...], sharing: Sequence[tuple[str, ...]]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], bool]]:
    """Yield what a lane type can be written with: its restrictions, the uses it is shared with, and whether taxis share
    it."""
    for restriction in (
        ((), ("restrictedToTaxiUse",), ("hovLaneUseOnly",), ("restrictedFromPublicUse",))
        if kind == "vehicle"
        else ((),)
    ):
        for shared in dict.fromkeys(sharing):
            for taxis in (False, True):
                yield tuple(sorted({*own_flags, *restriction})), shared, taxis


def _admitted(read: LaneAccess) -> tuple[str, ...]:
    """Return the classes that a lane lets in when it is read."""
    rule = Rule(id="", kind=read.kind, targets=(), classes=read.classes)
    return admitted_classes(read.use, read.shared, frozenset(refused_by(rule)) if read.kind else frozenset())


def _written_use(
    lane: Lane, kind: str, restricted: Sequence[str], shared: Sequence[str], taxis: bool, carried: tuple[str, ...] = ()
) -> WrittenUse:
    flags = ((REVOCABLE_FLAG[kind],) if lane.revocable else ()) + tuple(restricted)
    sharing = tuple(name for name, use in USE_OF_SHARING.items() if use in shared and name != "pedestrianTraffic")
    return WrittenUse(kind=kind, flags=flags, sharing=sharing + ((TAXI_SHARING,) if taxis else ()), carried=carried)


def standing_rules(code: IntersectionCode) -> dict[str, list[Rule]]:
    """Return the rules that reserve each lane at all times, on its whole length; those of its link, too."""
    rules_of_lane: dict[str, list[Rule]] = {}
    lanes_of_link: dict[str, list[str]] = {}

    for lane in code.lanes:
        rules_of_lane[lane.id] = []
        lanes_of_link.setdefault(lane.link, []).append(lane.id)

    for rule in code.rules:
        if (
            rule.kind not in RESERVING_RULE_KINDS
            or not always(rule)
            or (rule.kind == "closure" and (rule.classes or rule.except_classes))
        ):
            continue

        for target in rule.targets:
            if target.s_from is None and target.s_to is None:
                for lane_id in (
                    [target.entity]
                    if target.entity in rules_of_lane
                    else list(rules_of_lane)
                    if target.entity == "code"
                    else lanes_of_link.get(target.entity, [])
                ):
                    rules_of_lane[lane_id].append(rule)

    return rules_of_lane


def always(rule: Rule) -> bool:
    """Return whether a rule holds at all times, for all that its classes name."""
    return rule.calendar is None and not narrowing_fields(rule)
