"""Whether what a vehicle says it is can be what the roadside sensors see: its class against that of its track.

A track's class is what sensors made of it: once one has seen it, the vehicle's own reports have no vote (`cext/life.c`, describe).
"""

from ..fusion import VEHICLE_SOURCE
from ..schema import ObjectClass
from ..world import World

SURE = 0.9  # probability of the track's class from which it can contradict
HEAVY = (ObjectClass.TRUCK, ObjectClass.BUS, ObjectClass.UNKNOWN)
SMALL = (ObjectClass.MOTORCYCLE, ObjectClass.BICYCLE, ObjectClass.PEDESTRIAN, ObjectClass.STATIC, ObjectClass.UNKNOWN)
LOOKS = {  # what a class may look like; classes that are not here may look like anything
    "bus": HEAVY,
    "truck": HEAVY,
    "sanitation": (*HEAVY, ObjectClass.CAR),  # small sweepers
    "emergency": HEAVY,
    "logistics_robot": (*SMALL, ObjectClass.CAR),
}
PROVEN = {
    "emergency": (*HEAVY, ObjectClass.CAR, ObjectClass.MOTORCYCLE)
}  # police and doctors drive cars; only the operator can tell those


def contradicted(world: World, row: int, kind: str, proven: bool) -> str:
    """Return what sensors see (a class in words) where that cannot be a vehicle of `kind`; "" where it can, or they do not see it well."""
    looks = PROVEN.get(kind, LOOKS.get(kind)) if proven else LOOKS.get(kind)
    track = world.tracks[row]
    sensed = int(track["sources"]) & ~(1 << VEHICLE_SOURCE)
    if looks is None or not sensed or track["class_p"] < SURE or int(track["class"]) in looks:
        return ""
    return ObjectClass(int(track["class"])).name.lower()
