"""The permitted users of a lanelet, in which direction, and how fast: its subtype, location and region, its
participant, one_way and speed_limit tags.

One participant tag overrides the subtype: users that no tag names may not use the lanelet (Lanelet2,
LaneletAndAreaTagging)."""

import re
from typing import NamedTuple

from ...checks.rules import VALUE_LIMITS
from ...findings import LossKind
from ...terms import KMH_PER_MPS, MPH_PER_MPS, LaneUse
from ..importing.permits import FUELS_OF_CARS, MOTOR_CLASSES, Permit, permit_of
from .osm import Tags

MOTOR_VEHICLES = frozenset(MOTOR_CLASSES)
ROAD_USERS = MOTOR_VEHICLES | {"bicycle"}
USERS_OF_SUBTYPE = {  # subtype -> its permitted users
    "": ROAD_USERS,
    "road": ROAD_USERS,
    "lane": ROAD_USERS,
    "intersection": ROAD_USERS,
    "highway": MOTOR_VEHICLES,
    "play_street": ROAD_USERS | {"pedestrian"},
    "exit": ROAD_USERS | {"pedestrian"},
    "bus_lane": frozenset(("bus", "emergency", "taxi")),
    "emergency_lane": frozenset(("emergency",)),
    "bicycle_lane": frozenset(("bicycle",)),
}
# Words that other tools write in place of "road", most of them OpenStreetMap's.
ROAD_SUBTYPES = frozenset(
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
SUBTYPES_WITHOUT_LANE = frozenset(
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
CLASSES_OF_PARTICIPANT = {  # last part of a participant's name -> classes, or a word of its own
    "vehicle": MOTOR_VEHICLES,
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
TRUE_VALUES, FALSE_VALUES = ("yes", "true", "1"), ("no", "false", "0")
LIMIT_TEXT = re.compile(r"(\d+(?:\.\d+)?)\s*(km/?h|kmph|mph|m/?s|mps)?", re.IGNORECASE)
# Of one m/s
UNITS_PER_MPS = {
    "": KMH_PER_MPS,
    "kmh": KMH_PER_MPS,
    "km/h": KMH_PER_MPS,
    "kmph": KMH_PER_MPS,
    "mph": MPH_PER_MPS,
    "ms": 1.0,
    "m/s": 1.0,
    "mps": 1.0,
}
MIN_LIMIT, MAX_LIMIT = VALUE_LIMITS["speed_max"]  # m/s
# Usual limits, km/h, where nothing is stated: StVO (Germany), GB road traffic law's regulations art. 45 (China); others
# as in China.
DEFAULT_LIMITS_KMH = {
    "de": {"urban": 50, "nonurban": 100, "highway": 130, "play_street": 7},
    "cn": {"urban": 50, "nonurban": 70, "highway": 120, "play_street": 20},
    "us": {"urban": 40, "nonurban": 88, "highway": 104, "play_street": 24},
    "": {"urban": 50, "nonurban": 70, "highway": 100, "play_street": 20},
}


class Limit(NamedTuple):
    """A limit in m/s, for some classes alone where `classes` names them, and of these for some fuels alone where
    `fuels` does."""

    speed: float
    classes: tuple[str, ...] = ()
    fuels: tuple[str, ...] = ()


class Users(NamedTuple):
    """The permitted users of a lanelet, along it and against it (empty: it is one-way); `stated` by its own tags, not
    by its subtype."""

    along: frozenset[str]
    against: frozenset[str]
    stated: bool

    def permit(self, backward: bool) -> Permit:
        """Return the permit of one direction."""
        users = self.against if backward else self.along
        refused = _merge_cars(_split_cars(ROAD_USERS) - _split_cars(users))

        if len(users) <= len(refused):
            text = "for " + ", ".join(sorted(users)) + " only"
        else:
            text = "not for " + ", ".join(sorted(refused))

        granted = permit_of(users, text if self.stated else "", stated=self.stated)
        # A lane for vehicles: buses are some of them
        if "car" in granted.users:
            granted = granted._replace(shared=tuple(use for use in granted.shared if use != LaneUse.BUS))

        return granted


def read_users(tags: Tags) -> Users | None:
    """Return the permitted users of a lanelet; None for one that no vehicle and no bicycle may use, which is
    reported."""
    subtype = tags.get("subtype")
    users_of_subtype = USERS_OF_SUBTYPE.get(subtype)
    participant_tags = list(tags.with_prefix("participant:"))

    if users_of_subtype is None and subtype in ROAD_SUBTYPES:
        tags.unknown("subtype", subtype, "taken as road")
        users_of_subtype = ROAD_USERS
    elif users_of_subtype is None and subtype not in SUBTYPES_WITHOUT_LANE and not participant_tags:
        tags.accounts.enter(
            LossKind.DROPPED,
            "lanelet",
            f"subtype {subtype} is not of the format: left out, for its users are not known",
            f"lanelet {tags.id}",
        )
        return None

    users = _with_participants(tags, participant_tags, users_of_subtype or frozenset())
    if users <= {"pedestrian"}:
        tags.accounts.enter(
            LossKind.DROPPED, "lanelet", f"{subtype} is no lane to drive on", f"lanelet {tags.get('name') or tags.id}"
        )
        return None

    return Users(users, _against(tags, users), bool(participant_tags))


def _with_participants(
    tags: Tags, participant_tags: list[tuple[str, str]], users_of_subtype: frozenset[str]
) -> frozenset[str]:
    """Return the permitted users of a lanelet when its participant tags are heeded."""
    allowed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    reserved = False

    # Vehicle before vehicle:bus
    for name, value in sorted(participant_tags, key=lambda row: row[0].count(":")):
        classes = CLASSES_OF_PARTICIPANT.get(name.rpartition(":")[2])
        is_understood = value.lower() in (*TRUE_VALUES, *FALSE_VALUES)
        if classes is None or not is_understood:
            # For a user without a class of ours: that admits no other user
            is_restriction = value.lower() not in FALSE_VALUES
            tags.unknown(
                f"participant:{name}",
                value,
                "no class of a code: it opens the lanelet to nobody" if is_restriction else "left out",
            )

            allowed, reserved = (allowed | {f"{name} ({value})"}, True) if is_restriction else (allowed, reserved)
        elif value.lower() in TRUE_VALUES:
            allowed, refused, reserved = (
                _split_cars(allowed) | _split_cars(classes),
                refused - _split_cars(classes),
                True,
            )
        else:
            allowed, refused = _split_cars(allowed) - _split_cars(classes), refused | _split_cars(classes)

    return _merge_cars(allowed if reserved else _split_cars(users_of_subtype) - refused)


def _split_cars(users: frozenset[str]) -> frozenset[str]:
    """Return users with electric and other cars in place of all cars, so that one of them may be left out."""
    return users - {"car"} | frozenset(FUELS_OF_CARS) if "car" in users else users


def _merge_cars(users: frozenset[str]) -> frozenset[str]:
    """Return users with the class car in place of cars of both kinds."""
    return users - frozenset(FUELS_OF_CARS) | {"car"} if users.issuperset(FUELS_OF_CARS) else users


def _against(tags: Tags, users: frozenset[str]) -> frozenset[str]:
    """Return the permitted users of a lanelet against its direction."""
    against = users if not tags.flag("one_way", True) else frozenset()
    for name, value in tags.with_prefix("one_way:"):
        classes = CLASSES_OF_PARTICIPANT.get(name.rpartition(":")[2])
        if classes is None or value.lower() not in (*TRUE_VALUES, *FALSE_VALUES):
            tags.unknown(f"one_way:{name}", value, "left out")
        elif value.lower() in FALSE_VALUES:
            against |= _split_cars(classes) & _split_cars(users)
        else:
            against = _split_cars(against) - _split_cars(classes)

    return _merge_cars(_split_cars(against)) - {"pedestrian"}


def speed_of(text: str) -> float | None:
    """Return a limit as text, such as "50 km/h", in m/s; km/h where it has no unit. None for other text."""
    match = LIMIT_TEXT.fullmatch(text.strip())
    if match is None:
        return None
    speed = round(float(match[1]) / UNITS_PER_MPS[(match[2] or "").lower()], 2)
    return min(max(speed, MIN_LIMIT), MAX_LIMIT) if speed > 0 else None


def _classes_and_fuels(users: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes and the fuels that a limit for some participants is for; none for all vehicles."""
    car_kind = next((name for name in FUELS_OF_CARS if name in users), "")
    if car_kind:
        return ("car",), FUELS_OF_CARS[car_kind]
    return (() if users == MOTOR_VEHICLES else tuple(sorted(users))), ()


def read_limits(tags: Tags) -> list[Limit]:
    """Return the limits that a lanelet's own tags give."""
    limits = []
    for name, text in tags.with_prefix("speed_limit"):
        # `speed_limit_mandatory=no` is a recommendation, which a code has no field for
        if name.startswith("_mandatory"):
            if text.lower() in FALSE_VALUES:
                tags.accounts.enter(
                    LossKind.DIFFERS,
                    "lanelet",
                    "limits that are only recommended are taken as binding",
                    f"lanelet {tags.id}",
                )
            elif text.lower() not in TRUE_VALUES:
                tags.unknown(f"speed_limit{name}", text, "taken as binding")

            continue

        users = CLASSES_OF_PARTICIPANT.get(name.rpartition(":")[2], frozenset()) if name else MOTOR_VEHICLES
        speed = speed_of(text)
        if speed is None or not users or (name and not name.startswith(":")):
            tags.unknown(f"speed_limit{name}", text, "left out")
        else:
            if speed in (MIN_LIMIT, MAX_LIMIT):
                tags.unknown(
                    f"speed_limit{name}",
                    text,
                    f"as {'high' if speed == MAX_LIMIT else 'low'} as any limit of a code, or "
                    f"{'higher' if speed == MAX_LIMIT else 'lower'}: {speed:g} m/s is taken",
                )

            limits.append(Limit(speed, *_classes_and_fuels(users)))

    return limits


def default_speed(tags: Tags) -> tuple[float, str]:
    """Return the limit that is usual where nothing is stated, m/s, and where that is."""
    region, subtype = tags.get("region").lower()[:2], tags.get("subtype")
    if region not in DEFAULT_LIMITS_KMH:
        tags.unknown("region", tags.get("region"), "usual limits are those of China")

    location = tags.choice("location", {"urban": "urban", "nonurban": "nonurban"}, "urban")
    limits = DEFAULT_LIMITS_KMH.get(region, DEFAULT_LIMITS_KMH[""])
    road_kind = subtype if subtype in ("highway", "play_street") else location

    return round(limits[road_kind] / KMH_PER_MPS, 2), f"{limits[road_kind]} km/h, as is usual for {road_kind} roads" + (
        f" of region {region}" if region in DEFAULT_LIMITS_KMH and region else ""
    )
