"""Crosswalks of an OpenDRIVE map: objects of the roads they lie on, with the lights for pedestrians beside them."""

from typing import NamedTuple

import numpy as np

from ...polylines import F8
from ..importing.accounting import XmlRecord
from ..importing.clusters import unit_vector
from .geometry import number
from .road import Road
from .signals import Light, Signals, is_stop_line

# Cosine to the road above which a long side runs along it: the crosswalk is wider than it is long
MIN_ALONG_COSINE = 0.8
MAX_LIGHT_DISTANCE = 6.0  # m from a crosswalk within which a light for pedestrians belongs to it
CROSSWALK_TYPES = ("crosswalk",)


class CrosswalkObject(NamedTuple):
    """A crosswalk: its axis along the way people walk, float64[2, 2] in the map's x, y, its width in m, its light."""

    id: str
    axis: F8
    width: float
    light: Light | None


def read_crosswalks(roads: dict[str, Road], signals: Signals) -> list[CrosswalkObject]:
    """Return all crosswalks; other objects are reported by their type."""
    crosswalks: list[CrosswalkObject] = []
    for road in roads.values():
        for element in road.element.iterfind("objects/object"):
            object_type = element.get("type") or "none"
            if object_type in CROSSWALK_TYPES or "crosswalk" in element.get("name").lower():
                corners = _corners(road, element)
                if len(corners) < 3:
                    element.leave_out("crosswalks without outline, length and width")
                else:
                    crosswalks.append(_crosswalk(element.get("id"), corners, road.heading(number(element, "s"))))
            elif not is_stop_line(element):
                element.leave_out(f"objects of type {object_type} are not read")

    return _with_lights(crosswalks, roads, signals)


def _crosswalk(name: str, corners: F8, heading: float) -> CrosswalkObject:
    """Return a crosswalk from its corners, beside a road that runs in a direction (rad): people walk along its long
    side, and across the road."""
    centre = corners.mean(axis=0)
    sides = np.roll(corners, -1, axis=0) - corners
    axis = unit_vector(sides[int(np.hypot(*sides.T).argmax())])

    if abs(float(axis @ [np.cos(heading), np.sin(heading)])) > MIN_ALONG_COSINE:
        axis = np.array([-axis[1], axis[0]])

    along, across = (corners - centre) @ axis, (corners - centre) @ np.array([-axis[1], axis[0]])
    return CrosswalkObject(
        id=name,
        axis=np.array([centre + axis * along.min(), centre + axis * along.max()]),
        width=float(np.ptp(across)),
        light=None,
    )


def _corners(road: Road, element: XmlRecord) -> F8:
    """Return the corners of an object in the map's x, y: of its outline, or of its length and width."""
    s, offset, heading_offset = number(element, "s"), number(element, "t"), number(element, "hdg")
    outline_element = next(
        (element_of_path for path in ("outlines/outline", "outline") for element_of_path in element.iterfind(path)),
        None,
    )
    if outline_element is None:
        local_corners = []
    else:
        local_corners = [
            (number(corner, "u"), number(corner, "v")) for corner in outline_element.children("cornerLocal")
        ]

    length, width = number(element, "length"), number(element, "width")
    if outline_element is None and length > 0 and width > 0:
        local_corners = [
            (length / 2, width / 2),
            (-length / 2, width / 2),
            (-length / 2, -width / 2),
            (length / 2, -width / 2),
        ]

    if local_corners:
        heading = road.heading(s) + heading_offset
        u, v = np.array(local_corners).T
        return _without_closing_point(
            road.place(np.array([s]), np.array([offset]))
            + np.stack([u * np.cos(heading) - v * np.sin(heading), u * np.sin(heading) + v * np.cos(heading)], axis=1)
        )

    if outline_element is None:
        corners = []
    else:
        corners = [(number(corner, "s"), number(corner, "t")) for corner in outline_element.children("cornerRoad")]

    road_corners = np.array(corners, float).reshape(-1, 2)
    return _without_closing_point(road.place(road_corners[:, 0], road_corners[:, 1]))


def _without_closing_point(ring: F8) -> F8:
    """Return a ring without a last corner that repeats the first."""
    return ring[:-1] if len(ring) > 1 and np.hypot(*(ring[0] - ring[-1])) < 0.01 else ring


def _with_lights(crosswalks: list[CrosswalkObject], roads: dict[str, Road], signals: Signals) -> list[CrosswalkObject]:
    """Return crosswalks with the light for pedestrians that stands nearest to them."""
    with_lights = list(crosswalks)
    for light in signals.lights.values():
        if "pedestrian" not in light.uses or not crosswalks:
            continue

        (position,) = roads[light.road].place(np.array([light.s]), np.array([light.t]))
        distances = [_distance(position, crosswalk.axis) - crosswalk.width / 2 for crosswalk in crosswalks]

        nearest = int(np.argmin(distances))
        if distances[nearest] < MAX_LIGHT_DISTANCE and with_lights[nearest].light is None:
            with_lights[nearest] = with_lights[nearest]._replace(light=light)
        elif distances[nearest] < MAX_LIGHT_DISTANCE:
            signals.used.add(light.id)  # the same crosswalk's other end

    return with_lights


def _distance(point: F8, axis: F8) -> float:
    """Return m from a point to a segment."""
    step = axis[1] - axis[0]
    share = float(np.clip((point - axis[0]) @ step / max(float(step @ step), 1e-9), 0.0, 1.0))
    return float(np.hypot(*(point - axis[0] - share * step)))
