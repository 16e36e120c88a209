"""Connected vehicles in SUMO: what they report, and how they follow advice. The vehicle decides; here it decides to
follow.
"""

import contextlib
import zlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import libsumo
import numpy as np

from ...clock import MS, SECOND
from ...codes.citycode import sub_code
from ...schema import Advisory, AdvisoryKind, ObjectClass, VehicleRequest, VehicleState
from ..scenario.scenario import Scenario
from .traffic import Truth

REPORT_INTERVAL = 500 * MS
OBSERVATION_INTERVAL = 100 * MS  # between two moments at which reports may fall due
ACCURACY = 0.8  # m, one standard deviation per axis of a vehicle's own position
MAX_MOVEMENTS = 3  # movements ahead that a report names
DECELERATION = {"coast": 0.7, "slow_down": 2.5}  # m/s^2 by which a vehicle follows such advice
MIN_ADVISED_SPEED = 0.5  # m/s; SUMO takes no maximum of 0
# m/s taken off within a second on a warning of the most severe kind; on others drivers keep their eyes open
WARNING_BRAKE = 2.0
CLASS_NAMES = {ObjectClass.BUS: "bus", ObjectClass.TRUCK: "truck"}
PRIORITY_CLASSES = ("bus",)  # classes that request priority
ETA = 30 * SECOND  # The arrival that a request gives: soon; the node works out its own


class Movement(NamedTuple):
    """A movement on a vehicle's route: the city codes of its intersection and its connection."""

    intersection: str
    connection: str


def connected(name: str, seed: int, penetration: float) -> bool:
    """Return whether a vehicle is connected: decided by its name and the seed, so that runs with and without advice
    agree.
    """
    return zlib.crc32(f"{seed}:{name}".encode()) / 2**32 < penetration


@dataclass(kw_only=True)
class Following:
    """What one vehicle follows now. `own_maximum` and `own_factor` are its own, kept while others are set in SUMO."""

    until: int = 0  # ns
    own_maximum: float | None = None  # m/s, while it is held below
    maximum: float = 0.0  # m/s at most now
    target: float = 0.0  # m/s at most in the end
    deceleration: float = 0.0  # m/s^2 by which `maximum` comes down to `target`
    # Its share of the limit, while it drives at the limit as advised
    own_factor: float | None = None


@dataclass
class Fleet:
    """The connected vehicles of one run."""

    scenario: Scenario
    seed: int
    penetration: float
    following: dict[str, Following] = field(default_factory=dict)
    applied: int = 0

    def __post_init__(self) -> None:
        self._released_at = 0  # ns, of the last call of `release`
        self._rng = np.random.default_rng([self.seed, 77])
        self._movements_of_route: dict[tuple[tuple[str, ...], int], tuple[Movement, ...]] = {}
        self._movement_of_edges = _movements(self.scenario)
        self._frame = self.scenario.junctions[0]
        self._requested: dict[str, Movement] = {}

    def states(self, truth: Truth) -> dict[str, VehicleState]:
        """Return the reports due at this moment: each connected vehicle twice a second, spread over the half second."""
        slots = REPORT_INTERVAL // OBSERVATION_INTERVAL
        slot = (truth.t // OBSERVATION_INTERVAL) % slots

        rows = [
            row
            for row in range(truth.motor)
            if truth.numbers[row] % slots == slot
            and truth.kind[row] != ObjectClass.BICYCLE
            and connected(truth.ids[row], self.seed, self.penetration)
        ]
        if not rows:
            return {}

        noisy = self._frame.local(truth.xy[rows]) + ACCURACY * self._rng.standard_normal((len(rows), 2))
        lat, lon = self._frame.code.origin.to_geodetic(noisy[:, 0], noisy[:, 1])
        turned = np.c_[np.cos(truth.heading[rows]), np.sin(truth.heading[rows])] @ self._frame.turn
        heading = np.arctan2(turned[:, 1], turned[:, 0])

        return {
            truth.ids[row]: VehicleState(
                t=truth.t,
                lat=float(lat[index]),
                lon=float(lon[index]),
                speed=float(truth.speed[row]),
                heading=float(heading[index]),
                kind=CLASS_NAMES.get(ObjectClass(int(truth.kind[row])), "car"),
                length=float(truth.length[row]),
                width=float(truth.width[row]),
                accuracy=ACCURACY,
                movements=tuple(movement.connection for movement in self._movements_ahead(truth.ids[row])),
            )
            for index, row in enumerate(rows)
        }

    def _movements_ahead(self, name: str) -> tuple[Movement, ...]:
        """Return the movements still ahead on a vehicle's route, the next first."""
        route = libsumo.vehicle.getRoute(name)
        index = libsumo.vehicle.getRouteIndex(name)

        movements = self._movements_of_route.get((route, index))
        if movements is None:
            edges = route[max(index, 0) :]
            pairs = pairwise(edges)
            ahead = [self._movement_of_edges[pair] for pair in pairs if pair in self._movement_of_edges]
            movements = tuple(ahead[:MAX_MOVEMENTS])
            self._movements_of_route[route, index] = movements

        return movements

    def requests(self, time_ns: int, states: dict[str, VehicleState]) -> dict[str, VehicleRequest]:
        """Return the requests for priority that fall due with these reports: each vehicle of PRIORITY_CLASSES once per
        intersection ahead.
        """
        requests = {}
        for name, state in states.items():
            ahead = self._movements_ahead(name)
            if state.kind in PRIORITY_CLASSES and ahead and self._requested.get(name) != ahead[0]:
                self._requested[name] = ahead[0]
                requests[name] = VehicleRequest(
                    t=time_ns,
                    id=ahead[0].connection,
                    intersection=ahead[0].intersection,
                    movement=ahead[0].connection,
                    eta=time_ns + ETA,
                )

        return requests

    def follow(self, name: str, advisory: Advisory) -> bool:
        """Act on an advisory in SUMO; return False where the vehicle has left it."""
        try:
            speed = float(libsumo.vehicle.getSpeed(name))
            if advisory.kind is AdvisoryKind.GLOSA:
                self._follow_glosa(name, advisory)
            elif advisory.kind is AdvisoryKind.SIGNAL_STOP:
                # SUMO's drivers see the signal, and stop at it with their own braking
                pass
            elif (advisory.severity == 0 or advisory.behaviour == "stop") and speed > WARNING_BRAKE:
                libsumo.vehicle.slowDown(name, speed - WARNING_BRAKE, 1.0)
        except libsumo.TraCIException:
            self.following.pop(name, None)
            return False

        self.applied += 1
        return True

    def _follow_glosa(self, name: str, advisory: Advisory) -> None:
        """Drive no faster than advised on advice to slow down; drive at the limit, if slower by habit, on advice to
        keep it or to speed up.

        The driver's own maximum speed is lowered, or the own share of the limit raised, and the driver dawdles as
        before. SUMO's setSpeed would take that away, and a steady speed burns a fifth more in HBEFA4 than one that
        wavers around it.
        """
        vehicles = libsumo.vehicle
        following = self.following.get(name, Following())
        own_maximum, own_factor = following.own_maximum, following.own_factor
        maximum, target, deceleration = following.maximum, following.target, following.deceleration

        if advisory.behaviour in DECELERATION and advisory.speed is not None:
            target, deceleration = max(advisory.speed, MIN_ADVISED_SPEED), DECELERATION[advisory.behaviour]
            if own_maximum is None:
                own_maximum, maximum = float(vehicles.getMaxSpeed(name)), float(vehicles.getSpeed(name))
            maximum = max(maximum, target)
            vehicles.setMaxSpeed(name, maximum)
        elif own_maximum is not None:
            vehicles.setMaxSpeed(name, own_maximum)
            own_maximum = None

        # Nothing makes a driver faster than the limit: one that is slower by habit drives at it
        drives_on = advisory.behaviour in ("keep", "speed_up")
        if drives_on and own_factor is None and vehicles.getSpeedFactor(name) < 1.0:
            own_factor = float(vehicles.getSpeedFactor(name))
            vehicles.setSpeedFactor(name, 1.0)
        elif not drives_on and own_factor is not None:
            vehicles.setSpeedFactor(name, own_factor)
            own_factor = None

        self.following[name] = Following(
            until=advisory.valid_until,
            own_maximum=own_maximum,
            maximum=maximum,
            target=target,
            deceleration=deceleration,
            own_factor=own_factor,
        )

    def release(self, time_ns: int) -> None:
        """Bring vehicles down to the speed advised, and let go of advice that is no longer valid. Call it every
        step.
        """
        elapsed = min(time_ns - self._released_at, SECOND) / SECOND
        self._released_at = time_ns

        for name, following in self.following.items():
            if following.own_maximum is not None and following.maximum > following.target:
                following.maximum = max(following.maximum - following.deceleration * elapsed, following.target)
                with contextlib.suppress(libsumo.TraCIException):  # the vehicle has arrived
                    libsumo.vehicle.setMaxSpeed(name, following.maximum)

        # What is no longer valid no longer binds: the driver's own habits come back
        for name in [name for name, following in self.following.items() if following.until < time_ns]:
            expired = self.following.pop(name)
            with contextlib.suppress(libsumo.TraCIException):
                if expired.own_maximum is not None:
                    libsumo.vehicle.setMaxSpeed(name, expired.own_maximum)
                if expired.own_factor is not None:
                    libsumo.vehicle.setSpeedFactor(name, expired.own_factor)


def _movements(scenario: Scenario) -> dict[tuple[str, str], Movement]:
    """Return the movement from one SUMO edge to another: any lane of the right edges will do, the node finds the
    lane.
    """
    movements: dict[tuple[str, str], Movement] = {}
    for junction in scenario.junctions:
        code = junction.code
        for alias, connection in code.conn_alias.items():
            source, arrow, target = alias.partition(">")
            if arrow and code.conn_inner[connection]:
                edges = source.rpartition("_")[0], target.rpartition("_")[0]
                movement = Movement(code.code.id, sub_code(code.code.id, code.conn_ids[connection]))
                movements.setdefault(edges, movement)

    return movements
