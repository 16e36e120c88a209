"""Crosswalks of an OpenDRIVE map: objects of the roads they lie on, with the lights for pedestrians beside them."""

from typing import NamedTuple

import numpy as np

from ...polylines import F8
from ..importing.accounting import XmlRecord
from ..importing.clusters import unit
from .road import Road, number
from .signals import Light, Signals, is_stop_line

ALONG = 0.8  # cosine to the road above which a long side runs along it: the crosswalk is wider than it is long
NEAR_WALK = 6.0  # m from a crosswalk within which a light for pedestrians belongs to it
USED = ("crosswalk",)


class Walk(NamedTuple):
    """A crosswalk: its axis along the way people walk, float64[2, 2] in the map's x, y, its width in m, its light."""

    id: str
    axis: F8
    width: float
    light: Light | None


def read_walks(roads: dict[str, Road], signals: Signals) -> list[Walk]:
    """Return all crosswalks; other objects are reported by their type."""
    walks: list[Walk] = []
    for road in roads.values():
        for element in road.element.iterfind("objects/object"):
            kind = element.get("type") or "none"
            if kind in USED or "crosswalk" in element.get("name").lower():
                corners = _corners(road, element)
                if len(corners) < 3:
                    element.leave_out("crosswalks without outline, length and width")
                else:
                    walks.append(_walk(element.get("id"), corners, road.heading(number(element, "s"))))
            elif not is_stop_line(element):
                element.leave_out(f"objects of type {kind} are not read")
    return _with_lights(walks, roads, signals)


def _walk(name: str, corners: F8, heading: float) -> Walk:
    """Return a crosswalk from its corners, beside a road that runs in a direction (rad): people walk along its long side, and across the road."""
    centre = corners.mean(axis=0)
    sides = np.roll(corners, -1, axis=0) - corners
    axis = unit(sides[int(np.hypot(*sides.T).argmax())])
    if abs(float(axis @ [np.cos(heading), np.sin(heading)])) > ALONG:
        axis = np.array([-axis[1], axis[0]])
    along, across = (corners - centre) @ axis, (corners - centre) @ np.array([-axis[1], axis[0]])
    return Walk(name, np.array([centre + axis * along.min(), centre + axis * along.max()]), float(np.ptp(across)), None)


def _corners(road: Road, element: XmlRecord) -> F8:
    """Return the corners of an object in the map's x, y: of its outline, or of its length and width."""
    s, t, turn = number(element, "s"), number(element, "t"), number(element, "hdg")
    first = next((found for path in ("outlines/outline", "outline") for found in element.iterfind(path)), None)
    local = [] if first is None else [(number(c, "u"), number(c, "v")) for c in first.children("cornerLocal")]
    length, width = number(element, "length"), number(element, "width")
    if first is None and length > 0 and width > 0:
        local = [(length / 2, width / 2), (-length / 2, width / 2), (-length / 2, -width / 2), (length / 2, -width / 2)]
    if local:
        h = road.heading(s) + turn
        u, v = np.array(local).T
        return _open(
            road.place(np.array([s]), np.array([t]))
            + np.stack([u * np.cos(h) - v * np.sin(h), u * np.sin(h) + v * np.cos(h)], axis=1)
        )
    corners = [] if first is None else [(number(c, "s"), number(c, "t")) for c in first.children("cornerRoad")]
    table = np.array(corners, float).reshape(-1, 2)
    return _open(road.place(table[:, 0], table[:, 1]))


def _open(ring: F8) -> F8:
    """Return a ring without a last corner that repeats the first."""
    return ring[:-1] if len(ring) > 1 and np.hypot(*(ring[0] - ring[-1])) < 0.01 else ring


def _with_lights(walks: list[Walk], roads: dict[str, Road], signals: Signals) -> list[Walk]:
    """Return crosswalks with the light for pedestrians that stands nearest to them."""
    out = list(walks)
    for light in signals.lights.values():
        if "pedestrian" not in light.uses or not walks:
            continue
        (xy,) = roads[light.road].place(np.array([light.s]), np.array([light.t]))
        far = [_distance(xy, walk.axis) - walk.width / 2 for walk in walks]
        k = int(np.argmin(far))
        if far[k] < NEAR_WALK and out[k].light is None:
            out[k] = out[k]._replace(light=light)
        elif far[k] < NEAR_WALK:
            signals.used.add(light.id)  # the same crosswalk's other end
    return out


def _distance(point: F8, axis: F8) -> float:
    """Return m from a point to a segment."""
    ahead = axis[1] - axis[0]
    part = float(np.clip((point - axis[0]) @ ahead / max(float(ahead @ ahead), 1e-9), 0.0, 1.0))
    return float(np.hypot(*(point - axis[0] - part * ahead)))
