"""Reading a Lanelet2 map in OSM XML: lanelets with their middle lines in metres, regulatory elements, stop lines,
crosswalks.

A lanelet for both directions (one_way=no) becomes two, one each way, on the same ground.
"""

import numpy as np

from ...findings import Loss, LossKind
from ...model import TURNS, Point
from ...polylines import F8, arc_lengths, points_along
from ..importing.accounting import XmlRecord
from .access import Limit, default_speed, read_limits, read_users
from .lanelet import Lanelet, LaneletMap, Walk
from .neighbours import find_neighbours, turn_exchanged
from .osm import OsmMap, Tags, read_osm
from .rules import Regulations, read_regulations

MAX_ZEBRA_WIDTH = 9.0  # m between the two edges of a crosswalk
MARKING_TYPES = ("line_thin", "line_thick", "pedestrian_marking", "bike_marking", "zebra_marking")
EDGE_TYPES = (
    "virtual",
    "curbstone",
    "road_border",
    "guard_rail",
    "wall",
    "fence",
    "jersey_barrier",
    "keepout",
    "rail",
    "",
)
READ_ELSEWHERE = ("stop_line", "zebra", "traffic_light", "traffic_sign", "light_bulbs", "centerline")
READ_ROLES = {"left", "right", "regulatory_element", "centerline"}
PLAIN_TYPES = ("stop_line", "zebra", "light_bulbs", "centerline")
# m by which a centre line that is drawn may end off the middle between the bounds
MAX_CENTRE_LINE_OFFSET = 1.5


def read_lanelet2(root: XmlRecord, origin: Point | None) -> LaneletMap:
    """Return a map; `origin` is where its 0, 0 lies, for a map that is not placed. Raises CodeError."""
    osm = read_osm(root, origin)
    lanelet_map = LaneletMap(
        origin=osm.place,
        lanelets=[],
        walks=[],
        regulations=Regulations(),
        losses=root.accounts.losses,
        accounts=root.accounts,
    )

    try:
        lanelet_map.regulations = read_regulations(osm)
        for tags in osm.relations:
            kind = tags.get("type")
            if kind == "lanelet":
                _lanelet(lanelet_map, osm, tags)
            elif kind != "regulatory_element":
                lanelet_map.accounts.enter(
                    LossKind.DROPPED,
                    "relation",
                    f"relations of type {kind or 'none'} are not read",
                    f"relation {tags.id}",
                )

        _report_ways(lanelet_map, osm)
        _add_zebras(
            lanelet_map, {name: osm.lines[name] for name, tags in osm.ways.items() if tags.get("type") == "zebra"}
        )
    finally:
        osm.settle(lanelet_map.accounts)

    find_neighbours(lanelet_map.lanelets)
    turn_exchanged(lanelet_map)
    return lanelet_map


def _report_ways(lanelet_map: LaneletMap, osm: OsmMap) -> None:
    """Report what lines carry and a code does not."""
    for tags in osm.ways.values():
        kind = tags.get("type")
        if kind in EDGE_TYPES or kind in PLAIN_TYPES:
            tags.ignore("subtype", "how an edge or a line looks: its points say where it is")

        subtype = "" if kind in EDGE_TYPES or kind in READ_ELSEWHERE else tags.get("subtype")
        if kind in MARKING_TYPES:
            lanelet_map.accounts.enter(
                LossKind.DROPPED,
                f"way {kind}",
                "lane markings: a code does not say where lanes may be changed",
                f"{subtype or kind} way {tags.id}",
            )
        elif kind not in (*EDGE_TYPES, *READ_ELSEWHERE):
            lanelet_map.accounts.enter(LossKind.DROPPED, "way", f"lines of type {kind} are not read", f"way {tags.id}")


def _lanelet(lanelet_map: LaneletMap, osm: OsmMap, tags: Tags) -> None:
    """Take in a lanelet: a crosswalk, or a lane for each direction in which it may be used."""
    name = tags.get("name") or tags.id
    bounds = [[osm.lines[ref] for ref in tags.refs(side) if ref in osm.lines] for side in ("left", "right")]

    for role in sorted({role for role, _, _ in tags.members} - READ_ROLES):
        lanelet_map.accounts.enter(
            LossKind.DROPPED, "lanelet", f"members in the role {role} are not read", f"lanelet {name}"
        )

    if not all(bounds):
        lanelet_map.accounts.enter(LossKind.DROPPED, "lanelet", "has no left or no right bound", f"lanelet {name}")
        return

    left, right = _in_driving_direction(_joined_lines(bounds[0]), _joined_lines(bounds[1]))
    middle, width = _middle_and_width(left, right)
    middle = _centre_line(lanelet_map, osm, tags, middle)
    rules = tags.refs("regulatory_element")

    if tags.get("subtype") == "crosswalk":
        _ignore_traffic_tags(tags)
        lanelet_map.walks.append(Walk(id=name, axis=middle[[0, -1]], width=width, rules=rules))
        return

    tagged_limits, default = read_limits(tags), default_speed(tags)
    turn = tags.choice("turn_direction", {word: word for word in TURNS}, "")
    users = read_users(tags)
    if users is None:
        return

    limits = _limits_with_signs(lanelet_map, name, rules, tagged_limits)
    if users.along:
        lanelet_map.lanelets.append(
            Lanelet(
                id=tags.id,
                name=name,
                left=left,
                right=right,
                middle=middle,
                width_m=width,
                permit=users.permit(False),
                limits=limits,
                usual=default,
                rules=rules,
                turn=turn,
            )
        )

    if users.against:
        lanelet_map.lanelets.append(
            Lanelet(
                id=tags.id,
                name=name,
                left=right[::-1],
                right=left[::-1],
                middle=middle[::-1],
                width_m=width,
                permit=users.permit(True),
                limits=limits,
                usual=default,
                rules=rules,
                backward=True,
            )
        )

        detail = "lanelets for both directions become a lane each way, on the same ground"
        lanelet_map.accounts.enter(LossKind.DIFFERS, "lanelet", detail, f"lanelet {name}")


def _middle_and_width(left: F8, right: F8) -> tuple[F8, float]:
    """Return the line between two bounds, and the median of the distance between them, m."""
    count = max(len(left), len(right), 12)
    left_points, right_points = (
        points_along(line, arc_lengths(line), np.linspace(0, arc_lengths(line)[-1], count)) for line in (left, right)
    )
    return (left_points + right_points) / 2, float(np.median(np.hypot(*(left_points - right_points).T)))


def _ignore_traffic_tags(tags: Tags) -> None:
    """Account for the tags of a crosswalk that are about vehicles."""
    for key in ("one_way", "location", "region", "speed_limit"):
        tags.ignore(key, "people on foot walk both ways, and have no limit")
    for _ in tags.with_prefix("participant:"):
        pass


def _limits_with_signs(lanelet_map: LaneletMap, name: str, rules: list[str], tagged_limits: list[Limit]) -> list[Limit]:
    """Return the limits of a lanelet: a sign that it names takes the place of its tag, as the format has it."""
    signed_limits = [lanelet_map.regulations.speeds[ref] for ref in rules if ref in lanelet_map.regulations.speeds]
    if not signed_limits:
        return tagged_limits

    if any(not limit.classes and abs(limit.speed - min(signed_limits)) > 0.05 for limit in tagged_limits):
        lanelet_map.accounts.enter(
            LossKind.DIFFERS,
            "lanelet",
            "a sign and the tag give different limits: that of the sign is taken, as the format has it",
            f"lanelet {name}",
        )

    return [Limit(min(signed_limits)), *(limit for limit in tagged_limits if limit.classes)]


def _joined_lines(lines: list[F8]) -> F8:
    """Return lines that follow each other as one, turned so that they join."""
    joined = lines[0]
    for line in lines[1:]:
        gaps = [
            np.hypot(*(end - other_end))
            for end, other_end in (
                (joined[-1], line[0]),
                (joined[-1], line[-1]),
                (joined[0], line[0]),
                (joined[0], line[-1]),
            )
        ]

        smallest = int(np.argmin(gaps))
        joined = joined[::-1] if smallest > 1 else joined
        joined = np.concatenate([joined, (line[::-1] if smallest % 2 else line)[1:]])

    return joined


def _in_driving_direction(left: F8, right: F8) -> tuple[F8, F8]:
    """Return both bounds in driving direction: alike, with the left one on the left."""
    gap_as_drawn = np.hypot(*(left[0] - right[0])) + np.hypot(*(left[-1] - right[-1]))
    if np.hypot(*(left[0] - right[-1])) + np.hypot(*(left[-1] - right[0])) < gap_as_drawn:
        right = right[::-1]

    # Anticlockwise when the left bound is on the left
    outline = np.concatenate([right, left[::-1]])
    x, y = outline.T
    area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))

    return (left, right) if area > 0 else (left[::-1], right[::-1])


def _centre_line(lanelet_map: LaneletMap, osm: OsmMap, tags: Tags, middle: F8) -> F8:
    """Return the centre line that a lanelet names, in driving direction; the middle between its bounds where it names
    none, or another place."""
    lines = [osm.lines[ref] for ref in tags.refs("centerline") if ref in osm.lines]
    if not lines:
        return middle

    line = _joined_lines(lines)
    if np.hypot(*(line[0] - middle[0])) > np.hypot(*(line[-1] - middle[0])):
        line = line[::-1]

    if max(np.hypot(*(line[0] - middle[0])), np.hypot(*(line[-1] - middle[-1]))) > MAX_CENTRE_LINE_OFFSET:
        lanelet_map.accounts.enter(
            LossKind.DROPPED,
            "lanelet",
            "centre lines that do not end between the bounds: the middle is taken",
            f"lanelet {tags.id}",
        )
        return middle

    return line


def _add_zebras(lanelet_map: LaneletMap, lines: dict[str, F8]) -> None:
    """Add the crosswalks of closed outlines, and of pairs of edges side by side; an axis runs along the long side."""
    edges = []
    for name, line in lines.items():
        if len(line) > 3 and np.hypot(*(line[0] - line[-1])) < 0.01:
            corners = line[:-1]
            centre = corners.mean(axis=0)
            axis = np.linalg.svd(corners - centre)[2][0]
            along, across = (corners - centre) @ axis, (corners - centre) @ np.array([-axis[1], axis[0]])

            lanelet_map.walks.append(
                Walk(
                    id=name,
                    axis=np.array([centre + axis * along.min(), centre + axis * along.max()]),
                    width=float(np.ptp(across)),
                )
            )
        else:
            edges.append((name, line[[0, -1]]))

    pairs = sorted(
        (width, name_a, name_b)
        for index, name_a in enumerate(edges)
        for name_b in edges[index + 1 :]
        if (width := _edge_distance(name_a[1], name_b[1])) is not None
    )

    used_edges: set[str] = set()
    for width, (name_a, edge), (name_b, other_edge) in pairs:
        if used_edges & {name_a, name_b}:
            continue

        used_edges |= {name_a, name_b}
        if np.hypot(*(edge[0] - other_edge[0])) > np.hypot(*(edge[0] - other_edge[1])):
            other_edge = other_edge[::-1]

        lanelet_map.walks.append(Walk(id=f"{name_a} {name_b}", axis=(edge + other_edge) / 2, width=width))
        lanelet_map.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=f"zebra {name_a}",
                detail=f"is one edge of a crosswalk: its other edge is {name_b}",
            )
        )

    for name, _ in edges:
        if name not in used_edges:
            lanelet_map.losses.add(
                Loss(what=LossKind.DROPPED, entity=f"zebra {name}", detail="is an edge without another beside it")
            )


def _edge_distance(first: F8, second: F8) -> float | None:
    """Return m between two edges that run side by side, None for others."""
    direction_a, direction_b = first[1] - first[0], second[1] - second[0]
    distance = float(np.hypot(*(second.mean(axis=0) - first.mean(axis=0))))
    sine = abs(float(direction_a[0] * direction_b[1] - direction_a[1] * direction_b[0])) / max(
        float(np.hypot(*direction_a) * np.hypot(*direction_b)), 1e-9
    )
    return distance if sine < 0.3 and distance < MAX_ZEBRA_WIDTH else None
