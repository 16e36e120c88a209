"""BasicVehicleClass of SAE J2735, which YD/T 3709 has too -> our classes, by the ranges of its numbers."""

from typing import Any, Final

from ..schema import ObjectClass
from ..signals.spat_fields import Refusals

C = ObjectClass
MAX_VEHICLE_CLASS: Final = 255
# The first number of each range: light trucks (vans, pick-ups) are trucks; 60 .. 69 are emergency vehicles of any size,
# whose class is that of the object's type; 80 .. 86 are travellers on foot or cycling.
CLASS_OF_RANGE: Final = (
    (10, C.CAR),
    (20, C.TRUCK),
    (40, C.MOTORCYCLE),
    (50, C.BUS),
    (60, None),
    (80, C.PEDESTRIAN),
    (85, C.BICYCLE),
    (86, C.PEDESTRIAN),
    (87, None),
    (90, C.STATIC),
    (100, None),
)


def class_of_vehicle(entity: str, field: str, value: Any, refusals: Refusals) -> ObjectClass | None:
    """Return the class of a BasicVehicleClass; None where it is absent, says nothing of ours, or is refused with a
    note."""
    if isinstance(value, dict):  # VehicleClassification: with a type of fuel beside it
        value = value.get("classification")

    number = refusals.optional(entity, field, value, MAX_VEHICLE_CLASS)
    found = None
    for first, object_class in CLASS_OF_RANGE:
        if number is not None and number >= first:
            found = object_class

    return found
