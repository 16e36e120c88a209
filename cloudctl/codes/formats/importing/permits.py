"""Who may use a lane, as other formats give it, in the words of a code: its use, its further uses, and the rules that keep others out.

`use` tells motor vehicles, buses, trams, bicycles and pedestrians apart; which motor vehicles may, the rules say. Who has no class of
ours (a high-occupancy vehicle, a delivery van) is kept out by a rule that names only the others (a closure, where there are none), with a text that says for whom the lane is.

A lane has one use, that at the intersection, and a connection has none. What a part of a lane says of its users becomes rules by `span_rules`,
what a connection says by `turn_bans`, whatever the format.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from msgspec.structs import replace

from ...rule import CLASSES, FUELS, Rule, Target

MOTOR = (
    "car",
    "taxi",
    "bus",
    "coach",
    "truck",
    "motorcycle",
    "emergency",
)  # motor vehicles of `CLASSES` that other formats know
BUS_LANE = frozenset(("bus", "emergency"))  # who may use a bus lane whose rule names nobody
ELECTRIC = ("electric", "hydrogen")  # fuels of a car that is driven by electricity alone
COMBUSTION = tuple(fuel for fuel in FUELS if fuel not in ELECTRIC)
CARS = {
    "electric cars": ELECTRIC,
    "combustion cars": COMBUSTION,
}  # users that are a part of the class car -> their fuels
OTHER_CARS = {
    "electric cars": COMBUSTION,
    "combustion cars": ELECTRIC,
}  # such users -> fuels of the cars that they are not


class Permit(NamedTuple):
    """Who may use a lane. `kind` is that of the rule that keeps others out ("" for none), `classes` those that the rule names.

    `users` are all who may, in the words that `permit` was given; `cars` which cars, where not all of them may (a word of `CARS`).
    """

    use: str
    shared: tuple[str, ...]
    kind: str = ""
    classes: tuple[str, ...] = ()
    text: str = ""
    users: frozenset[str] = frozenset()
    cars: str = ""

    @property
    def refused(self) -> frozenset[str]:
        """Those whom the rule keeps out by name."""
        return frozenset(self.classes if self.kind == "no_entry" else ())


def permit(users: Collection[str], text: str, *, stated: bool = True) -> Permit:
    """Return the permit of those who may use a lane: words of `CLASSES`, and any others ("hov"), which have no class.

    `text` says for whom the source has the lane; `stated` is whether it says so at all, or leaves it to its default.
    """
    parts = [name for name in CARS if name in users and "car" not in users]
    whole = frozenset(users) | ({"car"} if parts else frozenset())
    found = _permit(whole, text, stated)._replace(users=whole)
    return found._replace(cars=parts[0], text=text) if len(parts) == 1 else found


def _permit(users: frozenset[str], text: str, stated: bool) -> Permit:
    kinds = {
        "vehicle": "car" in users,
        "bus": "bus" in users,
        "tram": "tram" in users,
        "bike": "bicycle" in users,
        "pedestrian": "pedestrian" in users,
    }
    uses = [use for use, may in kinds.items() if may]
    motor = tuple(name for name in MOTOR if name in users)
    if not users:
        return Permit("vehicle", (), "closure", (), text)
    if not ("car" in users or "bus" in users or "tram" in users) and (motor or not uses):
        uses.insert(0, "vehicle")  # a lane for some motor vehicles only
    use, shared = uses[0], tuple(uses[1:]) if stated else ()

    if "car" in users:
        missing = tuple(name for name in MOTOR if name not in users)
        return Permit(use, shared, "no_entry", missing, text) if missing else Permit(use, shared)
    named = tuple(name for name in CLASSES if name in users)
    if use == "bus":
        return Permit(
            use,
            shared,
            "bus_lane",
            () if BUS_LANE.issuperset(named) else named,
            "" if BUS_LANE.issuperset(users) else text,
        )
    if use in ("bike", "pedestrian"):
        return Permit(use, shared)  # the use says it: these are no motor vehicles
    if not named:  # for those only that no class of ours stands for: closed to all others, and a rule that names nobody is a closure
        return Permit(use, shared, "closure", (), text)
    return Permit(use, shared, "lane_use", named, text)


def permit_rules(first: int, permits: Iterable[tuple[str, Permit]]) -> tuple[Rule, ...]:
    """Return the rules of lanes by their ids, one for each permit; they are numbered from `first` on."""
    targets: dict[tuple[str, tuple[str, ...], str, tuple[str, ...]], list[Target]] = {}
    for entity, found in permits:
        if found.kind:
            targets.setdefault((found.kind, found.classes, found.text, ()), []).append(Target(entity))
        if found.cars:
            targets.setdefault(("no_entry", ("car",), found.text, OTHER_CARS[found.cars]), []).append(Target(entity))
    return tuple(
        Rule(f"R{k}", kind, tuple(targets[kind, classes, text, fuels]), classes=classes, text=text, fuels=fuels)
        for k, (kind, classes, text, fuels) in enumerate(sorted(targets), first)
    )


def span_rules(target: Target, own: Permit, whole: Permit) -> list[Rule]:
    """Return the rules of a part of a lane, which is for others than the lane at the intersection (`whole`): that gives the lane's use."""
    rules = [
        Rule("", rule.kind, (target,), classes=rule.classes, text=rule.text, fuels=rule.fuels)
        for rule in permit_rules(1, [("", own)])
    ]
    if not own.kind and own.use in ("bike", "pedestrian") and own.use != whole.use:
        rules.append(Rule("", "lane_use", (target,), classes=_in_order(own.users), text=own.text))
    elif own.kind in ("", "no_entry") and "bicycle" in whole.users - own.users - own.refused:
        rules.append(Rule("", "no_entry", (target,), classes=("bicycle",), text=own.text))
    return rules


def turn_bans(entity: str, before: Iterable[Permit], own: Iterable[Permit]) -> list[Rule]:
    """Return the bans of a connection: those who may use the lanes that it joins (`before`), but not all of its own parts.

    A connection has no use of its own, so who may not take it is always a rule. Where it is closed to most motor vehicles, the rule names
    those excepted, and binds also the vehicles that other formats have no word for. Those on foot take no connection of lanes.
    """
    joined = list(before)
    users = frozenset.intersection(*(found.users for found in joined)) - {"pedestrian"}
    refused = frozenset[str]().union(*(found.refused for found in joined))
    cars = {found.cars for found in joined}
    rules: list[Rule] = []
    for found in dict.fromkeys(own):
        banned = (users - found.users - frozenset(CARS)) | (found.refused - refused)
        if len(found.users.intersection(MOTOR)) * 2 < len(MOTOR) and banned:
            rules.append(
                Rule("", "turn_ban", (Target(entity),), except_classes=_in_order(found.users), text=found.text)
            )
        elif _in_order(banned):
            rules.append(Rule("", "turn_ban", (Target(entity),), classes=_in_order(banned), text=found.text))
        if found.cars and found.cars not in cars:
            rules.append(
                Rule("", "turn_ban", (Target(entity),), classes=("car",), fuels=OTHER_CARS[found.cars], text=found.text)
            )
    return rules


def numbered(first: int, rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return rules with those put together that say the same of different places, in order, numbered from `first` on."""
    alike: dict[Rule, list[Target]] = {}
    for rule in rules:
        alike.setdefault(replace(rule, id="", targets=()), []).extend(rule.targets)
    return tuple(
        replace(rule, id=f"R{k}", targets=tuple(targets)) for k, (rule, targets) in enumerate(alike.items(), first)
    )


def _in_order(users: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in CLASSES if name in users)
