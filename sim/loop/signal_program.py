"""The signal programme of an intersection in SUMO, reported as its controller would report it."""

from collections.abc import Sequence
from typing import NamedTuple

import libsumo

from ...clock import SECOND
from ...codes import IntersectionCode
from ...schema import Group, SignalState
from ..scenario.scenario import Junction, ScenarioError
from .bounds import GREEN, UNKNOWN, Phase, bounds, same_colour

SIGNAL_STATES = {  # by SUMO's letter
    "r": SignalState.RED,
    "R": SignalState.RED,
    "y": SignalState.YELLOW_PERMISSIVE,
    "Y": SignalState.YELLOW_PROTECTED,
    "g": SignalState.GREEN_PERMISSIVE,
    "G": SignalState.GREEN_PROTECTED,
    "u": SignalState.PRE_MOVEMENT,
    "s": SignalState.RED,
    "o": SignalState.YELLOW_FLASH,
    "O": SignalState.DARK,
}
FIXED, ACTUATED, DELAY_BASED = 0, 3, 5  # types of programmes as libsumo numbers them
# Those that change phases between their own shortest and longest duration
RESPONSIVE = (ACTUATED, DELAY_BASED)


class NextGreen(NamedTuple):
    """The next green of a group, in s from now; None where that is not known."""

    start: float | None
    duration: float | None


def _check_one_colour(signal: str, program: str, group: int, channels: Sequence[int], phases: Sequence[Phase]) -> None:
    """Raise ScenarioError where the heads of a group show different colours in a phase: a message could give only one
    of them.
    """
    for number, phase in enumerate(phases):
        for channel in channels[1:]:
            if not same_colour(phase.state[channel], phase.state[channels[0]]):
                raise ScenarioError(
                    f"signal {signal}, programme {program}, phase {number}: heads {channels[0]} and {channel} of group"
                    f" {group} show {phase.state[channels[0]]} and {phase.state[channel]}; a group shows one colour."
                    " Give the code this programme when it is made (additional files of the scenario), so that they"
                    " are groups of their own"
                )


class Program:
    """The signal programme of one intersection: to the second where it is fixed, else within what its controller knows
    (`bounds`).
    """

    def __init__(self, junction: Junction) -> None:
        self.signal = junction.signal
        code = junction.code.code
        self.channels = {group.id: group.channels for group in code.signal_groups}
        self.columns = [(group, channels[0]) for group, channels in self.channels.items()]
        self.yields = sorted(
            (yielding, prior) for yielding, prior_groups in gives_way(code).items() for prior in prior_groups
        )
        self._program_id = ""
        self._read_program()

    def _read_program(self) -> None:
        """Read the programme that runs, where it is another than before: a scenario may switch them by the hour."""
        program_id = libsumo.trafficlight.getProgram(self.signal)
        if program_id == self._program_id:
            return

        self._program_id = program_id

        logics = libsumo.trafficlight.getAllProgramLogics(self.signal)
        logic = next(logic for logic in logics if logic.programID == program_id)

        self.phases = [
            Phase(
                state=phase.state,
                duration=float(phase.duration),
                shortest=float(phase.minDur),
                longest=float(phase.maxDur),
            )
            for phase in logic.phases
        ]
        for group, channels in self.channels.items():
            _check_one_colour(self.signal, program_id, group, channels, self.phases)

        self.is_fixed = logic.type == FIXED
        count = len(logic.phases)
        in_order = all(tuple(phase.next) in ((), ((index + 1) % count,)) for index, phase in enumerate(logic.phases))
        self.is_cyclic = logic.type in RESPONSIVE and in_order

    def groups(self, time_ns: int) -> tuple[Group, ...]:
        """Return the signal groups at `time_ns`, as the controller would report them."""
        self._read_program()
        states = self._displayed()
        phase = libsumo.trafficlight.getPhase(self.signal)

        if self.is_fixed:
            now = float(libsumo.simulation.getTime())
            remaining = float(libsumo.trafficlight.getNextSwitch(self.signal)) - now
            return tuple(
                self._fixed(group, states[group], column=column, phase=phase, remaining=remaining, time_ns=time_ns)
                for group, column in self.columns
            )

        elapsed = float(libsumo.trafficlight.getSpentDuration(self.signal))
        return tuple(
            self._responsive(group, states[group], column=column, phase=phase, spent=elapsed, time_ns=time_ns)
            for group, column in self.columns
        )

    def _displayed(self) -> dict[int, SignalState]:
        """Return the state that each group displays now."""
        letters = libsumo.trafficlight.getRedYellowGreenState(self.signal)
        states = {group: SIGNAL_STATES.get(letters[column], SignalState.UNKNOWN) for group, column in self.columns}

        # A controller reports a green that must give way as permissive, whatever SUMO's letter.
        for own, prior in self.yields:
            if states[own] == states[prior] == SignalState.GREEN_PROTECTED:
                states[own] = SignalState.GREEN_PERMISSIVE

        return states

    def _fixed(self, group: int, state: SignalState, column: int, phase: int, remaining: float, time_ns: int) -> Group:
        """Return a group of a fixed programme, which knows every end. `remaining`: s of the present phase."""
        end_in, change = remaining, phase
        letter = self.phases[phase].state[column]

        for change in self._following(phase):
            if not same_colour(self.phases[change].state[column], letter):
                break
            end_in += self.phases[change].duration

        green = self._next_green(column, change, end_in)
        end = time_ns + round(end_in * SECOND)

        return Group(
            group,
            state,
            min_end=end,
            max_end=end,
            likely_end=end,
            confidence=1.0,
            next_green=later(time_ns, green.start),
            next_duration=_nanoseconds(green.duration),
        )

    def _responsive(self, group: int, state: SignalState, column: int, phase: int, spent: float, time_ns: int) -> Group:
        """Return a group of a traffic-responsive programme: nothing but what its controller is bound to. `spent`: s in
        the present phase."""
        ends = bounds(self.phases, phase, spent, column) if self.is_cyclic else UNKNOWN
        is_certain = ends.earliest == ends.latest

        return Group(
            group,
            state,
            min_end=later(time_ns, ends.earliest),
            max_end=later(time_ns, ends.latest),
            likely_end=later(time_ns, ends.latest) if is_certain else None,
            confidence=1.0 if is_certain else None,
            next_green=later(time_ns, ends.next_green),
            next_duration=_nanoseconds(ends.next_duration),
        )

    def _next_green(self, column: int, phase: int, begins_in: float) -> NextGreen:
        """Return the first green of a column from a phase on that begins in `begins_in` s."""
        start: float | None = None
        phase_start = begins_in

        for number in [phase, *self._following(phase)]:
            is_green = self.phases[number].state[column] in GREEN
            if is_green and start is None:
                start = phase_start
            elif not is_green and start is not None:
                return NextGreen(start, phase_start - start)
            phase_start += self.phases[number].duration

        return NextGreen(start, duration=None)

    def _following(self, phase: int) -> list[int]:
        count = len(self.phases)
        return [(phase + index) % count for index in range(1, count)]


def gives_way(code: IntersectionCode) -> dict[int, set[int]]:
    """Return, by signal group, the groups it gives way to when both are green.

    SUMO lets links that meet both show G and settles them by right of way; a controller reports the one that must give
    way as permissive.
    """
    group_of = {connection.id: connection.group for connection in code.connections}
    yields: dict[int, set[int]] = {}

    for conflict in code.conflicts:
        first, second = group_of[conflict.a], group_of[conflict.b]
        if not first or not second or first == second or conflict.kind == "diverge":
            continue

        # Where the code names neither, either must expect the other.
        if conflict.a_yields or not conflict.b_yields:
            yields.setdefault(first, set()).add(second)
        if conflict.b_yields or not conflict.a_yields:
            yields.setdefault(second, set()).add(first)

    return yields


def later(time_ns: int, seconds: float | None) -> int | None:
    """Return the time `seconds` after `time_ns`; None where that is not known."""
    return None if seconds is None else time_ns + round(seconds * SECOND)


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * SECOND)
