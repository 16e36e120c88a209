"""Whether the class that a vehicle declares fits what the roadside sensors see: its class against that of its track.

A track's class is what sensors made of it: once one has seen it, the vehicle's own reports have no vote (C core, class
evidence of a track).
"""

from ..fusion import VEHICLE_SOURCE
from ..schema import ObjectClass
from ..world import World
from .candidate import NAMES

MIN_CLASS_PROBABILITY = 0.9  # of the track's class, from which it can contradict
HEAVY = (ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.UNKNOWN)
SMALL = (ObjectClass.MOTORCYCLE, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN, ObjectClass.STATIC, ObjectClass.UNKNOWN)

# The classes of track that fit a declared class; a declared class that is not here fits any.
FITTING = {
    "bus": HEAVY,
    "truck": HEAVY,
    "sanitation": (*HEAVY, ObjectClass.CAR),  # small sweepers
    "emergency": HEAVY,
    "logistics_robot": (*SMALL, ObjectClass.CAR),
}

# The same of vehicles that the operator lists: police and doctors drive cars, and nothing else tells those from others.
FITTING_LISTED = {"emergency": (*HEAVY, ObjectClass.CAR, ObjectClass.MOTORCYCLE)}


def contradicted(world: World, row: int, kind: str, is_listed: bool) -> str:
    """Return the class that sensors see, in words, where that cannot be a vehicle of class `kind`; "" where it can, or
    they do not see it well.

    `is_listed`: the node's operator lists the vehicle with that class.
    """
    fitting = FITTING.get(kind)
    if is_listed:
        fitting = FITTING_LISTED.get(kind, fitting)

    track = world.tracks[row]
    track_class = int(track["class"])
    sensors = int(track["sources"]) & ~(1 << VEHICLE_SOURCE)

    if fitting is None or not sensors or track["class_p"] < MIN_CLASS_PROBABILITY or track_class in fitting:
        return ""

    return NAMES[track_class]
