"""Reading a Lanelet2 map in OSM XML: lanelets with their middle lines in metres, regulatory elements, stop lines, crosswalks.

A lanelet for both directions (one_way=no) becomes two, one each way, on the same ground.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from cloudctl.geo import Origin

from ...findings import Loss
from ...model import TURNS, Point
from ...polylines import F8, arc, at
from ..importing.accounting import Accounts, XmlRecord
from ..importing.permits import Permit
from .access import Limit, read_limits, read_users, usual_speed
from .osm import OsmMap, Tags, read_osm
from .rules import Regulations, read_regulations

JOINED = 0.8  # m between the ends of two lanelets that follow each other
SIDE_BY_SIDE = 9.0  # m between the two edges of a crosswalk
MARKINGS = ("line_thin", "line_thick", "pedestrian_marking", "bike_marking", "zebra_marking")
EDGES = ("virtual", "curbstone", "road_border", "guard_rail", "wall", "fence", "jersey_barrier", "keepout", "rail", "")
READ_ELSEWHERE = ("stop_line", "zebra", "traffic_light", "traffic_sign", "light_bulbs", "centerline")
PLAIN = ("stop_line", "zebra", "light_bulbs", "centerline")
OFF = 1.5  # m by which a centre line that is drawn may end off the middle between the bounds


@dataclass
class Lanelet:
    """One lanelet in one direction, bounds and middle in driving direction, metres of the map's origin."""

    id: str
    name: str
    left: F8
    right: F8
    middle: F8
    width_m: float
    permit: Permit
    limits: list[Limit]
    usual: tuple[float, str]  # limit where it states none, and why
    rules: list[str]  # regulatory elements it names
    turn: str = ""  # as it is tagged
    backward: bool = False  # the other direction of a lanelet for both
    before: list["Lanelet"] = field(default_factory=list)
    after: list["Lanelet"] = field(default_factory=list)

    @property
    def key(self) -> str:
        """Its id, with a word for the other direction of a lanelet for both."""
        return f"{self.id} back" if self.backward else self.id


@dataclass
class Walk:
    """A crosswalk: its axis, its width in m, the regulatory elements it names."""

    id: str
    axis: F8
    width: float
    rules: list[str] = field(default_factory=list)


@dataclass
class LaneletMap:
    """What a map holds."""

    origin: Origin
    lanelets: list[Lanelet]
    walks: list[Walk]
    regulations: Regulations
    losses: set[Loss]
    accounts: Accounts
    used: set[str] = field(default_factory=set)  # lights and crosswalks that some intersection has


def read_lanelet2(root: XmlRecord, zero: Point | None) -> LaneletMap:
    """Return a map; `zero` is where its 0, 0 lies, for a map that is not placed. Raises CodeError."""
    osm = read_osm(root, zero)
    out = LaneletMap(osm.place, [], [], Regulations(), root.accounts.losses, root.accounts)
    try:
        out.regulations = read_regulations(osm)
        for tags in osm.relations:
            kind = tags.get("type")
            if kind == "lanelet":
                _lanelet(out, osm, tags)
            elif kind != "regulatory_element":
                out.accounts.enter(
                    "dropped", "relation", f"relations of type {kind or 'none'} are not read", f"relation {tags.id}"
                )
        _ways(out, osm)
        _zebras(out, {name: osm.lines[name] for name, tags in osm.ways.items() if tags.get("type") == "zebra"})
    finally:
        osm.settle(out.accounts)
    _join(out.lanelets)
    _turned(out)
    return out


def _ways(out: LaneletMap, osm: OsmMap) -> None:
    """Report what lines say that a code does not."""
    for tags in osm.ways.values():
        kind = tags.get("type")
        if kind in EDGES or kind in PLAIN:
            tags.ignore("subtype", "how an edge or a line looks: its points say where it is")
        subtype = "" if kind in EDGES or kind in READ_ELSEWHERE else tags.get("subtype")
        if kind in MARKINGS:
            out.accounts.enter(
                "dropped",
                f"way {kind}",
                "lane markings: a code does not say where lanes may be changed",
                f"{subtype or kind} way {tags.id}",
            )
        elif kind not in (*EDGES, *READ_ELSEWHERE):
            out.accounts.enter("dropped", "way", f"lines of type {kind} are not read", f"way {tags.id}")


def _lanelet(out: LaneletMap, osm: OsmMap, tags: Tags) -> None:
    name = tags.get("name") or tags.id
    bounds = [[osm.lines[ref] for ref in tags.refs(side) if ref in osm.lines] for side in ("left", "right")]
    for role in sorted({role for role, _, _ in tags.members} - {"left", "right", "regulatory_element", "centerline"}):
        out.accounts.enter("dropped", "lanelet", f"members in the role {role} are not read", f"lanelet {name}")
    if not all(bounds):
        out.accounts.enter("dropped", "lanelet", "has no left or no right bound", f"lanelet {name}")
        return
    left, right = _along(_whole(bounds[0]), _whole(bounds[1]))
    n = max(len(left), len(right), 12)
    a, b = (at(line, arc(line), np.linspace(0, arc(line)[-1], n)) for line in (left, right))
    middle, width = (a + b) / 2, float(np.median(np.hypot(*(a - b).T)))
    middle = _drawn(out, osm, tags, middle)
    rules = tags.refs("regulatory_element")
    if tags.get("subtype") == "crosswalk":
        for key in ("one_way", "location", "region", "speed_limit"):
            tags.ignore(key, "people on foot walk both ways, and have no limit")
        for _ in tags.with_prefix("participant:"):
            pass
        out.walks.append(Walk(name, middle[[0, -1]], width, rules))
        return
    limits, usual = read_limits(tags), usual_speed(tags)
    turn = tags.choice("turn_direction", {word: word for word in TURNS}, "")
    users = read_users(tags)
    if users is None:
        return
    stated = [out.regulations.speeds[ref] for ref in rules if ref in out.regulations.speeds]
    if stated:
        if any(not limit.classes and abs(limit.speed - min(stated)) > 0.05 for limit in limits):
            out.accounts.enter(
                "differs",
                "lanelet",
                "a sign and the tag give different limits: that of the sign is taken, as the format has it",
                f"lanelet {name}",
            )
        limits = [Limit(min(stated)), *(limit for limit in limits if limit.classes)]
    if users.along:
        out.lanelets.append(
            Lanelet(tags.id, name, left, right, middle, width, users.permit(False), limits, usual, rules, turn)
        )
    if users.against:
        permit = users.permit(True)
        out.lanelets.append(
            Lanelet(
                tags.id, name, right[::-1], left[::-1], middle[::-1], width, permit, limits, usual, rules, backward=True
            )
        )
        out.accounts.enter(
            "differs",
            "lanelet",
            "lanelets for both directions become a lane each way, on the same ground",
            f"lanelet {name}",
        )


def _whole(lines: list[F8]) -> F8:
    """Return lines that follow each other as one, turned so that they join."""
    out = lines[0]
    for line in lines[1:]:
        ends = [
            np.hypot(*(p - q))
            for p, q in ((out[-1], line[0]), (out[-1], line[-1]), (out[0], line[0]), (out[0], line[-1]))
        ]
        k = int(np.argmin(ends))
        out = out[::-1] if k > 1 else out
        out = np.concatenate([out, (line[::-1] if k % 2 else line)[1:]])
    return out


def _along(left: F8, right: F8) -> tuple[F8, F8]:
    """Return both bounds in driving direction: alike, with the left one on the left."""
    same = np.hypot(*(left[0] - right[0])) + np.hypot(*(left[-1] - right[-1]))
    if np.hypot(*(left[0] - right[-1])) + np.hypot(*(left[-1] - right[0])) < same:
        right = right[::-1]
    ring = np.concatenate([right, left[::-1]])  # anticlockwise when the left bound is on the left
    x, y = ring.T
    area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return (left, right) if area > 0 else (left[::-1], right[::-1])


def _drawn(out: LaneletMap, osm: OsmMap, tags: Tags, middle: F8) -> F8:
    """Return the centre line that a lanelet names, in driving direction; the middle between its bounds where it names none, or another place."""
    lines = [osm.lines[ref] for ref in tags.refs("centerline") if ref in osm.lines]
    if not lines:
        return middle
    line = _whole(lines)
    if np.hypot(*(line[0] - middle[0])) > np.hypot(*(line[-1] - middle[0])):
        line = line[::-1]
    if max(np.hypot(*(line[0] - middle[0])), np.hypot(*(line[-1] - middle[-1]))) > OFF:
        out.accounts.enter(
            "dropped",
            "lanelet",
            "centre lines that do not end between the bounds: the middle is taken",
            f"lanelet {tags.id}",
        )
        return middle
    return line


def _zebras(out: LaneletMap, lines: dict[str, F8]) -> None:
    """Add the crosswalks of closed outlines, and of pairs of edges side by side; an axis runs along the long side."""
    edges = []
    for name, line in lines.items():
        if len(line) > 3 and np.hypot(*(line[0] - line[-1])) < 0.01:
            corners = line[:-1]
            middle = corners.mean(axis=0)
            axis = np.linalg.svd(corners - middle)[2][0]
            along, across = (corners - middle) @ axis, (corners - middle) @ np.array([-axis[1], axis[0]])
            out.walks.append(
                Walk(name, np.array([middle + axis * along.min(), middle + axis * along.max()]), float(np.ptp(across)))
            )
        else:
            edges.append((name, line[[0, -1]]))
    pairs = sorted(
        (far, a, b) for k, a in enumerate(edges) for b in edges[k + 1 :] if (far := _between(a[1], b[1])) is not None
    )
    used: set[str] = set()
    for far, (a, one), (b, other) in pairs:
        if used & {a, b}:
            continue
        used |= {a, b}
        if np.hypot(*(one[0] - other[0])) > np.hypot(*(one[0] - other[1])):
            other = other[::-1]
        out.walks.append(Walk(f"{a} {b}", (one + other) / 2, far))
        out.losses.add(Loss("guessed", f"zebra {a}", f"is one edge of a crosswalk: its other edge is {b}"))
    for name, _ in edges:
        if name not in used:
            out.losses.add(Loss("dropped", f"zebra {name}", "is an edge without another beside it"))


def _between(a: F8, b: F8) -> float | None:
    """Return m between two edges that run side by side, None for others."""
    d, e = a[1] - a[0], b[1] - b[0]
    far = float(np.hypot(*(b.mean(axis=0) - a.mean(axis=0))))
    sine = abs(float(d[0] * e[1] - d[1] * e[0])) / max(float(np.hypot(*d) * np.hypot(*e)), 1e-9)
    return far if sine < 0.3 and far < SIDE_BY_SIDE else None


def _turned(out: LaneletMap) -> None:
    """Turn lanelets whose bounds are exchanged: they join nothing as they are, and something the other way about.

    Its neighbours may join nothing either, because of it: those that join something at both ends when they are turned go first, and
    the others are tested again after each one.
    """
    alone = [x for x in out.lanelets if not x.before and not x.after and not x.backward]
    if not alone:
        return
    begins, ends = (
        _Ends((x, x.left[0], x.right[0]) for x in out.lanelets),
        _Ends((x, x.left[-1], x.right[-1]) for x in out.lanelets),
    )

    def joins(x: Lanelet, first: tuple[F8, F8], last: tuple[F8, F8]) -> int:
        """Return at how many of its ends, each given by its left and right point, a lanelet joins others."""
        return any(y is not x for y in ends.at(*first)) + any(y is not x for y in begins.at(*last))

    def joins_turned(x: Lanelet) -> int:
        return joins(x, (x.right[-1], x.left[-1]), (x.right[0], x.left[0]))

    turned = False
    waiting = [(joins_turned(x), x) for x in alone]
    for both in (2, 1):
        for x in [x for number, x in waiting if number == both]:
            if joins(x, (x.left[0], x.right[0]), (x.left[-1], x.right[-1])) or not joins_turned(x):
                continue
            begins.drop(x, x.left[0])
            ends.drop(x, x.left[-1])
            x.left, x.right, x.middle = x.right[::-1], x.left[::-1], x.middle[::-1]
            begins.add(x, x.left[0], x.right[0])
            ends.add(x, x.left[-1], x.right[-1])
            turned = True
            out.losses.add(
                Loss(
                    "repaired",
                    f"lanelet {x.name}",
                    "left and right bound were exchanged: it joins its neighbours the other way about",
                )
            )
    if turned:
        _join(out.lanelets)


class _Ends:
    """Lanelets by where one of their ends lies: its left and its right point."""

    def __init__(self, rows: Iterable[tuple[Lanelet, F8, F8]]) -> None:
        self.cells: dict[tuple[int, int], list[tuple[Lanelet, F8, F8]]] = {}
        for row in rows:
            self.add(*row)

    def add(self, x: Lanelet, left: F8, right: F8) -> None:
        """Add a lanelet by its end."""
        self.cells.setdefault(_cell(left), []).append((x, left, right))

    def drop(self, x: Lanelet, left: F8) -> None:
        """Take a lanelet out that was added with this left point."""
        cell = _cell(left)
        self.cells[cell] = [row for row in self.cells[cell] if row[0] is not x]

    def at(self, left: F8, right: F8) -> list[Lanelet]:
        """Return the lanelets with this end, within `JOINED`."""
        x, y = _cell(left)
        near = [row for i in (x - 1, x, x + 1) for j in (y - 1, y, y + 1) for row in self.cells.get((i, j), ())]
        return [found for found, a, b in near if np.hypot(*(left - a)) < JOINED and np.hypot(*(right - b)) < JOINED]


def _cell(point: F8) -> tuple[int, int]:
    return int(point[0] // JOINED), int(point[1] // JOINED)


def _join(lanelets: list[Lanelet]) -> None:
    """Find which lanelets follow which: both bounds end where both bounds begin."""
    order = {id(x): k for k, x in enumerate(lanelets)}
    begins = _Ends((x, x.left[0], x.right[0]) for x in lanelets)
    for x in lanelets:
        x.before, x.after = [], []
    for a in lanelets:
        a.after = sorted((b for b in begins.at(a.left[-1], a.right[-1]) if b is not a), key=lambda b: order[id(b)])
        for b in a.after:
            b.before.append(a)
