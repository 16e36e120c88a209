"""How a person calls the parts of an intersection, and how a line has moved: words and units of `codes diff`."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ..compiled.code import local_lines
from ..model import IntersectionCode, Link
from ..polylines import F8, at
from .shapes import Shape, project, shape

COMPASS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
AHEAD = 40.0  # m from the intersection, where it shows from which side a road comes
MAX_LISTED, MAX_PAIRS = 12, 4  # names in one line, and pairs of names; the rest is counted
DRAWN = 0.03  # m; a line that lies within is drawn anew, not moved
END = 0.05  # m by which an end must move to be worth a word
UNIFORM = 0.015  # m by which points may differ in how far they moved and the line has moved as a whole
SIDEWAYS = 0.9  # share of a movement that is across the lane from which it is to the left or right
ROADS = {"ingress": "approach", "egress": "exit", "upstream": "upstream road"}


class Names:
    """What lanes, links and movements of a code are called, with their ids."""

    def __init__(self, code: IntersectionCode, origin: Origin) -> None:
        self._middle = np.array([float(v) for v in origin.to_local(code.ref_lat_e7 / 1e7, code.ref_lon_e7 / 1e7)])
        rows = list(code.lanes)
        self.shapes = {
            lane.id: shape(xy)
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
            c.id: f"movement {c.id} ({self.links.get(lane_link.get(c.from_lane, ''), c.from_lane)}, {c.turn})"
            for c in code.connections
        }

    def _side(self, code: IntersectionCode, link: Link) -> str:
        """Return from which side of the compass a road comes, or to which it goes."""
        lines = [self.shapes[lane.id] for lane in code.lanes if lane.link == link.id and lane.id in self.shapes]
        word = ROADS.get(link.role, link.role)
        if not lines or link.role == "upstream":
            return word
        line = lines[0]
        s = max(line.size - AHEAD, 0.0) if link.role == "ingress" else min(AHEAD, line.size)
        x, y = at(line.xy, line.along, s) - self._middle
        return f"{COMPASS[round(float(np.degrees(np.arctan2(y, x))) / 45) % 8]} {word}"


def listed(names: Iterable[str], most: int = MAX_LISTED) -> str:
    """Return names in a row, the first ones where they are many."""
    all_names = list(names)
    if len(all_names) <= most:
        return ", ".join(all_names)
    return f"{', '.join(all_names[:most])} and {len(all_names) - most} more"


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
    whole = _as_a_whole(old, new)
    if whole:
        return whole
    laid, back = project(new.samples, old), project(old.samples, new)
    between = (laid.s > END) & (laid.s < old.size - END)
    parts = []
    side = float(laid.distance[between].max()) if between.any() else float(laid.distance.max())
    if side >= DRAWN:
        left = float(laid.left[between].mean()) if between.any() else float(laid.left.mean())
        even = bool(between.any()) and side - float(laid.distance[between].min()) < 0.1
        parts.append(f"moved {'' if even else 'up to '}{metres(side)} to the {'left' if left > 0 else 'right'}")
    start = float(laid.s[0]) if laid.s[0] > END else -float(back.s[0])
    end = old.size - float(laid.s[-1]) if old.size - laid.s[-1] > END else -(new.size - float(back.s[-1]))
    if abs(start) > END:
        parts.append(f"begins {metres(abs(start))} {'later' if start > 0 else 'earlier'}")
    if abs(end) > END:
        parts.append(f"ends {metres(abs(end))} {'earlier' if end > 0 else 'later'}")
    return ", ".join(parts)


def _as_a_whole(old: Shape, new: Shape) -> str:
    if old.xy.shape != new.xy.shape:
        return ""
    step = new.xy - old.xy
    middle = step.mean(axis=0)
    size = float(np.hypot(*middle))
    if size < DRAWN or float(np.abs(step - middle).max()) > UNIFORM:
        return ""
    ahead = old.xy[-1] - old.xy[0]
    across = float(ahead[0] * middle[1] - ahead[1] * middle[0]) / max(float(np.hypot(*ahead)), 1e-9)
    if abs(across) >= SIDEWAYS * size:
        return f"moved {metres(size)} to the {'left' if across > 0 else 'right'}"
    return f"moved {metres(size)} to the {direction(middle)}"


def direction(step: F8) -> str:
    """Return the word of the compass for a step east, north."""
    return COMPASS[round(float(np.degrees(np.arctan2(step[1], step[0]))) / 45) % 8]
