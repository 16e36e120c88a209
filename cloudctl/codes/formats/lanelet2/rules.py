"""Regulatory elements of Lanelet2: limits (by sign, too), lights, right of way, signs. Those of other kinds are
reported."""

import re
from dataclasses import dataclass, field

from ...findings import LossKind
from ...polylines import F8
from ...terms import DEFAULT_SPEED
from .access import speed_of
from .osm import OsmMap, Tags

# Signs by their type, small letters: a German number (de274-30), or a text with the value at its end (cn-40).
GERMAN_LIMIT = re.compile(r"(?:de)?274(?:\.1)?-(\d+)")
AMERICAN_LIMIT = re.compile(r"(?:us[-_ ]?)?r2-1[-_ ](\d+)")
# German signs have their number after the country
PLAIN_LIMIT = re.compile(r"(?:(?!de)[a-z]{2}[-_ ])?(\d+)")
# Sub-types of a head -> whether it is for pedestrians, whose lights have no yellow.
IS_PEDESTRIAN_HEAD = {
    "red_green": True,
    **dict.fromkeys(
        ("", "red_yellow_green", "red_yellow", "yellow_green", "red", "yellow", "green", "white", "black", "straight"),
        False,
    ),
}
# A number alone is a limit only in an element of limits, in steps of 5 and up to this: the numbers of German signs
# begin at 101.
MAX_PLAIN_LIMIT = 100
MPH_COUNTRIES = ("us", "uk", "gb")  # countries with limits in mph
# m/s: 30 zone, play street, town
LIMIT_OF_SIGN = {
    "de274.1": 8.33,
    "274.1": 8.33,
    "de325": 1.94,
    "de325.1": 1.94,
    "325.1": 1.94,
    "de310": DEFAULT_SPEED,
}
STOP_SIGNS, YIELD_SIGNS = (
    ("de206", "206", "usr1-1", "r1-1", "stop", "stop_sign"),
    ("de205", "205", "usr1-2", "r1-2", "yield", "yield_sign", "give_way"),
)


@dataclass
class Lights:
    """A traffic light element: the names of its heads, its stop lines, whether it is for pedestrians."""

    id: str
    names: list[str]
    lines: list[F8]
    walking: bool


@dataclass
class Regulations:
    """What the regulatory elements of a map state."""

    lights: list[Lights] = field(default_factory=list)
    stop_lines: list[F8] = field(default_factory=list)
    speeds: dict[str, float] = field(default_factory=dict)  # element -> limit, m/s
    # Lanelets that yield, to which
    yields: list[tuple[set[str], set[str]]] = field(default_factory=list)
    giving_way: set[str] = field(default_factory=set)  # elements with a stop or yield sign
    all_stop: set[str] = field(default_factory=set)  # lanelets of all-way stops


def read_regulations(osm: OsmMap) -> Regulations:
    """Return what the regulatory elements state."""
    regulations = Regulations()
    regulations.stop_lines += [osm.lines[name] for name, tags in osm.ways.items() if tags.get("type") == "stop_line"]

    for element in osm.relations:
        if element.get("type") == "regulatory_element":
            _read_element(regulations, osm, element)

    return regulations


def _read_element(regulations: Regulations, osm: OsmMap, element: Tags) -> None:
    kind = element.get("subtype")
    lines = [osm.lines[ref] for ref in element.refs("ref_line") if ref in osm.lines]

    if element.flag("dynamic"):
        element.accounts.enter(
            LossKind.DIFFERS,
            f"element {kind}",
            "holds under a condition that the map does not say: taken as always in force",
            f"element {element.id}",
        )

    # Right of way under a signal is a fallback by nature; a limit that is one is not
    if element.flag("fallback") and kind not in ("right_of_way", "traffic_light"):
        element.accounts.enter(
            LossKind.DIFFERS, f"element {kind}", "is a fallback: taken as in force", f"element {element.id}"
        )

    if kind == "traffic_light":
        heads = [osm.ways[ref] for ref in element.refs("refers") if ref in osm.ways]
        names = [head.get("name") or head.id for head in heads]
        walking = [head.choice("subtype", IS_PEDESTRIAN_HEAD, False) for head in heads]
        regulations.lights.append(
            Lights(id=element.id, names=names, lines=lines, walking=bool(walking) and all(walking))
        )
    elif kind in ("speed_limit", "traffic_sign"):
        _read_sign(regulations, osm, element, lines)
    elif kind == "right_of_way":
        regulations.yields.append((set(element.refs("yield")), set(element.refs("right_of_way"))))
        regulations.stop_lines += lines
    elif kind == "all_way_stop":
        regulations.all_stop.update(element.refs("yield"))
        regulations.stop_lines += lines
    else:
        element.accounts.enter(
            LossKind.DROPPED,
            "regulatory element",
            f"{kind or 'without subtype'}: elements of this kind are not read",
            f"element {element.id}",
        )
        for name in list(element.values):
            element.get(name)  # the whole element is reported

    _report_roles(element, kind)


ROLES_OF_ELEMENT = {
    "traffic_light": ("refers", "ref_line", "light_bulbs"),
    "speed_limit": ("refers",),
    "traffic_sign": ("refers",),
    "right_of_way": ("yield", "right_of_way", "ref_line"),
    "all_way_stop": ("yield", "ref_line", "refers"),
}


def _report_roles(element: Tags, kind: str) -> None:
    """Report members in roles that are not read."""
    for role in (
        sorted({role for role, _, _ in element.members} - set(ROLES_OF_ELEMENT.get(kind, ())))
        if kind in ROLES_OF_ELEMENT
        else ()
    ):
        element.accounts.enter(
            LossKind.DROPPED,
            f"element {kind}",
            f"members in the role {role} are not read"
            + (": it holds on the whole lanelet" if role in ("ref_line", "cancel_line") else ""),
            f"element {element.id}",
        )


def _read_sign(regulations: Regulations, osm: OsmMap, element: Tags, lines: list[F8]) -> None:
    """Read the meaning of a sign: of the element's own sign_type, else of the signs it refers to."""
    own_type = element.get("sign_type")
    sign_types = (
        [own_type] if own_type else [_sign_type(osm.ways[ref]) for ref in element.refs("refers") if ref in osm.ways]
    )
    if not sign_types:
        element.accounts.enter(
            LossKind.DROPPED, "regulatory element", "signs without a type that is in the file", f"element {element.id}"
        )

    speeds = []
    for sign_type in sign_types:
        speed = sign_speed(sign_type, plain=element.get("subtype") == "speed_limit")
        if speed is not None:
            speeds.append(speed)
        elif sign_type.lower() in (*STOP_SIGNS, *YIELD_SIGNS):
            regulations.giving_way.add(element.id)
            regulations.stop_lines += lines
        else:
            element.unknown("sign_type", sign_type, "the sign is left out")

    if speeds:
        regulations.speeds[element.id] = min(speeds)


def _sign_type(sign: Tags) -> str:
    """Return the type of a sign: its subtype, or the limit that it writes beside one such as "speed_limit"."""
    subtype = sign.get("subtype")
    value_tag = next((key for key in ("sign_type", "value", "speed_limit") if key in sign), "")
    if sign_speed(subtype) is not None or not value_tag:
        return subtype

    text = sign.get(value_tag).strip()
    return f"{text} km/h" if value_tag != "sign_type" and text.isdecimal() else text


def sign_speed(sign_type: str, plain: bool = True) -> float | None:
    """Return the limit that a sign of a type shows, m/s; None for other signs. "de274-30", "274-50", "usR2-1-25",
    "cn-40", "50 km/h".

    `plain`: whether a number alone ("cn-40", "40") may be a limit, which it is only where nothing but a limit can
    stand."""
    text = sign_type.strip().lower()
    if text in LIMIT_OF_SIGN:
        return LIMIT_OF_SIGN[text]

    for pattern, unit in (
        (GERMAN_LIMIT, "km/h"),
        (AMERICAN_LIMIT, "mph"),
        (PLAIN_LIMIT, "mph" if text[:2] in MPH_COUNTRIES else "km/h"),
    ):
        match = pattern.fullmatch(text)
        if (
            match
            and pattern is PLAIN_LIMIT
            and not (plain and int(match[1]) <= MAX_PLAIN_LIMIT and int(match[1]) % 5 == 0)
        ):
            return None

        if match:
            return speed_of(f"{match[1]} {unit}")

    return None if text.isdecimal() else speed_of(text)
