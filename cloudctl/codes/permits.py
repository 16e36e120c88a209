"""Who may use a lane, as other formats give it, in the words of a code: its use, its further uses, and the rules that keep others out.

`use` tells motor vehicles, buses, trams, bicycles and pedestrians apart; which motor vehicles may, the rules say. Who has no class of
ours (a high-occupancy vehicle, a delivery van) is kept out by a rule that names only the others (a closure, where there are none), with a text that says for whom the lane is.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from .rule import CLASSES, Rule, Target

MOTOR = ("car", "taxi", "bus", "coach", "truck", "motorcycle", "emergency")  # motor vehicles of `CLASSES` that other formats know
BUS_LANE = frozenset(("bus", "emergency"))  # who may use a bus lane whose rule names nobody


class Permit(NamedTuple):
    """Who may use a lane. `kind` is that of the rule that keeps others out ("" for none), `classes` those that the rule names."""

    use: str
    shared: tuple[str, ...]
    kind: str = ""
    classes: tuple[str, ...] = ()
    text: str = ""


def permit(users: Collection[str], text: str, *, stated: bool = True) -> Permit:
    """Return the permit of those who may use a lane: words of `CLASSES`, and any others ("hov"), which have no class.

    `text` says for whom the source has the lane; `stated` is whether it says so at all, or leaves it to its default.
    """
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
        return Permit(use, shared, "bus_lane", () if BUS_LANE.issuperset(named) else named, "" if BUS_LANE.issuperset(users) else text)
    if use in ("bike", "pedestrian"):
        return Permit(use, shared)  # the use says it: these are no motor vehicles
    if not named:  # for those only that no class of ours stands for: closed to all others, and a rule that names nobody is a closure
        return Permit(use, shared, "closure", (), text)
    return Permit(use, shared, "lane_use", named, text)


def permit_rules(first: int, permits: Iterable[tuple[str, Permit]]) -> tuple[Rule, ...]:
    """Return the rules of lanes (or connections) by their ids, one for each permit; they are numbered from `first` on."""
    targets: dict[tuple[str, tuple[str, ...], str], list[Target]] = {}
    for entity, found in permits:
        if found.kind:
            targets.setdefault((found.kind, found.classes, found.text), []).append(Target(entity))
    return tuple(
        Rule(f"R{k}", kind, tuple(targets[kind, classes, text]), classes=classes, text=text)
        for k, (kind, classes, text) in enumerate(sorted(targets), first)
    )


def without_class(users: Collection[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return those of the users that no class of ours stands for, by the names that a person knows them by."""
    return tuple(sorted(names.get(user, user) for user in users if user not in CLASSES))
