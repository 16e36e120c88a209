"""What one compiled call found for many intersections, and the proposals of each of them."""

from collections.abc import Sequence

from ..codes.compiled.rules import InForce
from ..world import World
from .candidate import Candidate
from .catalogue import PLANNERS, Situation
from .gathering import gather, gather_places, room_for
from .kinds.ahead import places as ahead_places
from .kinds.blind_spot import Sighting
from .kinds.glosa import Advice
from .kinds.signal_stop import Stop
from .screens import AHEAD, screen_all


class Screened:
    """Some intersections, looked at by one call. `gates`: of each whether signal times, signal states and perception
    are there."""

    def __init__(self, worlds: Sequence[World], gates: Sequence[tuple[bool, bool, bool]]) -> None:
        self._worlds = worlds
        places, (bounds, columns) = gather_places(worlds, gates), gather(worlds)
        self._findings = room_for(places, bounds)
        screen_all(places, bounds, columns, self._findings)
        self._vehicles = bounds.vehicles.tolist()

    def is_restricted(self, place: int) -> bool:
        """Return whether a vehicle's policy or poor position withholds advice from it."""
        return bool(self._findings.is_restricted[place])

    def propose(self, place: int, ask_every_kind: bool = False) -> list[Candidate]:
        """Return the proposals of all kinds for one of the intersections; `ask_every_kind`: whatever its screen says,
        which changes nothing but the time it takes."""
        wanted = self._findings.wanted[place].tolist()
        if ahead_places(self._worlds[place].code, self._worlds[place].rules).dynamic:
            wanted[AHEAD] = True
        if not ask_every_kind and not any(wanted):
            return []
        situation = self._situation(place)
        candidates: list[Candidate] = []
        for screen, plan in PLANNERS:
            if ask_every_kind or wanted[screen]:
                candidates += plan(situation)
        return candidates

    def _situation(self, place: int) -> Situation:
        found, (first, end) = self._findings, self._vehicles[place]
        advices = found.advices[first : first + int(found.n_advices[place])]
        stops = found.stops[first : first + int(found.n_stops[place])]
        sightings = found.sightings[first : first + int(found.n_sightings[place])]
        capping, refusing, undecided = found.decided[:, first:end]
        return Situation(
            world=self._worlds[place],
            limits=InForce(found.limit[first:end], capping, refusing, undecided),
            advices=[Advice(*row) for row in advices.tolist()],
            stops=[Stop(*row) for row in stops.tolist()],
            sightings=[Sighting(*row) for row in sightings.tolist()],
        )
