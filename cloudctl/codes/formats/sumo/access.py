"""Permissions of SUMO lanes: vehicle classes (vClass) to the users that a code knows."""

from functools import lru_cache

from ...rule import CLASSES
from ..importing.permits import Permit, permit_of

# vClass -> the user that it is in a code: a class of `rule.CLASSES`, or a word of its own where none of these fits. A
# class
# stands for
# the vClass it is named after: trailers alone on a lane do not open it to trucks.
USER_OF_VCLASS = {
    "passenger": "car",
    "taxi": "taxi",
    "bus": "bus",
    "coach": "coach",
    "truck": "truck",
    "motorcycle": "motorcycle",
    "emergency": "emergency",
    "bicycle": "bicycle",
    "pedestrian": "pedestrian",
    "tram": "tram",
    "rail_urban": "tram",
    "rail": "tram",
    "rail_electric": "tram",
    "rail_fast": "tram",
    "subway": "tram",
    "cable_car": "tram",
    "evehicle": "electric",
    **{
        name: name
        for name in (
            *("hov", "delivery", "trailer", "moped", "scooter", "wheelchair", "private", "authority", "army", "vip"),
            *("custom1", "custom2", "ship", "container", "aircraft", "drone"),
        )
    },
}
VCLASSES_OUTSIDE_TRAFFIC = (
    # No part of ordinary road traffic: a lane that excludes them is still an ordinary lane
    frozenset(
        (
            "wheelchair",
            "private",
            "authority",
            "army",
            "vip",
            "custom1",
            "custom2",
            "ship",
            "container",
            "aircraft",
            "drone",
        )
    )
)
# On tracks and elsewhere only where a lane names them: a network that leaves a lane to all has no track on it for that.
RAIL_VCLASSES = frozenset(name for name, user in USER_OF_VCLASS.items() if user == "tram")
ALL_VCLASSES = frozenset(USER_OF_VCLASS) - RAIL_VCLASSES - frozenset(("ship", "container", "aircraft", "drone"))
OLD_VCLASS_NAMES = {  # of networks made before SUMO 0.22
    "public_transport": "bus",
    "public_emergency": "emergency",
    "public_authority": "authority",
    "public_army": "army",
    "lightrail": "tram",
    "cityrail": "rail_urban",
    "rail_slow": "rail",
}
VCLASS_NAMES = frozenset((*USER_OF_VCLASS, *OLD_VCLASS_NAMES, "all"))


@lru_cache(4096)
def allowed_vclasses(allow: tuple[str, ...], disallow: tuple[str, ...], reserved: bool = False) -> frozenset[str]:
    """Return the vClasses that may use a lane: those named only, or all but those refused, as SUMO has it.

    `reserved`: it is for those named only, even where none of them is known: then it is closed.
    """
    listed = frozenset(OLD_VCLASS_NAMES.get(word, word) for word in allow)
    refused = frozenset(OLD_VCLASS_NAMES.get(word, word) for word in disallow)
    if listed or reserved:
        return ALL_VCLASSES if "all" in listed else listed & frozenset(USER_OF_VCLASS)

    return frozenset() if "all" in refused else ALL_VCLASSES - refused


@lru_cache(4096)
def lane_permit(vclasses: frozenset[str], stated: bool) -> Permit:
    """Return the permit of a lane for the vClasses that may use it."""
    return permit_of(frozenset(USER_OF_VCLASS[name] for name in vclasses), described(vclasses), stated=stated)


def described(vclasses: frozenset[str]) -> str:
    """Return the permitted vClasses of a lane in words, or the excluded ones where these are fewer."""
    refused = ALL_VCLASSES - vclasses
    if not vclasses:
        return "closed to all traffic"
    if len(refused) < len(vclasses) and vclasses <= ALL_VCLASSES:
        return "not for " + ", ".join(sorted(refused))

    return "for " + ", ".join(sorted(vclasses)) + " only"


@lru_cache(4096)
def vclasses_without_class(vclasses: frozenset[str]) -> tuple[str, ...]:
    """Return the vClasses whose permission only a rule's text can carry, because no class of ours stands for them."""
    # The lane is for cars, and these are cars to a code: what is lost is that they may not
    if "passenger" in vclasses:
        return tuple(
            sorted(
                name
                for name in USER_OF_VCLASS
                if USER_OF_VCLASS[name] not in CLASSES and name not in vclasses and name not in VCLASSES_OUTSIDE_TRAFFIC
            )
        )

    return tuple(sorted(name for name in vclasses if USER_OF_VCLASS[name] not in CLASSES))
