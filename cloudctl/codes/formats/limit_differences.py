"""Limits of a code beside those of its export: what holds for a class at a place of a lane or connection."""

from collections.abc import Iterator
from itertools import pairwise

from ..compiled.code import local_lines
from ..model import IntersectionCode, Lane
from ..polylines import arc_lengths
from ..rules import SPEED_CAP_KINDS, RulePlacement, Vehicle, binds
from ..terms import LaneUse
from .comparison import STOP_TOLERANCE, Comparison
from .differences import Difference, speed_difference
from .held_limits import limits_held
from .importing.permits import MOTOR_CLASSES
from .messages.kept_out import CLASSES_OF_USE
from .messages.limit_profile import SPECIAL_CLASSES
from .messages.speed_limits import SPEED_STEP

# Classes whose limits are compared
COMPARED_CLASSES = (
    *(name for name in MOTOR_CLASSES if name not in SPECIAL_CLASSES),
    "automated",
)


def limit_differences(compared: Comparison) -> Iterator[Difference]:
    """Yield where what holds for a class at a place of a lane was raised, or lowered beyond rounding."""
    rules = compared.places
    for lane in compared.code.lanes:
        other = compared.back_lanes.get(compared.pairing.lanes.get(lane.id, ""))
        if other is None or lane.use == LaneUse.PEDESTRIAN:
            continue

        length = float(arc_lengths(local_lines(compared.origin, [other.points])[0])[-1])
        cuts = sorted(
            {
                0.0,
                length,
                *(
                    min(s, length)
                    for side, name in ((0, lane.id), (1, other.id))
                    for placement in rules[side][name]
                    for s in (placement.s_from, placement.s_to)
                ),
            }
        )

        for low, high in pairwise(cuts):
            if high - low < 2 * STOP_TOLERANCE:
                continue
            s = (low + high) / 2
            yield from _limits_at(compared, lane, other, s)

    for connection in compared.code.connections:
        partner = compared.connections.get(connection.id)
        if partner is not None:
            yield from _caps(
                "connections.speed",
                connection.id,
                (compared.code, rules[0][connection.id], connection.speed),
                (compared.back, rules[1][partner.id], partner.speed),
                s=None,
            )


def _limits_at(compared: Comparison, lane: Lane, other: Lane, s: float) -> Iterator[Difference]:
    """Yield how the limits of a place changed, once for the classes for which they did alike."""
    kinds = dict.fromkeys((*COMPARED_CLASSES, *CLASSES_OF_USE[lane.use]))
    pairs = {
        kind: (
            limits_held(compared.code, compared.places[0][lane.id], lane.speed, kind, s),
            limits_held(compared.back, compared.places[1][other.id], other.speed, kind, s),
        )
        for kind in kinds
    }

    for before, after in dict.fromkeys(pairs.values()):
        named = [kind for kind, pair in pairs.items() if pair == (before, after)]
        entity = f"{lane.id} at {s:.0f} m" + ("" if len(named) == len(pairs) else f" for {', '.join(named)}")
        yield from speed_difference("lanes.limit", entity, before.usual, after.usual)

        if after.greatest < before.greatest - SPEED_STEP - 1e-9:
            yield Difference(
                field="lanes.limit",
                what="lowered",
                entity=entity,
                before=f"{before.greatest:g} at times",
                after=f"{after.greatest:g}",
            )

        if after.lowest > before.lowest + 1e-9:
            yield Difference(
                field="lanes.limit",
                what="raised",
                entity=entity,
                before=f"{before.lowest:g} at times",
                after=f"{after.lowest:g}",
            )


def _caps(
    field: str,
    entity: str,
    before: tuple[IntersectionCode, list[RulePlacement], float],
    after: tuple[IntersectionCode, list[RulePlacement], float],
    s: float | None,
) -> Iterator[Difference]:
    """Yield how the lowest cap of a place changed, once for the classes for which it did alike."""
    caps = {kind: (_lowest(*before, kind, s), _lowest(*after, kind, s)) for kind in COMPARED_CLASSES}
    for low, high in dict.fromkeys(caps.values()):
        named = [kind for kind, pair in caps.items() if pair == (low, high)]
        yield from speed_difference(
            field, entity if len(named) == len(caps) else f"{entity} for {', '.join(named)}", low, high
        )


def _lowest(code: IntersectionCode, placements: list[RulePlacement], speed: float, kind: str, s: float | None) -> float:
    """Return the lowest cap, at any time, for a class at a place; at any place without `s`."""
    vehicle = Vehicle("car", automated=True) if kind == "automated" else Vehicle(kind)
    rules = [
        code.rules[placement.rule] for placement in placements if s is None or placement.s_from <= s <= placement.s_to
    ]

    return min(
        [
            speed,
            *(
                rule.value
                for rule in rules
                if rule.kind in SPEED_CAP_KINDS
                and rule.value is not None
                and rule.mandatory
                and binds(rule, vehicle) is not False
            ),
        ]
    )
