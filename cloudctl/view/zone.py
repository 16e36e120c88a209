"""All intersections of a node at a glance. A look is taken in slices, so that it never holds up the loop for long."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..clock import SECOND
from ..codes import CompiledCode
from ..codes.model import ROLES
from ..geo import Origin
from ..intersection import IntersectionState
from ..planner import PERCEPTION_AGE, SIGNAL_AGE
from ..traffic_messages import Traffic
from .columns import OVERVIEW_COLUMNS, Condition, overview

LOOK_INTERVAL = SECOND
SLICE = 64  # intersections looked at in one step: under 0.2 ms
QUIET = 3 * SECOND  # without input for so long there is no data
EGRESS = ROLES.index("egress")
LEVELS = "ABCDEF"  # of service; 0 in the overview: not known


def _arms(code: CompiledCode) -> list[int]:
    """Return where the roads of an intersection begin and end: x, y of the far end of each link, m."""
    far: dict[int, tuple[int, int]] = {}
    for lane in range(code.n_lanes):
        first, last = code.path_start[lane], code.path_start[lane + 1] - 1
        x, y = code.path_xy[last if code.lane_role[lane] == EGRESS else first]
        far[int(code.lane_link[lane])] = round(float(x)), round(float(y))
    return [number for end in far.values() for number in end]


class Zone:
    """The overview of a node's intersections."""

    def __init__(self, places: Sequence[IntersectionState]) -> None:
        self._places = places
        self._columns: dict[str, Any] = {column.name: np.zeros(len(places), column.type) for column in OVERVIEW_COLUMNS}
        self._next = 0  # the intersection that is looked at next
        self._begun = 0  # ns; when the present look began

    def listing(self) -> list[dict[str, Any]]:
        """Return where each intersection is: m east and north of the middle of all. Takes some 0.1 s for a thousand."""
        if not self._places:
            return []
        origins = [place.code.origin for place in self._places]
        middle = Origin(sum(o.lat for o in origins) / len(origins), sum(o.lon for o in origins) / len(origins))
        rows = []
        for place in self._places:
            east, north = middle.to_local(place.code.origin.lat, place.code.origin.lon)
            row = {
                "id": place.code.code.id,
                "name": place.code.code.name,
                "x": round(float(east), 2),
                "y": round(float(north), 2),
            }
            rows.append(row | {"arms": _arms(place.code)})
        return rows

    def note_advisory(self, index: int) -> None:
        """Count an advisory of an intersection, for the look that is under way."""
        if index >= 0:
            self._columns["advisories"][index] += 1

    def note_traffic(self, index: int, report: Traffic) -> None:
        """Take in a report of traffic: the longest queue and the worst level of service of its lanes."""
        levels = [LEVELS.index(lane.level) + 1 for lane in report.lanes if lane.level]
        self._columns["level"][index] = max(levels, default=0)
        self._columns["queue_m"][index] = max((lane.queue_m for lane in report.lanes), default=0.0)

    def look(self, t: int) -> bytes | None:
        """Look at the next few intersections; return the frame when all were looked at, at most once in
        LOOK_INTERVAL.
        """
        if self._next == 0:
            if 0 <= t - self._begun < LOOK_INTERVAL:
                return None
            self._begun = t
        last = min(self._next + SLICE, len(self._places))
        for index in range(self._next, last):
            self._look_at(t, index, self._places[index])
        self._next = last
        if last < len(self._places):
            return None

        self._next = 0
        data = overview(t, self._columns)
        self._columns["advisories"][:] = 0
        return data

    def _look_at(self, t: int, index: int, place: IntersectionState) -> None:
        columns, world = self._columns, place.latest
        quiet = world is None or not place.last_input or t - place.last_input > QUIET
        if world is None or quiet:
            columns["condition"][index] = Condition.NO_DATA if place.in_force else Condition.NO_CODE
            columns["tracks"][index] = columns["connected"][index] = 0
            columns["perception_age"][index] = columns["signal_age"][index] = np.nan
            return
        columns["tracks"][index] = len(world.tracks)
        columns["connected"][index] = len(world.vehicles)
        columns["perception_age"][index] = (t - world.t_sensor) / SECOND if world.t_sensor else np.nan
        columns["signal_age"][index] = (t - world.signals.t) / SECOND if world.signals.t else np.nan
        withheld = world.perception_age > PERCEPTION_AGE or (
            len(world.code.group_ids) > 0 and world.signal_age > SIGNAL_AGE
        )
        troubled = world.signal_trouble or world.doubt_reason or world.sensor_trouble
        condition = Condition.DEGRADED if withheld or troubled else Condition.GOOD
        columns["condition"][index] = condition if place.in_force else Condition.NO_CODE
