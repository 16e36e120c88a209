"""Signal controllers that take priority requests: SUMO's programmes, lengthened or shortened within limits of their own.

A controller does what a node asks only within its own rules: greens last MIN_GREEN at least and get EXTENSION more at most; yellow and all-red
phases are never touched. What it gave it takes back from later greens, a quarter of each at the most, until it is where its programme would be.
"""

from dataclasses import dataclass

import libsumo

from ...clock import SECOND
from ...schema import Priority
from ..scenario.scenario import Junction
from .traffic import GREEN, Program

MIN_GREEN = 7.0  # s, who walks included
EXTENSION = 30.0  # s
PART = 0.25  # of a green that is taken from, or added to it, on the way back
NEAR = 0.2  # s; a smaller difference is none


@dataclass
class Asked:
    """What a node asked for."""

    column: int  # of the signal's state
    action: str
    at: float  # s of SUMO


class Controller:
    """One signal. `ask` what a node sends, `step` every step of SUMO."""

    def __init__(self, junction: Junction, program: Program) -> None:
        self.signal, self.program = junction.signal, program
        self.columns = {group.id: group.channels[0] for group in junction.code.code.signal_groups}
        self.ahead = 0.0  # s by which the programme runs late (positive) or early
        self.changes = 0
        self._asked: Asked | None = None
        self._given = 0.0
        self._phase = -1

    def ask(self, body: Priority, t: int) -> None:
        """Take a request; `t` is the node's clock now."""
        if body.action == "release":
            self._asked = None
            return
        at = float(libsumo.simulation.getTime()) + (body.at - t) / SECOND
        self._asked = Asked(self.columns[body.group], body.action, at)

    def step(self) -> None:
        """Do what is asked, or go on the way back to the programme."""
        if self._asked is None and abs(self.ahead) < NEAR:
            return
        api = libsumo.trafficlight
        phase, now = api.getPhase(self.signal), float(libsumo.simulation.getTime())
        left, gone = float(api.getNextSwitch(self.signal)) - now, float(api.getSpentDuration(self.signal))
        fresh, self._phase = phase != self._phase, phase
        if fresh:
            self._given = 0.0
        shown = self.program.phases[phase][0]
        if "y" in shown or "Y" in shown or not any(letter in GREEN for letter in shown):
            return
        wanted = left
        if self._asked is None:
            if fresh:
                part = PART * self.program.phases[phase][1]
                wanted = max(left - max(min(self.ahead, part), -part), MIN_GREEN - gone)
        elif shown[self._asked.column] in GREEN:
            following = self.program.phases[(phase + 1) % len(self.program.phases)][0]
            if self._asked.action == "extend" and following[self._asked.column] not in GREEN:
                wanted = max(left, min(self._asked.at - now, left + EXTENSION - self._given))
        elif self._asked.action == "early":
            late = now + left + self._between(phase, self._asked.column) - self._asked.at
            wanted = max(min(left, left - late), MIN_GREEN - gone, 0.1)
            wanted = min(wanted, left)
        if abs(wanted - left) > NEAR:
            api.setPhaseDuration(self.signal, wanted)
            self.ahead += wanted - left
            self._given += max(wanted - left, 0.0)
            self.changes += 1

    def _between(self, phase: int, column: int) -> float:
        """Return s of the phases between the end of this one and the next green of a column; greens among them as short as may be."""
        phases, total = self.program.phases, 0.0
        for k in range(1, len(phases)):
            state, duration = phases[(phase + k) % len(phases)][:2]
            if state[column] in GREEN:
                return total
            moving = any(letter in GREEN for letter in state) and "y" not in state and "Y" not in state
            total += min(duration, MIN_GREEN) if moving else duration
        return total
