"""What helps a vehicle at a signal: nothing, a longer green, or an earlier one, and when at the soonest.

An earlier green never begins before everything that crosses has shown green for MIN_GREEN (pedestrians MIN_WALK),
yellow for CLEARANCE, and the pedestrians last let go have had the length of their crosswalk at WALKING_SPEED. Source:
NTCIP 1211; walking speed of GB 14886 signals.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from ..clock import SECOND
from ..codes import CompiledCode
from ..codes.model import CONFLICTS
from ..driving import SATURATION_HEADWAY, STARTUP_LOST_TIME
from ..forecast.stop_line import UNKNOWN_TIME, StopLineForecast
from ..schema import PriorityAction
from ..signals.colours import IS_GREEN, IS_YELLOW
from ..world import World

GREEN_MARGIN = 2.0  # s of green kept after the predicted arrival
MIN_GREEN, MIN_WALK = 6.0, 7.0  # s, of vehicles and of pedestrians
CLEARANCE = 4.0  # s
WALKING_SPEED = 1.0  # m/s
PEDESTRIAN_GROUP = 1  # index into codes.GROUP_KINDS
DIVERGE = CONFLICTS.index("diverge")


class Help(StrEnum):
    """What helps a vehicle; of what can be asked for, the values of `PriorityAction`."""

    NONE = "none"
    EXTEND = PriorityAction.EXTEND.value
    EARLY = PriorityAction.EARLY.value
    IMPOSSIBLE = "impossible"


class Need(NamedTuple):
    """What helps one vehicle, and when its green must last until, or cannot begin before (s from now)."""

    action: Help
    at: float
    why: str


class Crossing(NamedTuple):
    """What crosses a movement: a signal group, and the crosswalk it lets go (-1: it is a group of vehicles)."""

    group: int
    crosswalk: int


class Shown(NamedTuple):
    """Whether a group shows green, and since when (ns)."""

    is_green: bool
    since: int


class GreenTimes:
    """How long each signal group has shown green, or not; and what of that a priority request must respect."""

    def __init__(self) -> None:
        self._shown: dict[int, Shown] = {}  # by index of the group

    def observe(self, world: World) -> None:
        """Take in the states of a snapshot."""
        for group, is_green in enumerate(IS_GREEN[world.signals.state].tolist()):
            shown = self._shown.get(group)
            if shown is None or shown.is_green != is_green:
                self._shown[group] = Shown(is_green, world.t)

    def need(
        self, world: World, forecast: StopLineForecast, connection: int, eta: float, ahead: int, extension: float
    ) -> Need:
        """Return what helps a vehicle that arrives in `eta` s with `ahead` vehicles before it; an extension is at most
        `extension` s."""
        windows = forecast.windows
        group = int(world.code.conn_group[connection])
        is_green = bool(windows.is_green[group])

        # The present green, as it is or longer.
        if is_green:
            left = float(windows.time_left[group])
            if eta + GREEN_MARGIN <= left:
                return Need(Help.NONE, 0.0, f"your green lasts {left:.0f} s more, you arrive in {eta:.0f} s")
            if left < UNKNOWN_TIME and eta + GREEN_MARGIN - left <= extension:
                why = f"your green is asked to last until you pass, in {eta:.0f} s"
                return Need(Help.EXTEND, eta + GREEN_MARGIN, why)

        # The next green, as it is or earlier: the vehicles before it leave first.
        opens = float(windows.next_start[group])
        wanted = max(eta - STARTUP_LOST_TIME - ahead * SATURATION_HEADWAY, 0.0)
        if is_green or opens <= wanted:
            if opens >= UNKNOWN_TIME:
                return Need(Help.IMPOSSIBLE, 0.0, "it is not known when your next green begins")
            return Need(Help.NONE, opens, f"your next green begins in {opens:.0f} s by itself")

        soonest = self.soonest(world, connection)
        if soonest >= opens:
            return Need(Help.NONE, opens, f"your green begins in {opens:.0f} s; it cannot begin sooner")

        begins = max(soonest, wanted)
        return Need(Help.EARLY, begins, f"your green is asked to begin in {begins:.0f} s")

    def soonest(self, world: World, connection: int) -> float:
        """Return s until a movement's green can begin at the soonest: minimum greens, clearances and the way of
        pedestrians kept."""
        code, state = world.code, world.signals.state
        soonest = 0.0
        for group, crosswalk in crossing_groups(code, connection):
            shown = self._shown.get(group, Shown(is_green=False, since=world.t))
            shown_for = (world.t - shown.since) / SECOND
            walks = code.group_kind[group] == PEDESTRIAN_GROUP or crosswalk >= 0
            clearance = crosswalk_length(code, crosswalk) / WALKING_SPEED if crosswalk >= 0 else CLEARANCE

            if shown.is_green:
                min_green = MIN_WALK if walks else MIN_GREEN
                soonest = max(soonest, max(min_green - shown_for, 0.0) + clearance)
            elif walks or IS_YELLOW[state[group]]:
                soonest = max(soonest, clearance - shown_for)

        return soonest


def crossing_groups(code: CompiledCode, connection: int) -> list[Crossing]:
    """Return what crosses a movement: the groups of other movements, and those of the crosswalks it runs over."""
    own_group = int(code.conn_group[connection])
    found = set()
    for c in range(int(code.conf_start[connection]), int(code.conf_start[connection + 1])):
        group = int(code.conn_group[code.conf_other[c]])
        if code.conf_type[c] != DIVERGE and group >= 0 and group != own_group:
            found.add(Crossing(group, -1))

    for k in range(int(code.cw_start[connection]), int(code.cw_start[connection + 1])):
        crosswalk = int(code.cw_cross[k])
        if code.cross_group[crosswalk] >= 0:
            found.add(Crossing(int(code.cross_group[crosswalk]), crosswalk))

    return sorted(found)


def crosswalk_length(code: CompiledCode, crosswalk: int) -> float:
    """Return the length of a crosswalk (its index), m."""
    x0, y0, x1, y1 = code.cross_axis[crosswalk]
    return float(np.hypot(x1 - x0, y1 - y0))
