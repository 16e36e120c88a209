"""The rule that a limit of a message makes, beside the lane's own speed; what of it is guessed or dropped enters the
report."""

from collections.abc import Iterator

from ...findings import Loss
from ...rule import Rule, Target
from ..importing.build import RawCode
from .speed_limits import CHILDREN_LIMIT, LIMIT_KINDS, LIMITS_WITHOUT_RULE, night_calendar


def limit_rule(raw: RawCode, name: str, target: Target, value: float) -> Iterator[Rule]:
    """Yield the rule of a limit (m/s) of a type other than vehicleMaxSpeed at a place: a lane, by its key."""
    if name in LIMITS_WITHOUT_RULE:
        raw.losses.add(
            Loss(what="dropped", entity=raw.name, detail=f"{name} of {value:.2f} m/s: {LIMITS_WITHOUT_RULE[name]}")
        )
        return

    if name == CHILDREN_LIMIT:
        raw.losses.add(
            Loss(
                what="differs", entity=raw.name, detail=f"{name} holds while children are there: taken as at all times"
            )
        )

    limit_kind = LIMIT_KINDS[name]
    if limit_kind.night:
        raw.losses.add(
            Loss(
                what="guessed",
                entity=raw.name,
                detail=f"{name} does not say when night is: 18:00 to 07:00 at that place",
            )
        )

    yield Rule(
        id="",
        kind=limit_kind.kind,
        targets=(target,),
        value=value,
        classes=limit_kind.classes,
        calendar=night_calendar(raw.ref) if limit_kind.night else None,
    )
