"""One run of the warning bench: warnings go nowhere but onto a list, so that what they warn of happens as it would have.

Warnings are timed by their arrival at the vehicle. Truth is SUMO's: who crossed a stop line at red, who met whom (device.ssm,
`encounters`), who closed up to a standing queue, who had to brake hard.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import libsumo
import msgspec
import numpy as np

from ...clock import SECOND
from ...schema import Advisory, ObjectClass
from ..common import net
from ..loop.run import EPOCH, Loop, Setup
from ..loop.traffic import Traffic, Truth
from ..loop.vehicles import Fleet, connected
from ..scenario.scenario import Scenario
from . import dangers, ssm
from .ssm import Conflict
from .trails import STEP, Trails

FAST, CLOSE, LOOK = 5.0, 4.0, 60.0  # m/s, s, m: closing that fast on someone who stands is a conflict with a queue
STANDING = 1.0  # m/s
SOON = 5.0  # s
DROVE_ON = 3.0  # m beyond a stop line, or where he stood over it: who stopped sooner is over the line, and ran no red
SETTLE = 5.0  # s that a node has to come to know who is there; what happens before is not counted
HARD = 6.0  # m/s^2 of braking that nobody uses for what he saw in time (CAMP: drivers' last moment, 5 to 6)
QUEUE_EVERY = 5  # moments


class Heard(msgspec.Struct, frozen=True):
    """One warning as a vehicle got it; times in s of SUMO."""

    kind: str
    vehicle: str
    arrived: float
    until: float
    severity: int
    confidence: float
    slowed: bool = False  # the vehicle halved its speed, unasked, while the warning was in force or within SOON s after


class WarningLoop(Loop):
    """A run whose vehicles do not react; it keeps warnings, trajectories near intersections, and reds that were run."""

    def __init__(self, scenario: Scenario, setup: Setup, outputs: Path, violators: float = dangers.VIOLATORS) -> None:
        super().__init__(scenario, setup, outputs=outputs, scored=False)
        self.shares = dangers.shares_of(violators)
        self.warnings: list[Heard] = []
        self.events: list[Conflict] = []  # reds run, queues closed up to, hard braking
        self.settled = scenario.begin + setup.warm_up + SETTLE
        self.exposure_s = 0.0  # of connected vehicles in reach of an intersection
        self.trails = Trails(scenario)
        self._links = stop_lines(scenario)
        self._lane: dict[str, str] = {}
        self._state: dict[str, str] = {}
        self._over: dict[
            str, tuple[float, net.Link, float]
        ] = {}  # who is just over a stop line that shows red, since when it moves, and from where (m of its odometer: lanes inside a junction can be shorter than DROVE_ON)
        self._waiting: dict[str, tuple[int, float]] = {}  # the newest event of who waits there, as `_closing`
        self._closing: dict[
            str, tuple[int, float]
        ] = {}  # by vehicle: its newest event of that kind, and when it was last seen to close up
        self._braking: dict[str, tuple[int, float]] = {}  # the same of hard braking
        self._moment = 0

    def on_advisory(self, advisory: Advisory, arrives: int, fleet: Fleet) -> None:
        """Keep what a vehicle is told; it does not react."""
        arrived, until = self._seconds(arrives), self._seconds(advisory.valid_until)
        self.warnings.append(
            Heard(advisory.kind.value, advisory.target[8:], arrived, until, advisory.severity, advisory.confidence)
        )

    def _seconds(self, t: int) -> float:
        return (t - EPOCH) / SECOND + self.scenario.begin + self.setup.warm_up

    def on_step(self, traffic: Traffic) -> None:
        """Turn the newly departed into the drivers they are to be, and see who runs a red."""
        api = libsumo.vehicle
        for name in libsumo.simulation.getDepartedIDList():
            way = dangers.way_of(name, self.setup.seed, self.shares)
            if way and api.getVehicleClass(name) not in dangers.UNTOUCHED:
                api.setType(name, dangers.typed(api.getTypeID(name), way))
        now = self._seconds(traffic.t)
        state = {j.signal: libsumo.trafficlight.getRedYellowGreenState(j.signal) for j in self.scenario.junctions}
        lanes = {name: api.getLaneID(name) for name in api.getIDList()}
        for name, lane in lanes.items():
            before = self._lane.get(name, lane)
            link = self._links.get(lane) if lane != before and not before.startswith(":") else None
            if link and self._state[link.signal][link.column] in "rR" and state[link.signal][link.column] in "rR":
                self._over[name] = now, link, float(api.getDistance(name) - api.getLanePosition(name))
        for name, (since, link, begun) in list(self._over.items()):
            at = float(api.getDistance(name)) if name in lanes else np.inf
            if at < begun + DROVE_ON:
                red = state[link.signal][link.column] in "rR"
                if red and api.getSpeed(name) >= STANDING:
                    continue
                self._goes_on(self._waiting, Conflict("over_line", name, "", now, now))
                if red:
                    self._over[name] = now, link, at
                    continue
            else:
                self.events.append(Conflict("red_light", name, "", since, now))
            del self._over[name]
        for name in lanes:
            if api.getAcceleration(name) < -HARD:
                self._goes_on(self._braking, Conflict("hard_brake", name, "", now, now))
        self._lane, self._state = lanes, state

    def _goes_on(self, known: dict[str, tuple[int, float]], event: Conflict) -> None:
        """Keep an event, as part of the vehicle's newest one of its kind where that was no longer than SAME ago."""
        k, last = known.get(event.a, (-1, -1e9))
        if event.crossed - last > ssm.SAME:
            k = len(self.events)
            self.events.append(event)
        elif event.ttc <= self.events[k].ttc:
            self.events[k] = replace(self.events[k], worst=event.worst, ttc=event.ttc)
        known[event.a] = k, event.crossed

    def on_truth(self, truth: Truth) -> None:
        """Keep who is near an intersection, and who closes up to a standing queue."""
        now = self._seconds(truth.t)
        rows = self.trails.note(truth, now)
        motor = [k for k in rows if k < truth.motor and truth.kind[k] != ObjectClass.BICYCLE]
        told = [k for k in motor if connected(truth.ids[k], self.setup.seed, self.setup.penetration)]
        if now >= self.settled:
            self.exposure_s += STEP * len(told)
        self._moment += 1
        if self._moment % QUEUE_EVERY == 0:
            self._queues(now, [(truth.ids[k], float(truth.speed[k])) for k in motor if truth.speed[k] > FAST])

    def _queues(self, now: float, moving: list[tuple[str, float]]) -> None:
        for name, speed in moving:
            leader = libsumo.vehicle.getLeader(name, LOOK)
            if not leader or not leader[0] or libsumo.vehicle.getSpeed(leader[0]) > STANDING:
                continue
            left = max(leader[1], 0.0) / speed
            if left < CLOSE:
                self._goes_on(self._closing, Conflict("queue", name, leader[0], now, now, left))


def stop_lines(scenario: Scenario) -> dict[str, net.Link]:
    """Return each signalled stop line by the junction's own lane behind it."""
    signals = {junction.signal for junction in scenario.junctions}
    links = [link for group in net.read(scenario.net).links.values() for link in group]
    return {link.lane: link for link in links if link.signal in signals and link.lane}


def slowed(trails: Trails, heard: Heard) -> bool:
    """Return whether a vehicle came down to half of its speed or less while a warning was in force or within SOON s after."""
    speed = trails.speeds(heard.vehicle, heard.arrived, heard.until + SOON)
    return len(speed) > 0 and bool(speed.min() <= 0.5 * speed[0])


def with_waiting(conflict: Conflict, trails: Trails) -> Conflict:
    """Return a conflict as `waited` where nothing but its PET is short and one of the two stood until the other had gone by."""
    gone = conflict.crossed - conflict.pet
    if conflict.ttc < ssm.TTC or conflict.drac > ssm.DRAC or conflict.pet >= ssm.PET:
        return conflict
    speeds = [trails.speeds(name, gone, gone) for name in (conflict.a, conflict.b)]
    return replace(conflict, kind="waited") if any(len(s) and s[0] < STANDING for s in speeds) else conflict


def run(scenario: Scenario, setup: Setup, violators: float = dangers.VIOLATORS) -> dict[str, Any]:
    """Run one seed in which `violators` of the drivers run reds; return warnings, truth, and the hours that connected vehicles spent near intersections.

    Truth is {conflict, early}: `early` says whether it could be seen early enough to warn in time.
    """
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder)
        log = outputs / "ssm.xml"
        arguments = (*dangers.write_types(scenario, outputs / "types.add.xml"), *ssm.ARGUMENTS)
        arguments += ("--device.ssm.file", str(log))
        loop = WarningLoop(scenario, replace(setup, arguments=arguments), outputs, violators)
        figures = loop.run()
        vehicles = ssm.read(log)
    trails = loop.trails
    walkers = {trails.names[n] for n, (_, _, kind) in trails.sizes.items() if kind == ObjectClass.BICYCLE}
    met = [c for c in vehicles if trails.there(c.a, c.crossed) and trails.there(c.b, c.crossed)]
    met = [with_waiting(c, trails) for c in met if not walkers & {c.a, c.b}] + trails.meetings()
    warnings = [w for w in loop.warnings if w.kind != "glosa" and w.arrived >= loop.settled]
    alone = [c for c in loop.events if c.kind == "queue" or c.a not in walkers]
    return {
        "scenario": scenario.name,
        "seed": setup.seed,
        "hours": loop.exposure_s / 3600.0,
        "warnings": [msgspec.structs.replace(w, slowed=slowed(trails, w)) for w in warnings],
        "truth": [{"conflict": c, "early": trails.seen_early(c)} for c in (*alone, *met) if c.crossed >= loop.settled],
        "connected": sorted(n for n in trails.names.values() if connected(n, setup.seed, setup.penetration)),
        "walkers": sorted(walkers),
        "speed": figures["speed"],
    }
