"""Why a message is refused: the field, its value, the rule it breaks and the remedy, as its sender is told."""

from collections.abc import Callable, Iterable
from math import isfinite, pi
from typing import TypeVar

import msgspec

from ..clock import MS, SECOND
from ..codes.rule import FUELS, STAGES, known_class
from ..errors import CloudctlError
from ..schema import CAR_LENGTH, CAR_WIDTH, MAX_NAME, VERSION, Hello, Sensor, VehicleRequest, VehicleState

T = TypeVar("T")
MAX_TURN = 2 * pi + 1e-3  # rad of a heading; more is no radians
MAX_ETA = 3600 * SECOND  # ahead of now that a vehicle may ask for priority at
NOT_AVAILABLE = (0.0, -1.0)  # m of a length or a width that is not known
MAX_ACCURACY = 30.0  # m; the tracker makes nothing of reports that are less accurate
CLOCK_WRONG = 10_000 * MS  # an age beyond that no network explains: a clock does
FUTURE = 100 * MS  # how far ahead of the node's clock an event may be, after its gateway's offset is taken off


class RejectedMessage(CloudctlError):
    """A message broke a rule. Carries what its sender needs to know."""

    def __init__(self, field: str, value: object, rule: str, remedy: str) -> None:
        super().__init__(rule)
        self.field, self.value, self.rule, self.remedy = field, str(value)[:80], rule, remedy


class StaleMessage(RejectedMessage):
    """A message is too old, or in the future; `age` in ns."""

    age = 0


def check_time(t_rx: int, t: int, offset: int, max_age: int) -> int:
    """Return the event time of `t` (ns, by a clock `offset` ahead). Raises StaleMessage when it is out of bounds at `t_rx`."""
    event = t - offset
    age = t_rx - event
    if -FUTURE <= age <= max_age:
        return event
    cause = ""
    if abs(age) > CLOCK_WRONG:
        cause = f", by a clock taken to be {offset / 1e9:+.3f} s ahead of the node's: it is set wrong, or has stepped since it was compared"
    if age > max_age:
        rule = f"is {age / 1e9:.3f} s old; at most {max_age / 1e9:.1f} s is accepted{cause}"
        why = StaleMessage(
            "t", t, rule, "send at once, in ns of UTC since 1970, and answer sync so that the clock offset is known"
        )
    else:
        why = StaleMessage(
            "t",
            t,
            f"is {-age / 1e9:.3f} s in the future{cause}",
            "set the clock (NTP/PTP), use UTC ns since 1970, and answer sync",
        )
    why.age = age
    raise why


def wrong_version(version: int) -> RejectedMessage:
    """Return the refusal of a message of another protocol version."""
    return RejectedMessage("v", version, f"this node speaks version {VERSION}", "use the client of that version")


def undecodable(error: Exception) -> RejectedMessage:
    """Return the refusal of a body that is not of its kind, naming the field."""
    text, _, path = str(error).partition(" - at `$")
    where = path.rstrip("`").lstrip(".") or "body"
    return RejectedMessage(
        where, text, "does not decode as this kind of message", "see docs/wire.md for the fields and their types"
    )


def each_alone(
    decode: Callable[[bytes], T], field: str, parts: Iterable[bytes], refused: list[RejectedMessage]
) -> list[T]:
    """Return the parts of a message that decode; `refused` takes in why the others do not."""
    good = []
    for k, part in enumerate(parts):
        try:
            good.append(decode(part))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = undecodable(error)
            inner = "" if why.field == "body" else f".{why.field}"
            refused.append(RejectedMessage(f"{field}[{k}]{inner}", why.value, why.rule, why.remedy))
    return good


def unprocessable() -> RejectedMessage:
    """Return the refusal of a message that the node itself failed on."""
    return RejectedMessage(
        "body",
        "",
        "the node could not process it: a fault of the node",
        "report it to the node's operator, who has it in the recording",
    )


def check_vehicle(vehicle: str, version: int) -> None:
    """Raise RejectedMessage for a vehicle's message under a name that is none, or of another protocol version."""
    if not 0 < len(vehicle) <= MAX_NAME:
        raise RejectedMessage(
            "vehicle", vehicle, f"an id has 1 to {MAX_NAME} characters", "give the vehicle another id"
        )
    if version != VERSION:
        raise RejectedMessage(
            "version", version, f"this node speaks version {VERSION}", "use the client of that version"
        )


def check_state(body: VehicleState) -> None:
    """Raise RejectedMessage for a vehicle state whose numbers cannot be."""
    numbers = (body.lat, body.lon, body.speed, body.heading, body.length, body.width, body.accuracy)
    if not all(map(isfinite, numbers)):
        raise RejectedMessage("state", numbers, "every number must be finite", "leave out what is not known")
    if abs(body.heading) > MAX_TURN:
        raise RejectedMessage(
            "heading", body.heading, f"must be radians, within {-MAX_TURN:.2f} .. {MAX_TURN:.2f}",
            "send radians counter-clockwise from east: (90 - degrees clockwise from north) x pi / 180",
        )  # fmt: skip
    for name, value, low, high, remedy in (
        ("lat", body.lat, -90, 90, "send degrees of WGS-84 / CGCS2000"),
        ("lon", body.lon, -180, 180, "send degrees of WGS-84 / CGCS2000"),
        (
            "speed",
            body.speed,
            0,
            100,
            "send m/s, not negative; a figure that means 'not available' is no speed: send no state then",
        ),
        (
            "accuracy",
            body.accuracy,
            0.01,
            MAX_ACCURACY,
            "send one standard deviation in m, or leave it out; a position that is less accurate is on no lane",
        ),
        ("length", body.length, 0.2, 60, "send m, or leave it out"),
        ("width", body.width, 0.1, 10, "send m, or leave it out"),
    ):
        if not low <= value <= high:
            raise RejectedMessage(
                name, value, f"must be within {low} .. {high}", f"{remedy}; docs/advisories.md, vehicle state"
            )


DECLARED = {
    "height": (0.3, 20.0), "mass": (0.001, 1_000.0), "axle_load": (0.001, 100.0), "plate_digit": (0, 9), "emission_stage": STAGES,
}  # what a vehicle may declare for rules, and between what figures  # fmt: skip


NOTHING = (None,) * 6


def undeclared(body: VehicleState) -> dict[str, RejectedMessage]:
    """Return why what a vehicle declares for rules cannot be used, by field. It is taken as not declared: the rest of its state is of use."""
    faults: dict[str, RejectedMessage] = {}
    if (body.height, body.mass, body.axle_load, body.plate_digit, body.emission_stage, body.fuel) == NOTHING:
        return faults
    for name, (low, high) in DECLARED.items():
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            faults[name] = RejectedMessage(
                name,
                value,
                f"must be within {low} .. {high}: taken as not declared",
                "send m, t and whole digits, or leave it out; docs/advisories.md, vehicle state",
            )
    if body.fuel is not None and body.fuel not in FUELS:
        faults["fuel"] = RejectedMessage(
            "fuel",
            body.fuel,
            f"must be one of {', '.join(FUELS)}: taken as not declared",
            "send one of these words, or leave it out",
        )
    return faults


def mended(body: VehicleState) -> VehicleState:
    """Return a vehicle state with a known class, and the usual size where its own means "not available"."""
    kind, length, width = known_class(body.kind), body.length, body.width
    if length in NOT_AVAILABLE:
        length = CAR_LENGTH
    if width in NOT_AVAILABLE:
        width = CAR_WIDTH
    if (kind, length, width) == (body.kind, body.length, body.width):
        return body
    return msgspec.structs.replace(body, kind=kind, length=length, width=width)


def check_request(t_rx: int, body: VehicleRequest) -> None:
    """Raise RejectedMessage for a priority request further ahead than anybody can know."""
    if body.eta > t_rx + MAX_ETA:
        raise RejectedMessage(
            "eta",
            body.eta,
            f"is more than {MAX_ETA // SECOND} s ahead",
            "send ns of UTC since 1970, and ask when you are on your way",
        )


def check_hello(body: Hello) -> None:
    """Raise RejectedMessage for a sensor whose figures cannot be."""
    names = [sensor.id for sensor in body.sensors]
    for k, sensor in enumerate(body.sensors):
        if names.index(sensor.id) != k:
            raise RejectedMessage(f"s[{k}].id", sensor.id, "stands twice", "give each sensor a name of its own")
        for name, value, low, high in _figures(sensor):
            if not (isfinite(value) and low <= value <= high):
                remedy = "send degrees, radians counter-clockwise from east, m and Hz; leave out what is not known"
                raise RejectedMessage(f"s[{k}].{name}", value, f"must be within {low:g} .. {high:g}", remedy)


def _figures(sensor: Sensor) -> list[tuple[str, float, float, float]]:
    optional = [("lat", sensor.lat, -90.0, 90.0), ("lon", sensor.lon, -180.0, 180.0), ("hz", sensor.hz, 0.0, 1000.0)]
    return [
        *((name, value, low, high) for name, value, low, high in optional if value is not None),
        ("heading", sensor.heading, -MAX_TURN, MAX_TURN),
        ("fov", sensor.fov, 0.01, MAX_TURN),
        ("range", sensor.range, 1.0, 2000.0),
    ]
