"""Groups of road users by the class of their track: each set stands here once, with what it is used for. Masks are
bool[256] by class."""

import numpy as np
from numpy.typing import NDArray

from .schema import ObjectClass

MOTOR_VEHICLES = (ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.MOTORCYCLE)


def _mask(*classes: ObjectClass) -> NDArray[np.bool_]:
    return np.isin(np.arange(256), classes)


IS_MOTOR_VEHICLE = _mask(*MOTOR_VEHICLES)
FOLLOWS_LANE = _mask(ObjectClass.UNKNOWN, *MOTOR_VEHICLES)  # what no sensor has classified is taken for a vehicle
RIDES = FOLLOWS_LANE | _mask(ObjectClass.BICYCLE)  # road users that cross an intersection by its movements
USES_CROSSWALK = _mask(ObjectClass.PEDESTRIAN, ObjectClass.BICYCLE)
BLOCKS_VIEW = _mask(ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS)  # large enough to hide a road user
