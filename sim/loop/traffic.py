"""SUMO, one step at a time: where road users are, what signals display, how trips went. libsumo holds one simulation
per process."""

import itertools
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import libsumo
import numpy as np

from ...clock import MS
from ...schema import Group, ObjectClass
from ..scenario.scenario import Junction, Scenario
from .signal_program import Program

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


@dataclass(frozen=True)
class Truth:
    """All road users at one moment, one row each, in SUMO's coordinates."""

    t: int  # ns
    ids: list[str]
    numbers: np.ndarray  # int64[n], one for each road user for the whole run
    xy: np.ndarray  # float64[n, 2], m, of the middle
    speed: np.ndarray  # m/s
    heading: np.ndarray  # rad, counter-clockwise from east
    length: np.ndarray  # m
    width: np.ndarray  # m
    kind: np.ndarray  # int64[n], ObjectClass
    # The first `motor` rows are SUMO vehicles (bicycles among them), the rest pedestrians
    motor: int


class Build(NamedTuple):
    """What does not change of a road user."""

    number: int
    length: float  # m
    width: float  # m
    kind: int  # ObjectClass


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
        self._builds: dict[str, Build] = {}
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
        """The simulated time, ns since 1970."""
        return self.epoch + round(self.seconds * 1000) * MS

    @property
    def done(self) -> bool:
        """Whether no vehicle is on the road or still to come."""
        return bool(libsumo.simulation.getMinExpectedNumber() <= 0)

    def step(self) -> None:
        """Go on by one step."""
        libsumo.simulationStep()

    def fast_forward(self, seconds: float) -> None:
        """Run `seconds` of traffic at once, and put the clock back so that `t` is `epoch` now."""
        libsumo.simulationStep(self.scenario.begin + seconds)
        self.epoch -= round(self.seconds * 1000) * MS

    def truth(self) -> Truth:
        """Return all road users as they are now."""
        vehicles, persons = libsumo.vehicle.getIDList(), libsumo.person.getIDList()
        positions, speeds, angles, builds = [], [], [], []

        for api, names in ((libsumo.vehicle, vehicles), (libsumo.person, persons)):
            # Bound once: this loop is most of what a simulated step costs besides SUMO.
            position_of, speed_of, angle_of = api.getPosition, api.getSpeed, api.getAngle
            for name in names:
                positions.append(position_of(name)[:2])
                speeds.append(speed_of(name))
                angles.append(angle_of(name))
                builds.append(self._builds.get(name) or self._build(api, name))

        count = len(positions)
        xy = np.array(positions, float).reshape(count, 2)
        heading = np.radians(90.0 - np.array(angles, float))
        number, length, width, kind = np.array(builds, float).reshape(count, len(Build._fields)).T

        # SUMO's positions are of the front bumper.
        xy[:, 0] -= np.cos(heading) * (length / 2)
        xy[:, 1] -= np.sin(heading) * (length / 2)

        return Truth(
            t=self.t,
            ids=[*vehicles, *persons],
            numbers=number.astype(np.int64),
            xy=xy,
            speed=np.array(speeds, float),
            heading=heading,
            length=length,
            width=width,
            kind=kind.astype(np.int64),
            motor=len(vehicles),
        )

    def _build(self, api: object, name: str) -> Build:
        """Return what does not change of a road user that has just appeared."""
        vehicle_class = api.getVehicleClass(name) if api is libsumo.vehicle else "pedestrian"
        kind = KIND_OF_CLASS.get(vehicle_class, ObjectClass.CAR)
        build = Build(number=next(self._numbers), length=api.getLength(name), width=api.getWidth(name), kind=int(kind))
        self._builds[name] = build
        return build

    def groups(self, junction: Junction) -> tuple[Group, ...]:
        """Return the signal groups of an intersection as its controller would report them now."""
        return self.programs[junction.id].groups(self.t)

    def close(self) -> None:
        """End SUMO."""
        libsumo.close()


TRIP_ATTRIBUTES = {  # SUMO's name of each figure
    "stops": "waitingCount",
    "waiting_s": "waitingTime",
    "travel_time_s": "duration",
    "time_loss_s": "timeLoss",
    "depart_delay_s": "departDelay",
}
# Words in the vehicle types of trips that are not motor trips
NOT_MOTOR = ("bicycle", "bike", "pedestrian")


def trips(tripinfo: Path) -> dict[str, float]:
    """Return means over the finished motor trips of a tripinfo file: the `traffic` figures."""
    sums = dict.fromkeys([*TRIP_ATTRIBUTES, "fuel_g"], 0.0)
    count = without_stop = 0

    for _, trip in ET.iterparse(tripinfo):
        if trip.tag != "tripinfo":
            continue

        if not any(word in trip.get("vType", "") for word in NOT_MOTOR):
            count += 1
            without_stop += trip.get("waitingCount") == "0"
            for name, attribute in TRIP_ATTRIBUTES.items():
                sums[name] += float(trip.get(attribute, 0))

            emissions = trip.find("emissions")
            if emissions is not None:
                sums["fuel_g"] += float(emissions.get("fuel_abs", 0)) / 1000.0

        trip.clear()

    means = {name: value / max(count, 1) for name, value in sums.items()}
    return {"trips": count, "free_share": without_stop / max(count, 1), **means}
