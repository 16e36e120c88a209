"""Signal controllers that take priority requests: SUMO's programmes, lengthened or shortened within limits of their
own.

A controller does what a node asks only within its own rules: greens last MIN_GREEN at least and get EXTENSION more at
most; yellow and all-red
phases are never touched. What it gave it takes back from later greens, a quarter of each at the most, until it is where
its programme would be.
"""

from dataclasses import dataclass

import libsumo

from ...clock import SECOND
from ...schema import Priority
from ..scenario.scenario import Junction
from .bounds import GREEN
from .signal_program import Program

MIN_GREEN = 7.0  # s, crosswalks included
EXTENSION = 30.0  # s
RETURN_SHARE = 0.25  # of a green that is taken from, or added to it, on the way back
TOLERANCE = 0.2  # s; a smaller difference is none
MIN_LEFT = 0.1  # s; SUMO ends no phase in the past


@dataclass
class PriorityCall:
    """What a node asked for."""

    column: int  # of the signal's state
    action: str  # "extend" or "early"
    at: float  # s of SUMO


class Controller:
    """One signal. Call `ask` with what a node sends, `step` every step of SUMO."""

    def __init__(self, junction: Junction, program: Program) -> None:
        self.signal, self.program = junction.signal, program
        self.columns = {group.id: group.channels[0] for group in junction.code.code.signal_groups}
        self.lateness = 0.0  # s by which the programme runs late (positive) or early
        self.changes = 0
        self._call: PriorityCall | None = None
        self._extended = 0.0  # s, of the phase in force
        self._phase = -1

    def ask(self, body: Priority, t: int) -> None:
        """Take a request; `t` is the node's clock now."""
        if body.action == "release":
            self._call = None
            return
        due = float(libsumo.simulation.getTime()) + (body.at - t) / SECOND
        self._call = PriorityCall(self.columns[body.group], body.action, due)

    def step(self) -> None:
        """Do what is asked, or go on the way back to the programme."""
        if self._call is None and abs(self.lateness) < TOLERANCE:
            return

        lights = libsumo.trafficlight
        phase, now = lights.getPhase(self.signal), float(libsumo.simulation.getTime())
        remaining, elapsed = float(lights.getNextSwitch(self.signal)) - now, float(lights.getSpentDuration(self.signal))
        is_new, self._phase = phase != self._phase, phase
        if is_new:
            self._extended = 0.0

        state = self.program.phases[phase].state
        if not _is_green(state):
            # Transitions protect the road users that clear the intersection
            return

        if self._call is None:
            wanted = self._on_the_way_back(phase, remaining, elapsed) if is_new else remaining
        else:
            wanted = self._as_asked(self._call, phase, remaining, elapsed, now)

        if abs(wanted - remaining) > TOLERANCE:
            lights.setPhaseDuration(self.signal, wanted)
            self.lateness += wanted - remaining
            self._extended += max(wanted - remaining, 0.0)
            self.changes += 1

    def _on_the_way_back(self, phase: int, remaining: float, elapsed: float) -> float:
        """Return how long a phase that begins is to last, s: nearer to the programme."""
        share = RETURN_SHARE * self.program.phases[phase].duration
        return max(remaining - max(min(self.lateness, share), -share), MIN_GREEN - elapsed)

    def _as_asked(self, call: PriorityCall, phase: int, remaining: float, elapsed: float, now: float) -> float:
        """Return how long the phase is to last from now, s, within the controller's limits."""
        phases = self.program.phases
        if phases[phase].state[call.column] in GREEN:
            ends_next = phases[(phase + 1) % len(phases)].state[call.column] not in GREEN
            if call.action == "extend" and ends_next:
                return max(remaining, min(call.at - now, remaining + EXTENSION - self._extended))
            return remaining

        if call.action == "early":
            late = now + remaining + self._until_green(phase, call.column) - call.at
            wanted = max(min(remaining, remaining - late), MIN_GREEN - elapsed, MIN_LEFT)
            return min(wanted, remaining)

        return remaining

    def _until_green(self, phase: int, column: int) -> float:
        """Return s from the end of a phase to the next green of a column, with greens between them as short as may
        be.
        """
        phases, total = self.program.phases, 0.0
        for index in range(1, len(phases)):
            following = phases[(phase + index) % len(phases)]
            if following.state[column] in GREEN:
                return total
            total += min(following.duration, MIN_GREEN) if _is_green(following.state) else following.duration

        return total


def _is_green(state: str) -> bool:
    """Return whether a phase shows a green and no yellow: one whose length a controller may choose."""
    return any(letter in GREEN for letter in state) and "y" not in state and "Y" not in state
