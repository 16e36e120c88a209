"""CPM of ETSI TS 103 324 (v2.1.1 and later) -> our objects.

Axes point east, north and up from the reference position; angles run counter-clockwise from east. Units: positions 1
cm, velocities 1 cm/s, angles 0.1 degrees, sizes 0.1 m; confidences are half widths of 95 %. An object's time is the
reference time plus its measurementDeltaTime. Data elements and their special values: TS 102 894-2 v2.
"""

from math import cos, nan, pi, sin
from typing import Any, Final

from ..clock import MS
from ..codes.formats.messages.bit_strings import read_bits
from ..codes.formats.messages.tree import MALFORMED
from ..schema import ObjectClass
from ..signals.spat_fields import Refusals
from .fields import (
    MAX_OBJECT_ID,
    TWO_SIGMA,
    Choice,
    Tree,
    choice_of,
    enumerated,
    member,
    part,
    quantity,
    reference_of,
    wrapped,
)
from .its_time import DELTA_TIMES, MAX_TIMESTAMP, utc_of, utc_of_delta
from .objects import DEFAULT_SPEED_SIGMA, ReadMessage, SeenObject, correlated, no_object_error, read_objects

OBJECT_CONTAINER: Final = 5  # CpmContainerId of the perceived objects
MAX_CONTAINER: Final = 16  # CpmContainerId
CENTI: Final = 0.01
TENTH: Final = 0.1
MAX_COORDINATE: Final = 131_071  # cm; this and its opposite less one: out of range
CONFIDENCE_BEYOND, NO_CONFIDENCE = 4095, 4096  # of a coordinate
SPEED_BEYOND, NO_SPEED = 16_382, 16_383
SPEED_CONFIDENCE_BEYOND, NO_SPEED_CONFIDENCE = 126, 127
UNUSED_ANGLE, NO_ANGLE = 3600, 3601
SIZE_BEYOND, NO_SIZE = 255, 256
MIN_DELTA, MAX_DELTA = -2048, 2047  # ms, of DeltaTimeMilliSecondSigned
MAX_QUALITY: Final = 15
NO_CLASS_CONFIDENCE: Final = 101
NO_CORRELATION: Final = 101
COMPONENTS: Final = 13  # of the vector that a correlation matrix is of; the first two are x and y

C = ObjectClass
TRAFFIC_PARTICIPANTS: Final = (
    "unknown", "pedestrian", "cyclist", "moped", "motorcycle", "passengerCar", "bus", "lightTruck", "heavyTruck",
    "trailer", "specialVehicle", "tram", "lightVruVehicle", "animal", "agricultural", "roadSideUnit",
)  # fmt: skip
CLASS_OF_PARTICIPANT: Final = (  # we have no tram: it is as long as a bus and stops as one does
    C.UNKNOWN, C.PEDESTRIAN, C.BICYCLE, C.MOTORCYCLE, C.MOTORCYCLE, C.CAR, C.BUS, C.TRUCK, C.TRUCK, C.TRUCK, C.TRUCK,
    C.BUS, C.BICYCLE, C.UNKNOWN, C.TRUCK, C.STATIC,
)  # fmt: skip
CLASS_OF_VRU: Final = {
    "pedestrian": C.PEDESTRIAN,
    "bicyclistAndLightVruVehicle": C.BICYCLE,
    "motorcyclist": C.MOTORCYCLE,
    "animal": C.UNKNOWN,
}
CLASS_OF_CLUSTER: Final = (C.PEDESTRIAN, C.BICYCLE, C.MOTORCYCLE, C.UNKNOWN)  # by the bits of its profiles
OTHER_OBJECTS: Final = ("unknown", "singleObject", "multipleObjects", "bulkMaterial")


def read_cpm(tree: Tree, received: int, refusals: Refusals) -> ReadMessage:
    """Return the objects of a CPM. `received` (ns) decides what a generationDeltaTime leaves open. Raises CodeError for
    what is no CPM, or has no time or place."""
    payload = member(tree, "payload") or tree
    management = part(payload, "managementContainer", "CPM", refusals)
    position = part(management, "referencePosition", "managementContainer", refusals)
    reference = reference_of(position, ("latitude", "longitude"), "referencePosition", refusals)
    t = _reference_time(management, payload, received, refusals)

    container = _object_container(member(payload, "cpmContainers"), refusals)

    if container is None:
        return ReadMessage(reference, None, t)

    objects = read_objects(
        member(container, "perceivedObjects"),
        lambda item, entity: _object(item, entity, t, refusals),
        "perceivedObjects",
        refusals,
    )
    return ReadMessage(reference, objects, t)


def _reference_time(management: Tree, payload: Tree, received: int, refusals: Refusals) -> int:
    stamp = member(management, "referenceTime")
    if stamp is not None:
        return utc_of(refusals.number("managementContainer", "referenceTime", stamp, MAX_TIMESTAMP))

    delta = member(management, "generationDeltaTime")
    if delta is None:
        delta = member(payload, "generationDeltaTime")

    number = refusals.number("managementContainer", "referenceTime", delta, DELTA_TIMES - 1)
    return utc_of_delta(number, received)


def _object_container(containers: Any, refusals: Refusals) -> Tree | None:
    """Return the container of the perceived objects; None where the message has none."""
    if containers is None:
        return None
    if not isinstance(containers, list | tuple):
        raise refusals.error("CPM", "cpmContainers", containers, "must be a list")

    for container in containers:
        # Raised where it is no number: skipping it would say, without a word, that the message has no objects.
        number = refusals.number("CPM", "containerId", member(container, "containerId"), MAX_CONTAINER)
        if number != OBJECT_CONTAINER:
            continue

        data = member(container, "containerData")
        if isinstance(data, dict) and member(data, "perceivedObjects") is not None:
            return data

        wrapped_data = choice_of(data)  # an open type, under the name of its type
        if wrapped_data is None or not isinstance(wrapped_data.value, dict):
            raise refusals.error("CPM", "containerData", data, "must be a PerceivedObjectContainer")

        return wrapped_data.value

    return None


def _object(item: Any, entity: str, t: int, refusals: Refusals) -> SeenObject:
    if not isinstance(item, dict):
        raise no_object_error("CPM", "must be a PerceivedObject", item)

    number = member(item, "objectId")
    object_id = 0 if number is None else refusals.number(entity, "objectId", number, MAX_OBJECT_ID)
    if number is not None:
        entity = f"{entity} (object {object_id})"

    delta = refusals.number(entity, "measurementDeltaTime", item.get("measurementDeltaTime"), MAX_DELTA, MIN_DELTA)

    position = part(item, "position", entity, refusals)

    seen = SeenObject(
        entity=entity,
        t=t + delta * MS,
        id=object_id,
        x=_coordinate(position, "xCoordinate", entity, refusals),
        y=_coordinate(position, "yCoordinate", entity, refusals),
        var_x=_variance(position, "xCoordinate", entity, refusals),
        var_y=_variance(position, "yCoordinate", entity, refusals),
        object_class=_class(item.get("classification"), entity, refusals),
        length=_size(item, "objectDimensionX", entity, refusals),
        width=_size(item, "objectDimensionY", entity, refusals),
        height=_size(item, "objectDimensionZ", entity, refusals),
    )
    correlation = _correlation(member(item, "lowerTriangularCorrelationMatrices"), entity, refusals)
    seen.cov_xy = correlated(correlation, seen.var_x, seen.var_y)
    seen.heading = _angle(member(member(item, "angles"), "zAngle"), entity, "angles.zAngle", refusals)

    seen.confidence = quantity(
        entity,
        "objectPerceptionQuality",
        item.get("objectPerceptionQuality"),
        unit=1 / MAX_QUALITY,
        high=MAX_QUALITY,
        absent=(),
        refusals=refusals,
    )
    _set_velocity(seen, item.get("velocity"), refusals)
    return seen


def _coordinate(position: Tree, name: str, entity: str, refusals: Refusals) -> float:
    """Return a coordinate, m. Raises CodeError: without it the object is nowhere."""
    value = member(member(position, name), "value")
    number = refusals.number(entity, f"position.{name}", value, MAX_COORDINATE, -MAX_COORDINATE - 1)
    if number in (MAX_COORDINATE, -MAX_COORDINATE - 1):
        raise refusals.error(entity, f"position.{name}", number, "is out of range: the position is not known")
    return number * CENTI


def _variance(position: Tree, name: str, entity: str, refusals: Refusals) -> float:
    """Return the variance of a coordinate, m^2; of one "out of range" the least that it can be."""
    half_width = quantity(
        entity,
        f"position.{name}.confidence",
        member(member(position, name), "confidence"),
        unit=CENTI,
        low=1,
        high=NO_CONFIDENCE,
        absent=(NO_CONFIDENCE,),
        refusals=refusals,
    )
    return (half_width / TWO_SIGMA) ** 2


def _size(item: Tree, name: str, entity: str, refusals: Refusals) -> float:
    value = member(member(item, name), "value")
    absent = (SIZE_BEYOND, NO_SIZE)
    return quantity(entity, name, value, unit=TENTH, low=1, high=NO_SIZE, absent=absent, refusals=refusals)


def _angle(angle: Any, entity: str, field: str, refusals: Refusals) -> float:
    """Return an angle counter-clockwise from east, rad."""
    if angle is None:
        return nan

    value = member(angle, "value")
    if value in (UNUSED_ANGLE, str(UNUSED_ANGLE)):
        refusals.add(entity, field, value, "3600 is not used: a full turn is 0")
        return nan

    degrees = quantity(entity, field, value, unit=TENTH, high=NO_ANGLE, absent=(NO_ANGLE,), refusals=refusals)
    return wrapped(degrees * pi / 180)


def _set_velocity(seen: SeenObject, velocity: Any, refusals: Refusals) -> None:
    """Set the velocity of an object, polar or cartesian; one of which a part is not known is not known."""
    if velocity is None:
        return

    found = choice_of(velocity)
    if found is None or not isinstance(found.value, dict):
        refusals.add(seen.entity, "velocity", velocity, "must be one of polarVelocity and cartesianVelocity")
    elif found.name == "polarVelocity":
        _set_polar(seen, found.value, refusals)
    elif found.name == "cartesianVelocity":
        _set_cartesian(seen, found.value, refusals)
    else:
        refusals.add(seen.entity, "velocity", found.name, "must be one of polarVelocity and cartesianVelocity")


def _set_polar(seen: SeenObject, value: Tree, refusals: Refusals) -> None:
    magnitude = member(value, "velocityMagnitude")
    speed = quantity(
        seen.entity,
        "velocity.velocityMagnitude",
        member(magnitude, "speedValue"),
        unit=CENTI,
        high=NO_SPEED,
        absent=(SPEED_BEYOND, NO_SPEED),
        refusals=refusals,
    )

    direction = _angle(member(value, "velocityDirection"), seen.entity, "velocity.velocityDirection", refusals)
    seen.vx, seen.vy = speed * cos(direction), speed * sin(direction)
    seen.speed_sigma = _speed_sigma(seen.entity, member(magnitude, "speedConfidence"), refusals)


def _set_cartesian(seen: SeenObject, value: Tree, refusals: Refusals) -> None:
    components = []
    for name in ("xVelocity", "yVelocity"):
        speed = quantity(
            seen.entity,
            f"velocity.{name}",
            member(member(value, name), "value"),
            unit=CENTI,
            low=-NO_SPEED,
            high=NO_SPEED,
            absent=(-NO_SPEED, SPEED_BEYOND, NO_SPEED),
            refusals=refusals,
        )
        components.append(speed)

    seen.vx, seen.vy = components
    confidences = [member(member(value, name), "confidence") for name in ("xVelocity", "yVelocity")]
    seen.speed_sigma = max(_speed_sigma(seen.entity, confidence, refusals) for confidence in confidences)


def _speed_sigma(entity: str, confidence: Any, refusals: Refusals) -> float:
    absent = (SPEED_CONFIDENCE_BEYOND, NO_SPEED_CONFIDENCE)
    half_width = quantity(
        entity, "velocity.confidence", confidence, unit=CENTI, low=1, high=127, absent=absent, refusals=refusals
    )
    return half_width / TWO_SIGMA if half_width == half_width else DEFAULT_SPEED_SIGMA


def _correlation(matrices: Any, entity: str, refusals: Refusals) -> float:
    """Return the correlation of x and y, -1..1, of the first matrix that has both; NaN where none has."""
    if matrices is None:
        return nan

    if not isinstance(matrices, list | tuple):
        refusals.add(entity, "lowerTriangularCorrelationMatrices", matrices, "must be a list")
        return nan

    for matrix in matrices:
        try:
            included = read_bits(member(matrix, "componentsIncludedIntheMatrix"), COMPONENTS)
            cell = member(matrix, "matrix")[0][0] if included[0] and included[1] else None
        except (IndexError, *MALFORMED):
            rule = "must have 13 bits, and a column for each but the last that is set"
            refusals.add(entity, "lowerTriangularCorrelationMatrices", matrix, rule)
            return nan

        if cell is not None:
            name = "lowerTriangularCorrelationMatrices"
            absent = (NO_CORRELATION,)
            return quantity(entity, name, cell, unit=CENTI, low=-100, high=101, absent=absent, refusals=refusals)

    return nan


def _class(classification: Any, entity: str, refusals: Refusals) -> ObjectClass:
    """Return the class that is given with the greatest confidence; the first of several such."""
    if classification is None:
        return C.UNKNOWN

    if not isinstance(classification, list | tuple):
        refusals.add(entity, "classification", classification, "must be a list")
        return C.UNKNOWN

    best, best_confidence = C.UNKNOWN, -1
    for entry in classification:
        found = choice_of(member(entry, "objectClass"))
        confidence = refusals.optional(entity, "classification.confidence", member(entry, "confidence"), 101) or 0
        confidence = 0 if confidence == NO_CLASS_CONFIDENCE else confidence

        if found is None:
            refusals.add(entity, "classification.objectClass", entry, "must be one of the ObjectClass alternatives")
        elif confidence > best_confidence:
            best, best_confidence = _class_of(found, entity, refusals), confidence

    return best


def _class_of(found: Choice, entity: str, refusals: Refusals) -> ObjectClass:
    field = f"classification.{found.name}"
    if found.name == "vehicleSubClass":
        number = enumerated(entity, field, found.value, TRAFFIC_PARTICIPANTS, refusals)
        return C.UNKNOWN if number is None else CLASS_OF_PARTICIPANT[number]

    if found.name == "vruSubClass":
        profile = choice_of(found.value)
        if profile is not None and profile.name in CLASS_OF_VRU:
            return CLASS_OF_VRU[profile.name]
        refusals.add(entity, field, found.value, f"must be one of {', '.join(CLASS_OF_VRU)}")
        return C.UNKNOWN

    if found.name == "groupSubClass":
        return _class_of_cluster(found.value)
    if found.name == "otherSubClass":
        return C.STATIC if enumerated(entity, field, found.value, OTHER_OBJECTS, refusals) else C.UNKNOWN

    refusals.add(entity, field, found.value, "is no alternative of ObjectClass")
    return C.UNKNOWN


def _class_of_cluster(value: Any) -> ObjectClass:
    """Return the class of a cluster by the first of its profiles; pedestrians where it has none."""
    try:
        profiles = read_bits(member(value, "clusterProfiles"), len(CLASS_OF_CLUSTER))
    except MALFORMED:
        return C.PEDESTRIAN
    return next((kind for bit, kind in zip(profiles, CLASS_OF_CLUSTER, strict=True) if bit), C.PEDESTRIAN)
