"""When each intersection is planned next: a period after its last plan, sooner for fresh perception, at once when a signal has changed.

Between two plans that nothing asked for lies the period and a share of it, so that perception which comes a little late is waited for.
"""

import heapq
from collections.abc import Mapping

from .clock import MS, SECOND
from .intersection import NEVER, IntersectionState

MAX_SILENCE = 2 * SECOND  # an intersection without input for so long is not planned
MIN_PERIOD = 20 * MS  # between plans that no fresh perception asked for
SLACK = 0.2  # of the period: how much early fresh perception may start a plan, and how much late a plan waits for it


class PlanScheduler:
    """The plans to come of all intersections. `period` (ns) is that of planning; it may be changed at any time."""

    def __init__(self, period: int) -> None:
        self.period = period
        self._plans: list[
            tuple[int, str]
        ] = []  # a heap of (ns, intersection); `IntersectionState.plan_scheduled`: it is in there
        self._urgent: list[IntersectionState] = []

    @property
    def next(self) -> int:
        """Return when the next plan is due without further data, NEVER where none is."""
        return self._plans[0][0] if self._plans else NEVER

    def clear(self) -> None:
        """Forget all plans to come."""
        self._plans.clear()
        self._urgent.clear()

    def schedule_plan(self, t: int, place: IntersectionState, urgent: bool = False) -> None:
        """Plan an intersection soon, because something came for it at `t` ns; `urgent`: in this very step, vehicles may still be able to stop."""
        place.last_input = t
        if urgent and place not in self._urgent:
            self._urgent.append(place)
        if not place.plan_scheduled:
            place.plan_scheduled = True
            heapq.heappush(self._plans, (t + self._plan_delay, place.code.code.id))

    def due(
        self, t: int, fresh: list[IntersectionState], places: Mapping[str, IntersectionState]
    ) -> list[IntersectionState]:
        """Return the intersections to plan at `t` ns, and schedule them again; `fresh`: those with new perception."""
        rest = max(self.period, MIN_PERIOD) + self._plan_delay
        due = [place for place in fresh if t >= place.planned + self.period - self._plan_delay]
        while self.next <= t:
            _, name = heapq.heappop(self._plans)
            place = places[name]
            place.plan_scheduled = False
            if t >= place.planned + rest and place not in due:
                due.append(place)
            if t - place.last_input < MAX_SILENCE:
                place.plan_scheduled = True
                planned = t if place in due else place.planned
                heapq.heappush(self._plans, (planned + rest, name))

        for place in due:
            place.planned = t
        due += [place for place in self._urgent if place not in due]  # beside the regular plans, which keep their times
        self._urgent.clear()
        return due

    @property
    def _plan_delay(self) -> int:
        return int(self.period * SLACK)
