"""One run of the warning bench: vehicles do not react to warnings, so that what they warn of happens as it would have.

Warnings are timed by their arrival at the vehicle. Truth is SUMO's: stop lines crossed at red, conflicts of vehicles
(device.ssm) and with
pedestrians and cyclists (`encounters`), vehicles that close up to a standing queue, hard braking.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import libsumo
import msgspec
import numpy as np

from ...clock import SECOND
from ...schema import Advisory, ObjectClass
from ..common import net
from ..loop.run import EPOCH, VEHICLE_TARGET, Loop, Setup
from ..loop.traffic import Traffic, Truth
from ..loop.vehicles import Fleet, connected
from ..scenario.scenario import Scenario
from . import dangers, ssm
from .ssm import Conflict
from .trails import STEP, Trails

# A conflict with a queue: a vehicle faster than this is within that time, and distance, of a stationary leader.
MIN_CLOSING_SPEED = 5.0  # m/s
MAX_TIME_TO_QUEUE = 4.0  # s
LEADER_RANGE = 60.0  # m
QUEUE_INTERVAL = 5  # moments between two looks

STATIONARY = 1.0  # m/s; a vehicle slower than this is taken to stand
# s after a warning within which a vehicle that slows down is taken to have had to
REACTION_WINDOW = 5.0
# m beyond a stop line, or beyond where it stood over it: a vehicle that stops sooner is over the line, and ran no red
MIN_OVERRUN = 3.0
# s that a node has to find the road users there; what happens before is not counted
SETTLING_TIME = 5.0
# m/s^2, more than drivers use for what they see in time (CAMP: drivers' last moment, 5 to 6)
HARD_BRAKING = 6.0
RED_LETTERS = "rR"  # of SUMO's signal states


class Ongoing(NamedTuple):
    """The newest event of a kind of one vehicle."""

    index: int  # in `events`
    last: float  # s; when it was last seen to go on


class LineCrossing(NamedTuple):
    """A vehicle that is just over a stop line that shows red."""

    since: float  # s, when it crossed, or last stood
    link: net.Link
    odometer: float  # m, at which that was: lanes inside a junction can be shorter than MIN_OVERRUN


class ReceivedWarning(msgspec.Struct, frozen=True):
    """One warning as a vehicle received it; times in s of SUMO."""

    kind: str
    vehicle: str
    arrived: float
    until: float
    severity: int
    confidence: float
    slowed: bool = (
        # The vehicle halved its speed, unasked, while the warning was in force or within REACTION_WINDOW s after
        False
    )


class WarningLoop(Loop):
    """A run whose vehicles do not react; it keeps warnings, trajectories near intersections, and reds that were run."""

    def __init__(self, scenario: Scenario, setup: Setup, outputs: Path, violators: float = dangers.VIOLATORS) -> None:
        super().__init__(scenario, setup, outputs=outputs, scored=False)
        self.shares = dangers.shares_of(violators)
        self.warnings: list[ReceivedWarning] = []
        self.events: list[Conflict] = []  # reds run, queues closed up to, hard braking
        self.settled = scenario.begin + setup.warm_up + SETTLING_TIME
        self.exposure_s = 0.0  # of connected vehicles in reach of an intersection
        self.trails = Trails(scenario)
        self._links = stop_lines(scenario)
        self._moment = 0

        # As of the step before
        self._lanes: dict[str, str] = {}
        self._states: dict[str, str] = {}

        # By vehicle
        self._crossings: dict[str, LineCrossing] = {}
        self._over_line: dict[str, Ongoing] = {}
        self._closing_up: dict[str, Ongoing] = {}
        self._braking: dict[str, Ongoing] = {}

    def on_advisory(self, advisory: Advisory, arrives: int, fleet: Fleet) -> None:
        """Keep the advisory; the vehicle does not react."""
        self.warnings.append(
            ReceivedWarning(
                kind=advisory.kind.value,
                vehicle=advisory.target.removeprefix(VEHICLE_TARGET),
                arrived=self._seconds(arrives),
                until=self._seconds(advisory.valid_until),
                severity=advisory.severity,
                confidence=advisory.confidence,
            )
        )

    def _seconds(self, time_ns: int) -> float:
        return (time_ns - EPOCH) / SECOND + self.scenario.begin + self.setup.warm_up

    def on_step(self, traffic: Traffic) -> None:
        """Give newly departed drivers their behaviour, and note reds that are run and hard braking."""
        vehicles = libsumo.vehicle
        for name in libsumo.simulation.getDepartedIDList():
            behaviour = dangers.way_of(name, self.setup.seed, self.shares)
            if behaviour and vehicles.getVehicleClass(name) not in dangers.UNTOUCHED:
                vehicles.setType(name, dangers.typed(vehicles.getTypeID(name), behaviour))

        now = self._seconds(traffic.t)
        signals = [junction.signal for junction in self.scenario.junctions]
        states = {signal: libsumo.trafficlight.getRedYellowGreenState(signal) for signal in signals}
        lanes = {name: vehicles.getLaneID(name) for name in vehicles.getIDList()}
        self._note_crossings(now, lanes, states)
        self._follow_crossings(now, lanes, states)

        for name in lanes:
            if vehicles.getAcceleration(name) < -HARD_BRAKING:
                self._note_event(self._braking, Conflict(kind="hard_brake", a=name, b="", crossed=now, worst=now))

        self._lanes, self._states = lanes, states

    def _note_crossings(self, now: float, lanes: dict[str, str], states: dict[str, str]) -> None:
        """Note the vehicles that have just crossed a stop line that showed red before and does now."""
        for name, lane in lanes.items():
            before = self._lanes.get(name, lane)
            if lane == before or before.startswith(":"):
                continue

            link = self._links.get(lane)
            if link and _is_red(self._states, link) and _is_red(states, link):
                at_line = float(libsumo.vehicle.getDistance(name) - libsumo.vehicle.getLanePosition(name))
                self._crossings[name] = LineCrossing(now, link, at_line)

    def _follow_crossings(self, now: float, lanes: dict[str, str], states: dict[str, str]) -> None:
        """Decide of each vehicle over a stop line at red: did it run the red, does it wait there, or has the light
        changed.
        """
        for name, (since, link, odometer) in list(self._crossings.items()):
            # inf: it drove on, out of the network
            position = float(libsumo.vehicle.getDistance(name)) if name in lanes else np.inf
            if position >= odometer + MIN_OVERRUN:
                self.events.append(Conflict(kind="red_light", a=name, b="", crossed=since, worst=now))
                del self._crossings[name]
                continue

            is_red = _is_red(states, link)
            if is_red and libsumo.vehicle.getSpeed(name) >= STATIONARY:
                continue  # not decided yet

            self._note_event(self._over_line, Conflict(kind="over_line", a=name, b="", crossed=now, worst=now))
            if is_red:
                self._crossings[name] = LineCrossing(now, link, position)
            else:
                del self._crossings[name]

    def _note_event(self, ongoing: dict[str, Ongoing], event: Conflict) -> None:
        """Keep an event, as part of the vehicle's newest one of its kind where that was no longer than SAME ago."""
        index, last = ongoing.get(event.a, (-1, -1e9))
        if event.crossed - last > ssm.SAME:
            index = len(self.events)
            self.events.append(event)
        elif event.ttc <= self.events[index].ttc:
            self.events[index] = replace(self.events[index], worst=event.worst, ttc=event.ttc)

        ongoing[event.a] = Ongoing(index, event.crossed)

    def on_truth(self, truth: Truth) -> None:
        """Keep the road users near an intersection, and note vehicles that close up to a standing queue."""
        now = self._seconds(truth.t)
        rows = self.trails.note(truth, now)
        motor = [row for row in rows if row < truth.motor and truth.kind[row] != ObjectClass.BICYCLE]
        reached = [row for row in motor if connected(truth.ids[row], self.setup.seed, self.setup.penetration)]
        if now >= self.settled:
            self.exposure_s += STEP * len(reached)

        self._moment += 1
        if self._moment % QUEUE_INTERVAL == 0:
            for row in motor:
                if truth.speed[row] > MIN_CLOSING_SPEED:
                    self._note_queue(now, truth.ids[row], float(truth.speed[row]))

    def _note_queue(self, now: float, name: str, speed: float) -> None:
        found = libsumo.vehicle.getLeader(name, LEADER_RANGE)
        if not found:
            return

        leader, gap = found
        if not leader or libsumo.vehicle.getSpeed(leader) > STATIONARY:
            return

        ttc = max(gap, 0.0) / speed
        if ttc < MAX_TIME_TO_QUEUE:
            self._note_event(
                self._closing_up, Conflict(kind="queue", a=name, b=leader, crossed=now, worst=now, ttc=ttc)
            )


def _is_red(states: dict[str, str], link: net.Link) -> bool:
    return states[link.signal][link.column] in RED_LETTERS


def stop_lines(scenario: Scenario) -> dict[str, net.Link]:
    """Return each signalled stop line by the junction's own lane behind it."""
    signals = {junction.signal for junction in scenario.junctions}
    links = [link for group in net.read(scenario.net).links.values() for link in group]
    return {link.lane: link for link in links if link.signal in signals and link.lane}


def slowed(trails: Trails, warning: ReceivedWarning) -> bool:
    """Return whether a vehicle came down to half of its speed or less while a warning was in force or within
    REACTION_WINDOW s after.
    """
    speed = trails.speeds(warning.vehicle, warning.arrived, warning.until + REACTION_WINDOW)
    return len(speed) > 0 and bool(speed.min() <= 0.5 * speed[0])


def with_waiting(conflict: Conflict, trails: Trails) -> Conflict:
    """Return a conflict as `waited` where nothing but its PET is short and one of the two stood until the other had
    passed.
    """
    t_passed = conflict.crossed - conflict.pet
    if conflict.ttc < ssm.TTC or conflict.drac > ssm.DRAC or conflict.pet >= ssm.PET:
        return conflict

    speeds = [trails.speeds(name, t_passed, t_passed) for name in (conflict.a, conflict.b)]
    if any(len(speed) and speed[0] < STATIONARY for speed in speeds):
        return replace(conflict, kind="waited")

    return conflict


def run(scenario: Scenario, setup: Setup, violators: float = dangers.VIOLATORS) -> dict[str, Any]:
    """Run one seed in which `violators` of the drivers run reds; return warnings, truth, and the hours that connected
    vehicles spent near intersections.

    Truth is {conflict, early}: `early`: whether it could be seen early enough to warn in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        log = outputs / "ssm.xml"
        arguments = (*dangers.write_types(scenario, outputs / "types.add.xml"), *ssm.ARGUMENTS)
        arguments += ("--device.ssm.file", str(log))
        loop = WarningLoop(
            scenario=scenario, setup=replace(setup, arguments=arguments), outputs=outputs, violators=violators
        )
        figures = loop.run()
        logged = ssm.read(log)

    trails = loop.trails
    cyclists = {trails.names[number] for number, (_, _, kind) in trails.sizes.items() if kind == ObjectClass.BICYCLE}
    in_reach = [
        logged_conflict
        for logged_conflict in logged
        if trails.there(logged_conflict.a, logged_conflict.crossed)
        and trails.there(logged_conflict.b, logged_conflict.crossed)
    ]
    # device.ssm takes cyclists for narrow cars: their conflicts are those of `encounters`
    of_vehicles = [
        with_waiting(logged_conflict, trails)
        for logged_conflict in in_reach
        if not cyclists & {logged_conflict.a, logged_conflict.b}
    ]
    of_one = [
        logged_conflict
        for logged_conflict in loop.events
        if logged_conflict.kind == "queue" or logged_conflict.a not in cyclists
    ]
    conflicts = [
        logged_conflict
        for logged_conflict in (*of_one, *of_vehicles, *trails.meetings())
        if logged_conflict.crossed >= loop.settled
    ]
    warnings = [warning for warning in loop.warnings if warning.kind != "glosa" and warning.arrived >= loop.settled]

    return {
        "scenario": scenario.name,
        "seed": setup.seed,
        "hours": loop.exposure_s / 3600.0,
        "warnings": [msgspec.structs.replace(warning, slowed=slowed(trails, warning)) for warning in warnings],
        "truth": [{"conflict": conflict, "early": trails.seen_early(conflict)} for conflict in conflicts],
        "connected": sorted(
            number for number in trails.names.values() if connected(number, setup.seed, setup.penetration)
        ),
        "walkers": sorted(cyclists),
        "speed": figures["speed"],
    }
