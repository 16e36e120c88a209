"""Checks of the values in a vehicle's message that decodes."""

from math import isfinite, pi
from typing import NamedTuple

import msgspec

from ..clock import SECOND
from ..codes.rule import FUELS, STAGES, known_class
from ..schema import CAR_LENGTH, CAR_WIDTH, MAX_NAME, VERSION, VehicleRequest, VehicleState
from .rejections import RejectedMessage

MAX_ANGLE = 2 * pi + 1e-3  # rad of a heading; a larger figure is degrees
MAX_ETA = 3600 * SECOND  # ahead of now
MAX_ACCURACY = 30.0  # m; the tracker cannot use a less accurate report
NOT_AVAILABLE = (0.0, -1.0)  # m of a length or a width that is not known
STATE_HELP = "docs/advisories.md, vehicle state"


class Bounds(NamedTuple):
    """The bounds of a number, both inclusive, and what to do about one outside."""

    low: float
    high: float
    remedy: str


STATE_BOUNDS = {
    "lat": Bounds(-90, 90, "send degrees of WGS-84 / CGCS2000"),
    "lon": Bounds(-180, 180, "send degrees of WGS-84 / CGCS2000"),
    "speed": Bounds(
        0, 100, "send m/s, not negative; a figure that means 'not available' is no speed: send no state then"
    ),
    "accuracy": Bounds(
        0.01,
        MAX_ACCURACY,
        "send one standard deviation in m, or leave it out; a position that is less accurate is on no lane",
    ),
    "length": Bounds(0.2, 60, "send m, or leave it out"),
    "width": Bounds(0.1, 10, "send m, or leave it out"),
}

# The greatest length and width of a class, m: of combinations the longest that are in use on public roads (96/53/EC and
# the national exceptions to it), trailers of cars among them; widths with mirrors and a load. Others have the bounds
# above.
MAX_SIZES = {
    "car": (20.0, 4.0),
    "taxi": (20.0, 4.0),
    "coach": (30.0, 4.0),
    "bus": (30.0, 4.0),
    "bicycle": (6.0, 2.0),
    "motorcycle": (6.0, 2.5),
    "pedestrian": (4.0, 3.0),
    "logistics_robot": (8.0, 3.0),
}

# What a vehicle may declare for rules of the digital code, and the bounds of each.
DECLARED_BOUNDS = {
    "height": (0.3, 20.0),
    "mass": (0.001, 1_000.0),
    "axle_load": (0.001, 100.0),
    "plate_digit": (0, 9),
    "emission_stage": STAGES,
}
NOTHING_DECLARED = (None,) * 6


def check_vehicle(vehicle: str, version: int) -> None:
    """Raise RejectedMessage for a vehicle's message under an unusable id, or of another protocol version."""
    if not 0 < len(vehicle) <= MAX_NAME:
        raise RejectedMessage(
            "vehicle", vehicle, f"an id has 1 to {MAX_NAME} characters", "give the vehicle another id"
        )

    if version != VERSION:
        raise RejectedMessage(
            "version", version, f"this node speaks version {VERSION}", "use the client of that version"
        )


def check_state(body: VehicleState) -> None:
    """Raise RejectedMessage for a vehicle state with an impossible number."""
    numbers = (body.lat, body.lon, body.speed, body.heading, body.length, body.width, body.accuracy)
    if not all(map(isfinite, numbers)):
        raise RejectedMessage("state", numbers, "every number must be finite", "leave out what is not known")

    if abs(body.heading) > MAX_ANGLE:
        raise RejectedMessage(
            field="heading",
            value=body.heading,
            rule=f"must be radians, within {-MAX_ANGLE:.2f} .. {MAX_ANGLE:.2f}",
            remedy="send radians counter-clockwise from east: (90 - degrees clockwise from north) x pi / 180",
        )

    for name, (low, high, remedy) in STATE_BOUNDS.items():
        value = getattr(body, name)
        if not low <= value <= high:
            raise RejectedMessage(name, value, f"must be within {low} .. {high}", f"{remedy}; {STATE_HELP}")


def check_size(body: VehicleState) -> None:
    """Raise RejectedMessage for a length or a width that no vehicle of the declared class has."""
    sizes = MAX_SIZES.get(body.kind)
    if sizes is None:
        return

    for name, value, greatest in (("length", body.length, sizes[0]), ("width", body.width, sizes[1])):
        if value > greatest:
            raise RejectedMessage(
                field=name,
                value=value,
                rule=f"no {body.kind} has more than {greatest:.0f} m",
                remedy=f"send m and the vehicle's own class, or leave it out; {STATE_HELP}",
            )


def unusable_declarations(body: VehicleState) -> dict[str, RejectedMessage]:
    """Return why each declaration for rules cannot be used, by field. It counts as not declared; the rest of the state
    is used."""
    rejections: dict[str, RejectedMessage] = {}
    declared = (body.height, body.mass, body.axle_load, body.plate_digit, body.emission_stage, body.fuel)
    if declared == NOTHING_DECLARED:
        return rejections

    for name, (low, high) in DECLARED_BOUNDS.items():
        value = getattr(body, name)
        if value is not None and not low <= value <= high:
            rejections[name] = RejectedMessage(
                field=name,
                value=value,
                rule=f"must be within {low} .. {high}: taken as not declared",
                remedy=f"send m, t and whole digits, or leave it out; {STATE_HELP}",
            )

    if body.fuel is not None and body.fuel not in FUELS:
        rejections["fuel"] = RejectedMessage(
            field="fuel",
            value=body.fuel,
            rule=f"must be one of {', '.join(FUELS)}: taken as not declared",
            remedy="send one of these words, or leave it out",
        )

    return rejections


def with_known_values(body: VehicleState) -> VehicleState:
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
    """Raise RejectedMessage for a priority request further ahead of `t_rx` (ns) than an arrival can be forecast."""
    if body.eta > t_rx + MAX_ETA:
        raise RejectedMessage(
            field="eta",
            value=body.eta,
            rule=f"is more than {MAX_ETA // SECOND} s ahead",
            remedy="send ns of UTC since 1970, and ask when you are on your way",
        )
