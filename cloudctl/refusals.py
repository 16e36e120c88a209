"""Why a message is refused: the field, its value, the rule it breaks and the remedy, as its sender is told."""

from collections.abc import Sequence
from math import isfinite

from .clock import MS
from .schema import VERSION, Group, VehicleState

CLOCK_WRONG = 10_000 * MS  # an age beyond that no network explains: a clock does
FUTURE = 100 * MS  # how far ahead of the node's clock an event may be, after its gateway's offset is taken off


class Refused(Exception):
    """A message broke a rule. Carries what its sender needs to know."""

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.field, self.value, self.rule, self.remedy = field, str(value)[:80], rule, remedy


class Untimely(Refused):
    """A message is too old, or in the future; `age` in ns."""

    age = 0


class Disordered(Refused):
    """The end times of a signal group are out of order."""

    group = 0


def check_time(t_rx: int, t: int, offset: int, max_age: int) -> int:
    """Return the event time of `t` (ns, by a clock `offset` ahead). Raises Untimely when it is out of bounds at `t_rx`."""
    event = t - offset
    age = t_rx - event
    if -FUTURE <= age <= max_age:
        return event
    cause = ""
    if abs(age) > CLOCK_WRONG:
        cause = f", by a clock taken to be {offset / 1e9:+.3f} s ahead of the node's: it is set wrong, or has stepped since it was compared"
    if age > max_age:
        rule = f"is {age / 1e9:.3f} s old; at most {max_age / 1e9:.1f} s is accepted{cause}"
        why = Untimely("t", t, rule, "send at once, in ns of UTC since 1970, and answer sync so that the clock offset is known")
    else:
        why = Untimely("t", t, f"is {-age / 1e9:.3f} s in the future{cause}", "set the clock (NTP/PTP), use UTC ns since 1970, and answer sync")
    why.age = age
    raise why


def wrong_version(version: int) -> Refused:
    """Return the refusal of a message of another protocol version."""
    return Refused("v", version, f"this node speaks version {VERSION}", "use the client of that version")


def undecodable(error: Exception) -> Refused:
    """Return the refusal of a body that is not of its kind, naming the field."""
    text, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "body"
    return Refused(
        where, text, "does not decode as this kind of message", "see docs/wire.md for the fields and their types"
    )


def check_state(body: VehicleState) -> None:
    """Raise Refused for a vehicle state whose numbers cannot be."""
    numbers = (body.lat, body.lon, body.speed, body.heading, body.length, body.width, body.accuracy)
    if not all(map(isfinite, numbers)):
        raise Refused("state", numbers, "every number must be finite", "leave out what is not known")
    for name, value, low, high in (
        ("lat", body.lat, -90, 90),
        ("lon", body.lon, -180, 180),
        ("speed", body.speed, 0, 100),
        ("accuracy", body.accuracy, 0.01, 100),
        ("length", body.length, 0.2, 60),
    ):
        if not low <= value <= high:
            raise Refused(name, value, f"must be within {low} .. {high}", "see docs/advisories.md, vehicle state")


def check_order(groups: Sequence[Group]) -> None:
    """Raise Disordered for a signal group whose end times are out of order."""
    for group in groups:
        ends = (group.min_end, group.likely_end, group.max_end)
        known = [end for end in ends if end is not None]
        if known != sorted(known):
            why = Disordered(
                f"g[{group.group}]",
                ", ".join(map(str, ends)),
                "min_end <= likely_end <= max_end must hold",
                "check the end times that the controller gives",
            )
            why.group = group.group
            raise why
