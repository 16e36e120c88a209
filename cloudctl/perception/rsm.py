"""RSM of YD/T 3709 (T/CSAE 53) -> our objects.

Positions are offsets in 1e-7 degrees from the reference, or absolute; headings 0.0125 degrees clockwise from north;
speeds 0.02 m/s; sizes cm (heights 5 cm). Each participant has its own secMark, ms within the minute: of all times with
that name the one nearest to the reception is meant. The roadside unit itself (type rsu) is no object.
"""

from math import cos, nan, sin
from typing import Any, Final

from ..geo import Origin
from ..schema import ObjectClass
from ..signals.spat_fields import Refusals
from ..signals.spat_time import moment
from .fields import (
    HEADING_UNIT,
    HEIGHT_UNIT,
    MAX_HEIGHT,
    MAX_LENGTH,
    MAX_OBJECT_ID,
    MAX_WIDTH,
    NO_HEADING,
    NO_SPEED,
    POSITION_CONFIDENCE,
    POSITION_CONFIDENCE_NAMES,
    SIZE_UNIT,
    SPEED_CONFIDENCE,
    SPEED_CONFIDENCE_NAMES,
    SPEED_UNIT,
    TWO_SIGMA,
    Position,
    Tree,
    choice_of,
    enumerated,
    from_north,
    member,
    millisecond_of_minute,
    part,
    quantity,
    reference_of,
)
from .objects import DEFAULT_SPEED_SIGMA, ReadMessage, SeenObject, no_object_error, read_objects
from .road_user_classes import class_of_vehicle

C = ObjectClass
PARTICIPANT_TYPES: Final = ("unknown", "motor", "non-motor", "pedestrian", "rsu")
CLASS_OF_TYPE: Final = (C.UNKNOWN, C.CAR, C.BICYCLE, C.PEDESTRIAN)
RSU_TYPE: Final = 4
OFFSET_BITS: Final = {  # of a signed offset in 1e-7 degrees, by its alternative of PositionOffsetLL
    "position-LL1": 12,
    "position-LL2": 14,
    "position-LL3": 16,
    "position-LL4": 18,
    "position-LL5": 22,
    "position-LL6": 24,
}
ABSOLUTE: Final = "position-LatLon"
UNIT: Final = 1e-7  # degrees


def read_rsm(tree: Tree, received: int, refusals: Refusals) -> ReadMessage:
    """Return the objects of an RSM, in a MessageFrame or bare. Raises CodeError for what is no RSM, or has no place."""
    framed = member(tree, "rsmFrame")
    rsm = framed if isinstance(framed, dict) else tree
    position = part(rsm, "refPos", "RSM", refusals)
    reference = reference_of(position, ("lat", "long"), "refPos", refusals)
    origin = Origin(*reference)

    participants = member(rsm, "participants")

    if isinstance(participants, dict):  # XML turned to JSON: a list under the name of its items
        participants = member(participants, "ParticipantData")
        participants = [participants] if isinstance(participants, dict) else participants

    objects = read_objects(
        participants,
        lambda item, entity: _participant(item, entity, reference, origin, received, refusals),
        "participants",
        refusals,
    )
    return ReadMessage(reference, objects)


def _participant(
    item: Any, entity: str, reference: Position, origin: Origin, received: int, refusals: Refusals
) -> SeenObject | None:
    if not isinstance(item, dict):
        raise no_object_error("RSM", "must be a ParticipantData", item)

    kind = enumerated(entity, "ptcType", member(item, "ptcType"), PARTICIPANT_TYPES, refusals)
    if kind == RSU_TYPE:
        return None

    object_id = refusals.number(entity, "ptcId", member(item, "ptcId"), MAX_OBJECT_ID)
    entity = f"{entity} (object {object_id})"
    ms = millisecond_of_minute(entity, "secMark", member(item, "secMark"), refusals)
    lat, lon = _position(member(item, "pos"), reference, entity, refusals)
    x, y = origin.to_local(lat, lon)

    variance = position_variance(entity, member(item, "posConfidence"), refusals)
    own_class = class_of_vehicle(entity, "vehicleClass", member(item, "vehicleClass"), refusals)
    size = member(item, "size")

    seen = SeenObject(
        entity=entity,
        t=moment(None, ms, received),
        x=float(x),
        y=float(y),
        id=object_id,
        object_class=own_class or CLASS_OF_TYPE[kind or 0],
        var_x=variance,
        var_y=variance,
        speed_sigma=speed_sigma(entity, member(member(item, "motionCfd"), "speedCfd"), refusals),
    )
    set_motion(seen, member(item, "speed"), member(item, "heading"), refusals)
    set_size(seen, size, member(size, "height"), refusals)

    return seen


def _position(pos: Any, reference: Position, entity: str, refusals: Refusals) -> tuple[float, float]:
    """Return latitude and longitude of a PositionOffsetLLV, degrees. Raises CodeError: without them the object is
    nowhere."""
    found = choice_of(member(pos, "offsetLL"))
    if found is None or not isinstance(found.value, dict):
        raise refusals.error(entity, "pos.offsetLL", pos, f"must be one of {', '.join(OFFSET_BITS)}, {ABSOLUTE}")

    name = found.name.replace("_", "-")
    if name == ABSOLUTE:
        position = reference_of(
            {"lat": member(found.value, "lat"), "long": member(found.value, "lon")}, ("lat", "long"), entity, refusals
        )
        return position.lat, position.lon

    if name not in OFFSET_BITS:
        raise refusals.error(entity, "pos.offsetLL", name, f"must be one of {', '.join(OFFSET_BITS)}, {ABSOLUTE}")

    limit = 1 << (OFFSET_BITS[name] - 1)
    lat = refusals.number(entity, f"pos.{name}.lat", member(found.value, "lat"), limit - 1, -limit)
    lon = refusals.number(entity, f"pos.{name}.lon", member(found.value, "lon"), limit - 1, -limit)

    return reference.lat + lat * UNIT, reference.lon + lon * UNIT


# --- what SAE J3224 has in the same way ---


def position_variance(entity: str, confidence: Any, refusals: Refusals) -> float:
    """Return the variance of each coordinate (m^2) of a PositionConfidenceSet, NaN where it is not available."""
    value = member(confidence, "pos")
    number = enumerated(entity, "posConfidence.pos", value, POSITION_CONFIDENCE_NAMES, refusals)
    half_width = None if number is None else POSITION_CONFIDENCE[number]
    return nan if half_width is None else (half_width / TWO_SIGMA) ** 2


def speed_sigma(entity: str, confidence: Any, refusals: Refusals) -> float:
    """Return the standard deviation (m/s) of a SpeedConfidence; a common one where it is not available."""
    number = enumerated(entity, "speedConfidence", confidence, SPEED_CONFIDENCE_NAMES, refusals)
    half_width = None if number is None else SPEED_CONFIDENCE[number]
    return DEFAULT_SPEED_SIGMA if half_width is None else half_width / TWO_SIGMA


def set_motion(seen: SeenObject, speed: Any, heading: Any, refusals: Refusals) -> None:
    """Set heading and velocity of a Speed and a Heading; without either the velocity is not known."""
    metres_per_second = quantity(
        seen.entity, "speed", speed, unit=SPEED_UNIT, high=NO_SPEED, absent=(NO_SPEED,), refusals=refusals
    )
    degrees = quantity(
        seen.entity, "heading", heading, unit=HEADING_UNIT, high=NO_HEADING, absent=(NO_HEADING,), refusals=refusals
    )
    seen.heading = from_north(degrees)
    seen.vx = metres_per_second * cos(seen.heading)
    seen.vy = metres_per_second * sin(seen.heading)


def set_size(seen: SeenObject, size: Any, height: Any, refusals: Refusals) -> None:
    """Set length and width of a VehicleSize, and a VehicleHeight."""
    for name, value, unit, high in (
        ("length", member(size, "length"), SIZE_UNIT, MAX_LENGTH),
        ("width", member(size, "width"), SIZE_UNIT, MAX_WIDTH),
        ("height", height, HEIGHT_UNIT, MAX_HEIGHT),
    ):
        metres = quantity(seen.entity, f"size.{name}", value, unit=unit, high=high, absent=(0,), refusals=refusals)
        setattr(seen, name, metres)
