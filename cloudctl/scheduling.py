"""When each intersection is planned next: a period after its last plan, sooner for fresh perception, at once when a
signal has changed.

A plan without fresh perception comes a share of the period late, so that perception which arrives a little late still
gets into it.
"""

import heapq
from collections.abc import Iterable, Mapping

from .clock import MS, SECOND
from .intersection import NEVER, IntersectionState

MAX_SILENCE = 2 * SECOND  # without any input; after it an intersection is no longer planned
MIN_PERIOD = 20 * MS  # between plans without fresh perception
SLACK = 0.2  # of the period: how early a plan may begin for fresh perception, and how late without


class PlanScheduler:
    """The plans to come of all intersections. `period` (ns) is that of planning; it may be changed at any time."""

    def __init__(self, period: int) -> None:
        self.period = period
        # a heap of (ns, intersection); each intersection is in it once at most: `IntersectionState.plan_scheduled`
        self._plans: list[tuple[int, str]] = []
        self._urgent: dict[int, IntersectionState] = {}  # by identity

    @property
    def next(self) -> int:
        """Return when the next plan is due without further data, NEVER where none is; ns."""
        return self._plans[0][0] if self._plans else NEVER

    @property
    def waiting(self) -> int:
        """Return how many plans are to come."""
        return len(self._plans)

    def clear(self) -> None:
        """Cancel all plans to come."""
        self._plans.clear()
        self._urgent.clear()

    def drop(self, intersection: IntersectionState) -> None:
        """Cancel the plans of one intersection, which is no longer served."""
        name = intersection.code.code.id
        self._plans = [plan for plan in self._plans if plan[1] != name]
        heapq.heapify(self._plans)
        self._urgent.pop(id(intersection), None)

    def schedule_plan(self, t: int, intersection: IntersectionState, urgent: bool = False) -> None:
        """Plan an intersection soon, since it got input at `t` ns; `urgent`: in this very step, vehicles may still be
        able to stop."""
        intersection.last_input = t
        if urgent:
            self._urgent[id(intersection)] = intersection
        if not intersection.plan_scheduled:
            self._schedule_at(t + self._plan_delay, intersection)

    def due(
        self, t: int, with_frames: Iterable[IntersectionState], intersections: Mapping[str, IntersectionState]
    ) -> list[IntersectionState]:
        """Return the intersections to plan at `t` ns, and schedule their next plans; `with_frames`: those with fresh
        perception."""
        earliest = self.period - self._plan_delay
        due = [intersection for intersection in with_frames if t >= intersection.planned + earliest]
        for intersection in due:
            intersection.planned = t

        if self.next <= t:
            self._add_timed_plans(t, due, intersections)

        # Urgent plans come beside the regular ones, which keep their times.
        if self._urgent:
            regular = set(map(id, due))  # asked, never iterated
            due += [intersection for key, intersection in self._urgent.items() if key not in regular]
            self._urgent.clear()

        return due

    def _add_timed_plans(
        self, t: int, due: list[IntersectionState], intersections: Mapping[str, IntersectionState]
    ) -> None:
        """Add the intersections whose scheduled time has come, and schedule each again while it gets input. Those that
        are due already are `planned` at `t`."""
        plans, interval = self._plans, max(self.period, MIN_PERIOD) + self._plan_delay
        while plans and plans[0][0] <= t:
            _, name = heapq.heappop(plans)
            intersection = intersections[name]
            if t >= intersection.planned + interval:
                due.append(intersection)
                intersection.planned = t

            intersection.plan_scheduled = t - intersection.last_input < MAX_SILENCE
            if intersection.plan_scheduled:
                heapq.heappush(plans, (intersection.planned + interval, name))

    def _schedule_at(self, t: int, intersection: IntersectionState) -> None:
        intersection.plan_scheduled = True
        heapq.heappush(self._plans, (t, intersection.code.code.id))

    @property
    def _plan_delay(self) -> int:
        return int(self.period * SLACK)
