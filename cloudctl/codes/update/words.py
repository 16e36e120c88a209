"""How a person calls the parts of an intersection, and how a line has moved: words and units of `codes diff`."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import IntersectionCode, Link
from ..polylines import F8, points_along
from ..terms import LinkRole
from .shapes import Shape, project, shape_of

COMPASS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
BEARING_DISTANCE = 40.0  # m from the intersection, where it shows from which side a road comes
MAX_LISTED, MAX_PAIRS = 12, 4  # names in one line, and pairs of names; the rest is counted
MAX_REDRAWN_OFFSET = 0.03  # m; a line that lies within is drawn anew, not moved
MAX_END_SHIFT = 0.05  # m by which an end must move to be worth a word
# m by which points may differ in how far they moved and the line has moved as a whole
MAX_UNEVEN_SHIFT = 0.015
# Share of a movement that is across the lane from which it is to the left or right
MIN_SIDEWAYS_SHARE = 0.9
WORD_OF_ROLE = {"ingress": "approach", "egress": "exit", "upstream": "upstream road"}


class Names:
    """What lanes, links and movements of a code are called, with their ids."""

    def __init__(self, code: IntersectionCode, origin: Origin) -> None:
        self._middle = np.array(
            [float(value) for value in origin.to_local(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)]
        )
        rows = list(code.lanes)
        self.shapes = {
            lane.id: shape_of(xy)
            for lane, xy in zip(rows, local_lines(origin, [lane.points for lane in rows]), strict=True)
        }
        sides = {link.id: self._side(code, link) for link in code.links}
        count = Counter(sides.values())
        self.links = {
            name: f"{side} ({name})" if count[side] > 1 or "upstream" in side else side for name, side in sides.items()
        }
        self.lanes = {
            lane.id: f"lane {lane.number} of {self.links.get(lane.link, lane.link)} ({lane.id})" for lane in code.lanes
        }
        lane_link = {lane.id: lane.link for lane in code.lanes}
        self.moves = {
            connection.id: f"movement {connection.id} "
            f"({self.links.get(lane_link.get(connection.from_lane, ''), connection.from_lane)}, {connection.turn})"
            for connection in code.connections
        }

    def _side(self, code: IntersectionCode, link: Link) -> str:
        """Return from which side of the compass a road comes, or to which it goes."""
        lines = [self.shapes[lane.id] for lane in code.lanes if lane.link == link.id and lane.id in self.shapes]
        word = WORD_OF_ROLE.get(link.role, link.role)
        if not lines or link.role == LinkRole.UPSTREAM:
            return word

        line = lines[0]
        if link.role == LinkRole.INGRESS:
            s = max(line.size - BEARING_DISTANCE, 0.0)
        else:
            s = min(BEARING_DISTANCE, line.size)

        x, y = points_along(line.xy, line.along, s) - self._middle

        return f"{COMPASS[round(float(np.degrees(np.arctan2(y, x))) / 45) % 8]} {word}"


def listed(names: Iterable[str], max_names: int = MAX_LISTED) -> str:
    """Return names in a row, the first ones where they are many."""
    all_names = list(names)
    if len(all_names) <= max_names:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:max_names])} and {len(all_names) - max_names} more"


def metres(value: float) -> str:
    """Return a length: two digits below 10 cm, else one."""
    return f"{value:.2f} m" if value < 0.095 else f"{value:.1f} m"


def value(number: float) -> str:
    """Return a number without a tail of zeros."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def text(item: object) -> str:
    """Return a value as JSON."""
    return msgspec.json.encode(item).decode()


def motion(old: Shape, new: Shape) -> str:
    """Return how a line has moved: to a side, at its ends; "" where it is only drawn anew within DRAWN."""
    uniform = _uniform_motion(old, new)
    if uniform:
        return uniform

    on_old, on_new = project(new.samples, old), project(old.samples, new)
    # The ends are left out: a line that was lengthened would seem to have moved sideways there
    between = (on_old.s > MAX_END_SHIFT) & (on_old.s < old.size - MAX_END_SHIFT)
    parts = []

    lateral = float(on_old.distance[between].max()) if between.any() else float(on_old.distance.max())
    if lateral >= MAX_REDRAWN_OFFSET:
        left = float(on_old.left[between].mean()) if between.any() else float(on_old.left.mean())
        is_even = bool(between.any()) and lateral - float(on_old.distance[between].min()) < 0.1
        parts.append(f"moved {'' if is_even else 'up to '}{metres(lateral)} to the {'left' if left > 0 else 'right'}")

    start = float(on_old.s[0]) if on_old.s[0] > MAX_END_SHIFT else -float(on_new.s[0])
    end = (
        old.size - float(on_old.s[-1]) if old.size - on_old.s[-1] > MAX_END_SHIFT else -(new.size - float(on_new.s[-1]))
    )
    if abs(start) > MAX_END_SHIFT:
        parts.append(f"begins {metres(abs(start))} {'later' if start > 0 else 'earlier'}")

    if abs(end) > MAX_END_SHIFT:
        parts.append(f"ends {metres(abs(end))} {'earlier' if end > 0 else 'later'}")

    return ", ".join(parts)


def _uniform_motion(old: Shape, new: Shape) -> str:
    if old.xy.shape != new.xy.shape:
        return ""

    step = new.xy - old.xy
    mean_step = step.mean(axis=0)
    size = float(np.hypot(*mean_step))

    if size < MAX_REDRAWN_OFFSET or float(np.abs(step - mean_step).max()) > MAX_UNEVEN_SHIFT:
        return ""

    direction_of_lane = old.xy[-1] - old.xy[0]
    across = float(direction_of_lane[0] * mean_step[1] - direction_of_lane[1] * mean_step[0]) / max(
        float(np.hypot(*direction_of_lane)), 1e-9
    )
    if abs(across) >= MIN_SIDEWAYS_SHARE * size:
        return f"moved {metres(size)} to the {'left' if across > 0 else 'right'}"

    return f"moved {metres(size)} to the {direction(mean_step)}"


def direction(step: F8) -> str:
    """Return the word of the compass for a step east, north."""
    return COMPASS[round(float(np.degrees(np.arctan2(step[1], step[0]))) / 45) % 8]
