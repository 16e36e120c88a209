"""The permitted users of a lane, as other formats give it, in the words of a code: its use, its further uses, and the
rules that keep others out.

`use` distinguishes motor vehicles, buses, trams, bicycles and pedestrians; rules name the motor vehicles admitted. A
user without a class of ours (a high-occupancy vehicle, a delivery van) is kept out by a rule that names only the others
(a closure, where there are none), with a text that names the permitted users.

A lane has one use, that at the intersection, and a connection has none. Access of a part of a lane becomes
rules by `span_rules`, that of a connection by `turn_bans`, whatever the format."""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ...rule import CLASSES, FUELS, Rule, Target
from ...terms import LaneUse

# Motor vehicles of `CLASSES` that other formats know
MOTOR_CLASSES = (
    "car",
    "taxi",
    "bus",
    "coach",
    "truck",
    "motorcycle",
    "emergency",
)
BUS_LANE_CLASSES = frozenset(("bus", "emergency"))  # users of a bus lane whose rule names none
ELECTRIC_FUELS = ("electric", "hydrogen")  # fuels of a car that is driven by electricity alone
COMBUSTION_FUELS = tuple(fuel for fuel in FUELS if fuel not in ELECTRIC_FUELS)
# Users that are a part of the class car -> their fuels
FUELS_OF_CARS = {
    "electric cars": ELECTRIC_FUELS,
    "combustion cars": COMBUSTION_FUELS,
}
# Such users -> fuels of the cars that they are not
FUELS_OF_OTHER_CARS = {
    "electric cars": COMBUSTION_FUELS,
    "combustion cars": ELECTRIC_FUELS,
}


class Permit(NamedTuple):
    """The permitted users of a lane. `kind` is that of the rule that keeps others out ("" for none), `classes` those
    that the rule names.

    `users` are all permitted users, in the words that `permit` was given; `cars` which cars, where not all of them may
    (a word of `CARS`)."""

    use: str
    shared: tuple[str, ...]
    kind: str = ""
    classes: tuple[str, ...] = ()
    text: str = ""
    users: frozenset[str] = frozenset()
    cars: str = ""

    @property
    def refused(self) -> frozenset[str]:
        """The classes that the rule keeps out by name."""
        return frozenset(self.classes if self.kind == "no_entry" else ())


def permit_of(users: Collection[str], text: str, *, stated: bool = True) -> Permit:
    """Return the permit of those the permitted users of a lane: words of `CLASSES`, and any others ("hov"), which have
    no class.

    `text` names the users in the source's words; `stated` is whether the source states them at all, or leaves it to its
    default."""
    car_kinds = [name for name in FUELS_OF_CARS if name in users and "car" not in users]
    all_users = frozenset(users) | ({"car"} if car_kinds else frozenset())
    granted = _permit(all_users, text, stated)._replace(users=all_users)

    return granted._replace(cars=car_kinds[0], text=text) if len(car_kinds) == 1 else granted


def _permit(users: frozenset[str], text: str, stated: bool) -> Permit:
    allowed_by_use = {
        "vehicle": "car" in users,
        "bus": "bus" in users,
        "tram": "tram" in users,
        "bike": "bicycle" in users,
        "pedestrian": "pedestrian" in users,
    }

    uses = [use for use, is_allowed in allowed_by_use.items() if is_allowed]
    motor_users = tuple(name for name in MOTOR_CLASSES if name in users)

    if not users:
        return Permit(use=LaneUse.VEHICLE, shared=(), kind="closure", classes=(), text=text)

    if not ("car" in users or "bus" in users or "tram" in users) and (motor_users or not uses):
        uses.insert(0, "vehicle")  # a lane for some motor vehicles only

    use, shared = uses[0], tuple(uses[1:]) if stated else ()

    if "car" in users:
        missing = tuple(name for name in MOTOR_CLASSES if name not in users)
        if missing:
            return Permit(use=use, shared=shared, kind="no_entry", classes=missing, text=text)
        return Permit(use, shared)

    named_classes = tuple(name for name in CLASSES if name in users)
    if use == LaneUse.BUS:
        return Permit(
            use=use,
            shared=shared,
            kind="bus_lane",
            classes=() if BUS_LANE_CLASSES.issuperset(named_classes) else named_classes,
            text="" if BUS_LANE_CLASSES.issuperset(users) else text,
        )

    if use in (LaneUse.BIKE, LaneUse.PEDESTRIAN):
        # The use excludes the others: these are no motor vehicles
        return Permit(use, shared)
    # Only users without a class of ours: closed to all others, and a rule without classes is a closure
    if not named_classes:
        return Permit(use=use, shared=shared, kind="closure", classes=(), text=text)

    return Permit(use=use, shared=shared, kind="lane_use", classes=named_classes, text=text)


def permit_rules(first: int, permits: Iterable[tuple[str, Permit]]) -> tuple[Rule, ...]:
    """Return the rules of lanes by their ids, one for each permit; they are numbered from `first` on."""
    targets: dict[tuple[str, tuple[str, ...], str, tuple[str, ...]], list[Target]] = {}
    for entity, granted in permits:
        if granted.kind:
            targets.setdefault((granted.kind, granted.classes, granted.text, ()), []).append(Target(entity))
        if granted.cars:
            targets.setdefault(("no_entry", ("car",), granted.text, FUELS_OF_OTHER_CARS[granted.cars]), []).append(
                Target(entity)
            )

    return tuple(
        Rule(
            id=f"R{number}",
            kind=kind,
            targets=tuple(targets[kind, classes, text, fuels]),
            classes=classes,
            text=text,
            fuels=fuels,
        )
        for number, (kind, classes, text, fuels) in enumerate(sorted(targets), first)
    )


def span_rules(target: Target, part_permit: Permit, lane_permit: Permit) -> list[Rule]:
    """Return the rules of a part of a lane, which is for others than the lane at the intersection (`lane_permit`): that
    gives the lane's use."""
    rules = [
        Rule(id="", kind=rule.kind, targets=(target,), classes=rule.classes, text=rule.text, fuels=rule.fuels)
        for rule in permit_rules(first=1, permits=[("", part_permit)])
    ]
    if (
        not part_permit.kind
        and part_permit.use in (LaneUse.BIKE, LaneUse.PEDESTRIAN)
        and part_permit.use != lane_permit.use
    ):
        rules.append(
            Rule(
                id="",
                kind="lane_use",
                targets=(target,),
                classes=_in_class_order(part_permit.users),
                text=part_permit.text,
            )
        )
    elif (
        part_permit.kind in ("", "no_entry")
        and "bicycle" in lane_permit.users - part_permit.users - part_permit.refused
    ):
        rules.append(Rule(id="", kind="no_entry", targets=(target,), classes=("bicycle",), text=part_permit.text))

    return rules


def turn_bans(entity: str, lane_permits: Iterable[Permit], own_permits: Iterable[Permit]) -> list[Rule]:
    """Return the bans of a connection: the permitted users of the lanes that it joins (`lane_permits`), but not all of
    its own parts.

    A connection has no use of its own, so a restriction of its users is always a rule. Where it is closed to most motor
    vehicles, the rule names those excepted, and binds also the vehicles that other formats have no word for. Those on
    foot take no connection of lanes."""
    joined_permits = list(lane_permits)
    users = frozenset.intersection(*(granted.users for granted in joined_permits)) - {"pedestrian"}
    refused = frozenset[str]().union(*(granted.refused for granted in joined_permits))
    car_kinds = {granted.cars for granted in joined_permits}
    rules: list[Rule] = []

    for granted in dict.fromkeys(own_permits):
        banned = (users - granted.users - frozenset(FUELS_OF_CARS)) | (granted.refused - refused)
        if len(granted.users.intersection(MOTOR_CLASSES)) * 2 < len(MOTOR_CLASSES) and banned:
            rules.append(
                Rule(
                    id="",
                    kind="turn_ban",
                    targets=(Target(entity),),
                    except_classes=_in_class_order(granted.users),
                    text=granted.text,
                )
            )
        elif _in_class_order(banned):
            rules.append(
                Rule(
                    id="",
                    kind="turn_ban",
                    targets=(Target(entity),),
                    classes=_in_class_order(banned),
                    text=granted.text,
                )
            )

        if granted.cars and granted.cars not in car_kinds:
            rules.append(
                Rule(
                    id="",
                    kind="turn_ban",
                    targets=(Target(entity),),
                    classes=("car",),
                    fuels=FUELS_OF_OTHER_CARS[granted.cars],
                    text=granted.text,
                )
            )

    return rules


def numbered(first: int, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules with equal ones of different places put together, in order, numbered from `first`
    on."""
    targets_of_rule: dict[Rule, list[Target]] = {}
    for rule in rules:
        targets_of_rule.setdefault(replace(rule, id="", targets=()), []).extend(rule.targets)
    return tuple(
        replace(rule, id=f"R{number}", targets=tuple(targets))
        for number, (rule, targets) in enumerate(targets_of_rule.items(), first)
    )


def _in_class_order(users: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in CLASSES if name in users)
