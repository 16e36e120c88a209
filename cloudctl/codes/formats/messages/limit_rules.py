"""The rule that a limit of a message makes, beside the lane's own speed; what of it is guessed or dropped enters the report."""

from collections.abc import Iterator

from ...findings import Loss
from ...rule import Rule, Target
from ..importing.build import RawCode
from .speed_limits import CHILDREN, KINDS, NO_KIND, night_calendar


def limit_rule(raw: RawCode, name: str, place: Target, value: float) -> Iterator[Rule]:
    """Yield the rule of a limit (m/s) of a type other than vehicleMaxSpeed at a place: a lane, by its key."""
    if name in NO_KIND:
        raw.losses.add(Loss("dropped", raw.name, f"{name} of {value:.2f} m/s: {NO_KIND[name]}"))
        return
    if name == CHILDREN:
        raw.losses.add(Loss("differs", raw.name, f"{name} holds while children are there: taken as at all times"))
    kind = KINDS[name]
    if kind.night:
        raw.losses.add(Loss("guessed", raw.name, f"{name} does not say when night is: 18:00 to 07:00 at that place"))
    yield Rule("", kind.kind, (place,), value, kind.classes, calendar=night_calendar(raw.ref) if kind.night else None)
