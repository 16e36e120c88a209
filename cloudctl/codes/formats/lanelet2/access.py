"""Who may use a lanelet, in which direction, and how fast: its subtype, location and region, its participant, one_way and speed_limit tags.

One participant tag overrides the subtype: whom none of them names may not use the lanelet (Lanelet2, LaneletAndAreaTagging).
"""

import re
from typing import NamedTuple

from ...checks.rules import LIMITS
from ..importing.permits import CARS, MOTOR, Permit, permit
from .osm import Tags

VEHICLES = frozenset(MOTOR)
ROAD = VEHICLES | {"bicycle"}
USERS = {  # subtype -> who may use it
    "": ROAD,
    "road": ROAD,
    "lane": ROAD,
    "intersection": ROAD,
    "highway": VEHICLES,
    "play_street": ROAD | {"pedestrian"},
    "exit": ROAD | {"pedestrian"},
    "bus_lane": frozenset(("bus", "emergency", "taxi")),
    "emergency_lane": frozenset(("emergency",)),
    "bicycle_lane": frozenset(("bicycle",)),
}
# Words that other tools write in place of "road", most of them OpenStreetMap's.
ROADS = frozenset(
    [
        "main_road",
        "primary",
        "secondary",
        "tertiary",
        "trunk",
        "motorway",
        "residential",
        "service",
        "living_street",
        "unclassified",
        "link",
        "ramp",
        "on_ramp",
        "off_ramp",
        "street",
        "urban_road",
        "rural_road",
        "country_road",
        "one_way_road",
        "two_way_road",
        "driving_lane",
        "vehicle_lane",
        "turn_lane",
    ]
)
NO_LANES = frozenset(
    [
        "walkway",
        "shared_walkway",
        "stairs",
        "crosswalk",
        "pedestrian_lane",
        "road_shoulder",
        "parking",
        "freespace",
        "vegetation",
        "keepout",
        "building",
        "traffic_island",
    ]
)
PARTICIPANTS = {  # last part of a participant's name -> classes, or a word of its own
    "vehicle": VEHICLES,
    "car": frozenset(("car",)),
    "combustion": frozenset(("combustion cars",)),
    "electric": frozenset(("electric cars",)),
    **{
        name: frozenset((name,))
        for name in ("bus", "truck", "motorcycle", "taxi", "emergency", "bicycle", "pedestrian", "coach", "tram")
    },
    "bike": frozenset(("bicycle",)),
    "bicyclist": frozenset(("bicycle",)),
}
YES, NO = ("yes", "true", "1"), ("no", "false", "0")
LIMIT = re.compile(r"(\d+(?:\.\d+)?)\s*(km/?h|kmph|mph|m/?s|mps)?", re.IGNORECASE)
UNITS = {
    "": 3.6,
    "kmh": 3.6,
    "km/h": 3.6,
    "kmph": 3.6,
    "mph": 2.236936,
    "ms": 1.0,
    "m/s": 1.0,
    "mps": 1.0,
}  # of one m/s
MIN_LIMIT, MAX_LIMIT = LIMITS["speed_max"]  # m/s
# Usual limits, km/h, where nothing is stated: StVO (Germany), GB road traffic law's regulations art. 45 (China); others as in China.
USUAL = {
    "de": {"urban": 50, "nonurban": 100, "highway": 130, "play_street": 7},
    "cn": {"urban": 50, "nonurban": 70, "highway": 120, "play_street": 20},
    "us": {"urban": 40, "nonurban": 88, "highway": 104, "play_street": 24},
    "": {"urban": 50, "nonurban": 70, "highway": 100, "play_street": 20},
}


class Limit(NamedTuple):
    """A limit in m/s, for some classes alone where `classes` names them, and of these for some fuels alone where `fuels` does."""

    speed: float
    classes: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()


class Users(NamedTuple):
    """Who may use a lanelet, along it and against it (nobody: it is one-way); `stated` by its own tags, not by its subtype."""

    along: frozenset[str]
    against: frozenset[str]
    stated: bool

    def permit(self, backward: bool) -> Permit:
        """Return the permit of one direction."""
        users = self.against if backward else self.along
        refused = _joined(_parted(ROAD) - _parted(users))
        text = (
            "for " + ", ".join(sorted(users)) + " only"
            if len(users) <= len(refused)
            else "not for " + ", ".join(sorted(refused))
        )
        found = permit(users, text if self.stated else "", stated=self.stated)
        if "car" in found.users:  # a lane for vehicles: buses are some of them
            found = found._replace(shared=tuple(use for use in found.shared if use != "bus"))
        return found


def read_users(tags: Tags) -> Users | None:
    """Return who may use a lanelet; None for one that no vehicle and no bicycle may use, which is reported."""
    subtype = tags.get("subtype")
    base = USERS.get(subtype)
    named = list(tags.with_prefix("participant:"))
    if base is None and subtype in ROADS:
        tags.unknown("subtype", subtype, "taken as road")
        base = ROAD
    elif base is None and subtype not in NO_LANES and not named:
        tags.accounts.enter(
            "dropped",
            "lanelet",
            f"subtype {subtype} is not of the format: left out, for who may use it is not known",
            f"lanelet {tags.id}",
        )
        return None
    users = _override(tags, named, base or frozenset())
    if users <= {"pedestrian"}:
        tags.accounts.enter(
            "dropped", "lanelet", f"{subtype} is no lane to drive on", f"lanelet {tags.get('name') or tags.id}"
        )
        return None
    return Users(users, _against(tags, users), bool(named))


def _override(tags: Tags, named: list[tuple[str, str]], base: frozenset[str]) -> frozenset[str]:
    """Return who may use a lanelet when its participant tags are heeded."""
    may: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    reserved = False
    for name, value in sorted(named, key=lambda row: row[0].count(":")):  # vehicle before vehicle:bus
        who = PARTICIPANTS.get(name.rpartition(":")[2])
        known = value.lower() in (*YES, *NO)
        if who is None or not known:
            closes = value.lower() not in NO  # for somebody whom no class stands for: that opens it to nobody else
            tags.unknown(
                f"participant:{name}",
                value,
                "no class of a code: it opens the lanelet to nobody" if closes else "left out",
            )
            may, reserved = (may | {f"{name} ({value})"}, True) if closes else (may, reserved)
        elif value.lower() in YES:
            may, never, reserved = _parted(may) | _parted(who), never - _parted(who), True
        else:
            may, never = _parted(may) - _parted(who), never | _parted(who)
    return _joined(may if reserved else _parted(base) - never)


def _parted(users: frozenset[str]) -> frozenset[str]:
    """Return users with electric and other cars in place of all cars, so that one of them may be left out."""
    return users - {"car"} | frozenset(CARS) if "car" in users else users


def _joined(users: frozenset[str]) -> frozenset[str]:
    """Return users with the class car in place of cars of both kinds."""
    return users - frozenset(CARS) | {"car"} if users.issuperset(CARS) else users


def _against(tags: Tags, users: frozenset[str]) -> frozenset[str]:
    """Return who may use a lanelet against its direction."""
    both = users if not tags.flag("one_way", True) else frozenset()
    for name, value in tags.with_prefix("one_way:"):
        who = PARTICIPANTS.get(name.rpartition(":")[2])
        if who is None or value.lower() not in (*YES, *NO):
            tags.unknown(f"one_way:{name}", value, "left out")
        elif value.lower() in NO:
            both |= _parted(who) & _parted(users)
        else:
            both = _parted(both) - _parted(who)
    return _joined(_parted(both)) - {"pedestrian"}


def speed_of(text: str) -> float | None:
    """Return a limit as text, such as "50 km/h", in m/s; km/h where it has no unit. None for other text."""
    found = LIMIT.fullmatch(text.strip())
    if found is None:
        return None
    speed = round(float(found[1]) / UNITS[(found[2] or "").lower()], 2)
    return min(max(speed, MIN_LIMIT), MAX_LIMIT) if speed > 0 else None


def _whom(who: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes and the fuels that a limit for some participants is for; none for all vehicles."""
    cars = next((name for name in CARS if name in who), "")
    if cars:
        return ("car",), CARS[cars]
    return (() if who == VEHICLES else tuple(sorted(who))), ()


def read_limits(tags: Tags) -> list[Limit]:
    """Return the limits that a lanelet's own tags give."""
    out = []
    for name, text in tags.with_prefix("speed_limit"):
        if name.startswith("_mandatory"):
            if text.lower() in NO:
                tags.accounts.enter(
                    "differs", "lanelet", "limits that are only recommended are taken as binding", f"lanelet {tags.id}"
                )
            elif text.lower() not in YES:
                tags.unknown(f"speed_limit{name}", text, "taken as binding")
            continue
        who = PARTICIPANTS.get(name.rpartition(":")[2], frozenset()) if name else VEHICLES
        speed = speed_of(text)
        if speed is None or not who or (name and not name.startswith(":")):
            tags.unknown(f"speed_limit{name}", text, "left out")
        else:
            if speed in (MIN_LIMIT, MAX_LIMIT):
                tags.unknown(
                    f"speed_limit{name}",
                    text,
                    f"as {'high' if speed == MAX_LIMIT else 'low'} as any limit of a code, or {'higher' if speed == MAX_LIMIT else 'lower'}: {speed:g} m/s is taken",
                )
            out.append(Limit(speed, *_whom(who)))
    return out


def usual_speed(tags: Tags) -> tuple[float, str]:
    """Return the limit that is usual where nothing is stated, m/s, and where that is."""
    region, subtype = tags.get("region").lower()[:2], tags.get("subtype")
    if region not in USUAL:
        tags.unknown("region", tags.get("region"), "usual limits are those of China")
    location = tags.choice("location", {"urban": "urban", "nonurban": "nonurban"}, "urban")
    table = USUAL.get(region, USUAL[""])
    kind = subtype if subtype in ("highway", "play_street") else location
    return round(table[kind] / 3.6, 2), f"{table[kind]} km/h, as is usual for {kind} roads" + (
        f" of region {region}" if region in USUAL and region else ""
    )
