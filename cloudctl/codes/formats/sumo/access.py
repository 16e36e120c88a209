"""Permissions of SUMO lanes: vehicle classes (vClass) to the users that a code knows."""

from functools import lru_cache

from ...rule import CLASSES
from ..importing.permits import Permit, permit

# vClass -> who that is in a code: a class of `rule.CLASSES`, or a word of its own where none of these fits. A class stands for
# the vClass it is named after: trailers alone on a lane do not open it to trucks.
USERS = {
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
APART = frozenset(  # no part of ordinary road traffic: that they may not use a lane says nothing of it
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
# On tracks and elsewhere only where a lane names them: a network that leaves a lane to all has no track on it for that.
RAILS = frozenset(name for name, user in USERS.items() if user == "tram")
EVERYONE = frozenset(USERS) - RAILS - frozenset(("ship", "container", "aircraft", "drone"))
OLD_NAMES = {  # of networks made before SUMO 0.22
    "public_transport": "bus",
    "public_emergency": "emergency",
    "public_authority": "authority",
    "public_army": "army",
    "lightrail": "tram",
    "cityrail": "rail_urban",
    "rail_slow": "rail",
}
WORDS = frozenset((*USERS, *OLD_NAMES, "all"))


@lru_cache(4096)
def allowed(allow: tuple[str, ...], disallow: tuple[str, ...], reserved: bool = False) -> frozenset[str]:
    """Return the vClasses that may use a lane: those named only, or all but those refused, as SUMO has it.

    `reserved`: it is for those named only, even where none of them is known: then it is closed.
    """
    named = frozenset(OLD_NAMES.get(word, word) for word in allow)
    refused = frozenset(OLD_NAMES.get(word, word) for word in disallow)
    if named or reserved:
        return EVERYONE if "all" in named else named & frozenset(USERS)
    return frozenset() if "all" in refused else EVERYONE - refused


@lru_cache(4096)
def lane_permit(may: frozenset[str], stated: bool) -> Permit:
    """Return the permit of a lane for the vClasses that may use it."""
    return permit(frozenset(USERS[name] for name in may), described(may), stated=stated)


def described(may: frozenset[str]) -> str:
    """Return for whom a lane is, in SUMO's words: those who may, or those who may not where that is shorter."""
    refused = EVERYONE - may
    if not may:
        return "closed to all traffic"
    if len(refused) < len(may) and may <= EVERYONE:
        return "not for " + ", ".join(sorted(refused))
    return "for " + ", ".join(sorted(may)) + " only"


@lru_cache(4096)
def unclassed(may: frozenset[str]) -> tuple[str, ...]:
    """Return the vClasses whose permission only a rule's text can carry, because no class of ours stands for them."""
    if "passenger" in may:  # the lane is for cars, and these are cars to a code: what is lost is that they may not
        return tuple(
            sorted(name for name in USERS if USERS[name] not in CLASSES and name not in may and name not in APART)
        )
    return tuple(sorted(name for name in may if USERS[name] not in CLASSES))
