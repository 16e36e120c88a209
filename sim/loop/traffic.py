"""SUMO, one step at a time: who is where, what the signals show, how trips went. libsumo holds one simulation a
process.
"""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import libsumo
import numpy as np

from ...clock import MS, SECOND
from ...codes import IntersectionCode
from ...schema import Group, ObjectClass, SignalState
from ..scenario.scenario import Junction, Scenario, ScenarioError
from .bounds import GREEN, UNKNOWN, Phase, bounds, same_colour

KIND_OF_CLASS = {
    "bus": ObjectClass.BUS,
    "coach": ObjectClass.BUS,
    "truck": ObjectClass.TRUCK,
    "trailer": ObjectClass.TRUCK,
    "motorcycle": ObjectClass.MOTORCYCLE,
    "moped": ObjectClass.MOTORCYCLE,
    "bicycle": ObjectClass.BICYCLE,
    "pedestrian": ObjectClass.PEDESTRIAN,
}
EMISSION = {
    "bus": "HBEFA4/UBus_Std_gt15-18t_Euro-VI_A-C",
    "truck": "HBEFA4/RT_le7.5t_Euro-VI_A-C",
    "trailer": "HBEFA4/TT_AT_gt34-40t_Euro-VI_A-C",
}
CAR = "HBEFA4/PC_petrol_Euro-4"
STATE = {
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
RESPONSIVE = (ACTUATED, DELAY_BASED)  # those that change phases between their own shortest and longest duration


@dataclass(frozen=True)
class Truth:
    """Everyone at one moment, in SUMO's coordinates; positions are of the middle, headings in rad counter-clockwise
    from east.
    """

    t: int
    ids: list[str]
    numbers: np.ndarray  # int64[n], one for each road user for the whole run
    xy: np.ndarray
    speed: np.ndarray
    heading: np.ndarray
    length: np.ndarray
    width: np.ndarray
    kind: np.ndarray
    motor: int  # the first `motor` rows are SUMO vehicles (bicycles among them), the rest pedestrians


class Traffic:
    """One SUMO run of a scenario. Time `t` is `epoch` ns plus the simulated time since the scenario's begin."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        step_s: float = 0.1,
        epoch: int = 0,
        tripinfo: Path | None = None,
        arguments: Iterable[str] = (),
    ) -> None:
        self.scenario, self.step_s, self.epoch, self.tripinfo = scenario, step_s, epoch, tripinfo
        args = [
            "sumo",
            "-c",
            str(scenario.sumocfg),
            "--seed",
            str(seed),
            "--step-length",
            str(step_s),
            "--no-step-log",
            "--no-warnings",
            "--duration-log.disable",
            "--begin",
            str(scenario.begin),
            "--end",
            str(scenario.end + 86_400),
            "--device.emissions.probability",
            "1",
            "--default.emergencydecel",
            "9",
            *scenario.extra,
            *arguments,
        ]
        if tripinfo is not None:
            args += ["--tripinfo-output", str(tripinfo)]
        libsumo.start(args)
        self._fixed: dict[str, tuple[int, float, float, int]] = {}
        self._numbers = itertools.count(1)
        for kind in libsumo.vehicletype.getIDList():
            libsumo.vehicletype.setEmissionClass(kind, EMISSION.get(libsumo.vehicletype.getVehicleClass(kind), CAR))
        self.programs = {junction.id: Program(junction) for junction in scenario.junctions}

    @property
    def seconds(self) -> float:
        """Simulated seconds since the scenario's begin."""
        return float(libsumo.simulation.getTime()) - self.scenario.begin

    @property
    def t(self) -> int:
        return self.epoch + round(self.seconds * 1000) * MS

    @property
    def done(self) -> bool:
        return bool(libsumo.simulation.getMinExpectedNumber() <= 0)

    def step(self) -> None:
        libsumo.simulationStep()

    def fast_forward(self, seconds: float) -> None:
        """Run `seconds` of traffic at once, and put the clock back so that `t` is `epoch` now."""
        libsumo.simulationStep(self.scenario.begin + seconds)
        self.epoch -= round(self.seconds * 1000) * MS

    def truth(self) -> Truth:
        """Return everyone as they are now."""
        vehicles, persons = libsumo.vehicle.getIDList(), libsumo.person.getIDList()
        ids = [*vehicles, *persons]
        n = len(ids)
        places, speeds, angles, fixed = [], [], [], []
        for api, names in ((libsumo.vehicle, vehicles), (libsumo.person, persons)):
            place, pace, angle = api.getPosition, api.getSpeed, api.getAngle
            for name in names:
                places.append(place(name)[:2])
                speeds.append(pace(name))
                angles.append(angle(name))
                fixed.append(self._fixed.get(name) or self._new(api, name))
        xy, speed, heading = np.array(places, float).reshape(n, 2), np.array(speeds, float), np.array(angles, float)
        heading = np.radians(90.0 - heading)
        numbers, length, width, kind = (
            (np.array(column) for column in zip(*fixed, strict=True)) if n else (np.zeros(0),) * 4
        )
        xy[:, 0] -= np.cos(heading) * (length / 2)
        xy[:, 1] -= np.sin(heading) * (length / 2)
        return Truth(
            self.t,
            ids,
            numbers.astype(np.int64),
            xy,
            speed,
            heading,
            length,
            width,
            kind.astype(np.int64),
            len(vehicles),
        )

    def _new(self, api: object, name: str) -> tuple[int, float, float, int]:
        kind = KIND_OF_CLASS.get(api.getVehicleClass(name) if api is libsumo.vehicle else "pedestrian", ObjectClass.CAR)
        fixed = (next(self._numbers), api.getLength(name), api.getWidth(name), int(kind))
        self._fixed[name] = fixed
        return fixed

    def groups(self, junction: Junction) -> tuple[Group, ...]:
        """Return the signal groups of an intersection as its controller would tell them now."""
        return self.programs[junction.id].groups(self.t)

    def close(self) -> None:
        libsumo.close()


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
        self.yields = sorted((a, b) for a, others in gives_way(code).items() for b in others)
        self._logic = ""
        self._read()

    def _read(self) -> None:
        current = libsumo.trafficlight.getProgram(self.signal)
        if current == self._logic:
            return
        self._logic = current
        logic = next(x for x in libsumo.trafficlight.getAllProgramLogics(self.signal) if x.programID == current)
        self.phases = [
            Phase(phase.state, float(phase.duration), float(phase.minDur), float(phase.maxDur))
            for phase in logic.phases
        ]
        for group, channels in self.channels.items():
            _check_one_colour(self.signal, current, group, channels, self.phases)
        self.fixed = logic.type == FIXED
        n = len(logic.phases)
        in_order = all(tuple(phase.next) in ((), ((k + 1) % n,)) for k, phase in enumerate(logic.phases))
        self.cyclic = logic.type in RESPONSIVE and in_order

    def groups(self, t: int) -> tuple[Group, ...]:
        self._read()
        now = float(libsumo.simulation.getTime())
        phase = libsumo.trafficlight.getPhase(self.signal)
        left = float(libsumo.trafficlight.getNextSwitch(self.signal)) - now
        spent = float(libsumo.trafficlight.getSpentDuration(self.signal))
        state = libsumo.trafficlight.getRedYellowGreenState(self.signal)
        lit = {group: STATE.get(state[column], SignalState.UNKNOWN) for group, column in self.columns}
        for a, b in self.yields:  # a controller calls a green that must give way permissive, whatever SUMO's letter
            if lit[a] == lit[b] == SignalState.GREEN_PROTECTED:
                lit[a] = SignalState.GREEN_PERMISSIVE
        if self.fixed:
            return tuple(self._fixed(group, lit[group], column, phase, left, t) for group, column in self.columns)
        return tuple(self._responsive(group, lit[group], column, phase, spent, t) for group, column in self.columns)

    def _fixed(self, group: int, lit: SignalState, column: int, phase: int, left: float, t: int) -> Group:
        """Return a group of a fixed programme, which knows every end."""
        ends, k = left, phase
        shown = self.phases[phase].state[column]
        for k in self._following(phase):
            if not same_colour(self.phases[k].state[column], shown):
                break
            ends += self.phases[k].duration
        green, length = self._next_green(column, k, ends)
        end = t + round(ends * SECOND)
        return Group(
            group, lit, end, end, end, 1.0, later(t, green), None if length is None else round(length * SECOND)
        )

    def _responsive(self, group: int, lit: SignalState, column: int, phase: int, spent: float, t: int) -> Group:
        """Return a group of a programme that traffic drives: nothing but what its controller is bound to."""
        ends = bounds(self.phases, phase, spent, column) if self.cyclic else UNKNOWN
        certain = ends.earliest == ends.latest
        return Group(
            group,
            lit,
            min_end=later(t, ends.earliest),
            max_end=later(t, ends.latest),
            likely_end=later(t, ends.latest) if certain else None,
            confidence=1.0 if certain else None,
            next_green=later(t, ends.next_green),
            next_duration=None if ends.next_duration is None else round(ends.next_duration * SECOND),
        )

    def _next_green(self, column: int, k: int, at: float) -> tuple[float | None, float | None]:
        start: float | None = None
        until = at
        for j in [k, *self._following(k)]:
            if self.phases[j].state[column] in GREEN:
                start = until if start is None else start
            elif start is not None:
                return start, until - start
            until += self.phases[j].duration
        return start, None

    def _following(self, phase: int) -> list[int]:
        n = len(self.phases)
        return [(phase + k) % n for k in range(1, n)]


def gives_way(code: IntersectionCode) -> dict[int, set[int]]:
    """Return, by signal group, those it must let pass when both are green.

    SUMO lets links that meet both show G, and sorts them out by their right of way; a controller says permissive to who
    must give way.
    """
    of = {c.id: c.group for c in code.connections}
    out: dict[int, set[int]] = {}
    for c in code.conflicts:
        a, b = of[c.a], of[c.b]
        if a and b and a != b and c.kind != "diverge":
            if c.a_yields or not c.b_yields:
                out.setdefault(a, set()).add(b)
            if c.b_yields or not c.a_yields:
                out.setdefault(b, set()).add(a)
    return out


def later(t: int, seconds: float | None) -> int | None:
    """Return the time `seconds` after `t` ns; None where that is not known."""
    return None if seconds is None else t + round(seconds * SECOND)


def trips(tripinfo: Path) -> dict[str, float]:
    """Return means over the finished motor trips of a tripinfo file: the `traffic` figures."""
    sums = dict.fromkeys(("stops", "waiting_s", "travel_time_s", "time_loss_s", "depart_delay_s", "fuel_g"), 0.0)
    n = free = 0
    for _, trip in ET.iterparse(tripinfo):
        if trip.tag != "tripinfo":
            continue
        if not any(word in trip.get("vType", "") for word in ("bicycle", "bike", "pedestrian")):
            n += 1
            free += trip.get("waitingCount") == "0"
            for name, attribute in (
                ("stops", "waitingCount"),
                ("waiting_s", "waitingTime"),
                ("travel_time_s", "duration"),
                ("time_loss_s", "timeLoss"),
                ("depart_delay_s", "departDelay"),
            ):
                sums[name] += float(trip.get(attribute, 0))
            emissions = trip.find("emissions")
            if emissions is not None:
                sums["fuel_g"] += float(emissions.get("fuel_abs", 0)) / 1000.0
        trip.clear()
    return {"trips": n, "free_share": free / max(n, 1), **{name: value / max(n, 1) for name, value in sums.items()}}
