"""What one compiled call found for many intersections, and the proposals of each of them."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from ..codes.compiled.rules import InForce
from ..world import World
from .candidate import Candidate
from .catalogue import PLANNERS, Situation
from .filter import AdvisoryFilter
from .gathering import gather, room_for
from .kinds.blind_spot import Sighting
from .kinds.glosa import Advice
from .kinds.signal_stop import Stop
from .screens import RESTRICTED, SCREENS, screen_all


class Screened:
    """Some intersections, looked at by one call. `gates`: of each whether signal times, signal states and perception
    are there. `filters`: what each has sent; speed advice that its vehicle has already is not proposed again, where
    nothing else is."""

    def __init__(
        self, worlds: Sequence[World], gates: Sequence[tuple[bool, bool, bool]], filters: Sequence[AdvisoryFilter]
    ) -> None:
        self._worlds = worlds
        places, columns, kept = gather(worlds, gates, filters)
        self._first_vehicle = [0, *accumulate(len(world.vehicles) for world in worlds)]
        findings = self._findings = room_for(len(worlds), self._first_vehicle[-1])
        screen_all(places, columns, findings)
        del kept  # it was read by address until here
        self._wanted, self._counts = findings.wanted.tolist(), findings.counts.tolist()

    def is_restricted(self, place: int) -> bool:
        """Return whether a vehicle's policy or poor position withholds advice from it."""
        return bool(self._wanted[place][RESTRICTED])

    def propose(self, place: int, ask_every_kind: bool = False) -> list[Candidate]:
        """Return the proposals of all kinds for one of the intersections; `ask_every_kind`: whatever its screen says,
        which changes nothing but the time it takes."""
        wanted = self._wanted[place][:SCREENS]
        if not ask_every_kind and not any(wanted):
            return []

        situation = self._situation(place)
        candidates: list[Candidate] = []
        for screen, plan in PLANNERS:
            if ask_every_kind or wanted[screen]:
                candidates += plan(situation)

        return candidates

    def _situation(self, place: int) -> Situation:
        found, (first, end) = self._findings, self._first_vehicle[place : place + 2]
        n_advices, n_stops, n_sightings = self._counts[place]
        capping, refusing, undecided = found.decided[:, first:end]

        return Situation(
            world=self._worlds[place],
            limits=InForce(found.limit[first:end], capping, refusing, undecided),
            advices=[Advice(*row) for row in _first_rows(found.advices, first, n_advices)],
            stops=[Stop(*row) for row in _first_rows(found.stops, first, n_stops)],
            sightings=[Sighting(*row) for row in _first_rows(found.sightings, first, n_sightings)],
        )


def _first_rows(rows: Any, first: int, count: int) -> Any:
    """Return `count` rows from the first on, as Python values; mostly there are none, and numpy need not be asked."""
    return rows[first : first + count].tolist() if count else ()
