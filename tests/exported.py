"""Codes written in another format and read back, and what belongs together of both."""

import itertools
import json

import numpy as np
from msgspec.structs import replace

from cloudctl import codes, maps
from cloudctl.codes.formats.export import Exported, Number, export_code
from cloudctl.codes.formats.j2735.importer import import_map
from cloudctl.codes.formats.ydt.importer import import_ydt
from cloudctl.codes.model import IntersectionCode, Lane
from cloudctl.codes.polylines import arc_lengths, points_along
from cloudctl.codes.rules import Vehicle, effective
from cloudctl.geo import Origin

NAMES = ("intersection.json", "corridor-1.json", "corridor-4.json")
CODES = {name: codes.load(maps.path(name)) for name in NAMES}
GOOD = CODES["intersection.json"]
TARGETS = ("mapem", "j2735", "ydt3709")


def exported(code: IntersectionCode, to: str) -> tuple[Exported, IntersectionCode]:
    """Return an export, and what our reader makes of it."""
    found = export_code(code, to, number=Number(300, 10))
    (back,) = import_map(found.data) if to != "ydt3709" else import_ydt(json.loads(found.data))
    return found, back


def line(code: IntersectionCode, lane: Lane) -> np.ndarray:
    table = np.array(lane.points, float) / 1e7
    return np.stack(Origin(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7).to_local(table[:, 0], table[:, 1]), axis=1)


def inner_end(code: IntersectionCode, lane: Lane) -> tuple[np.ndarray, str]:
    """Return where a lane meets the intersection (an incoming one: its stop line, or its end), and its role."""
    role = next(link.role for link in code.links if link.id == lane.link)
    xy = line(code, lane)
    if role != "ingress":
        return xy[0], "out"
    stop = next((stop.s for stop in code.stop_lines if stop.lane == lane.id), None)
    return (xy[-1] if stop is None else points_along(xy, arc_lengths(xy), min(stop, float(arc_lengths(xy)[-1])))), "in"


def pairs(code: IntersectionCode, back: IntersectionCode) -> dict[str, Lane]:
    """Return the lane that lies where each lane at the intersection lies; a stop line that moved finds none."""
    there = [(*inner_end(back, lane), lane) for lane in back.lanes]
    roles = {link.id: link.role for link in code.links}
    out = {}
    for lane in code.lanes:
        if roles[lane.link] != "upstream":
            end, way = inner_end(code, lane)
            near = [other for place, other_way, other in there if other_way == way and np.hypot(*(place - end)) < 0.06]
            assert near, f"{lane.id} has no lane that begins, or stops, where it does"
            out[lane.id] = near[0]
    return out


TIMES = [
    (1_767_240_000 + hours * 3600) * 10**9 for hours in (0, 7, 13, 19, 21, 48)
]  # through a day of work, and one at the weekend
DECIDES = {"vehicle": "car", "bus": "bus", "bike": "bicycle", "tram": "tram", "pedestrian": "pedestrian"}


def lasting(code: IntersectionCode) -> IntersectionCode:
    """Return a code without the rules that have hours: no message carries those, and each is declared as lost."""
    return replace(code, rules=tuple(rule for rule in code.rules if rule.calendar is None))


def let_in(code: IntersectionCode, lane: Lane, at: dict) -> set[str]:
    """Return the classes that decide what a lane is for and may use it at each of the times and on each part of it,
    asked of the rules one by one.
    """
    named = {DECIDES[use] for use in (lane.use, *lane.shared)}
    cuts = sorted({0.0, *(s for place in at[lane.id] for s in (place.s_from, min(place.s_to, 1e3)))})
    parts = [(a + b) / 2 for a, b in itertools.pairwise(cuts)] or [None]
    return {
        kind
        for kind in named
        if all(effective(code, lane.id, Vehicle(kind), t, s=s, placements=at).allowed for t in TIMES for s in parts)
    }
