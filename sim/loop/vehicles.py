"""Connected vehicles in SUMO: what they report, and how they follow advice. The vehicle decides; here it decides to follow."""

import contextlib
import zlib
from dataclasses import dataclass, field

import libsumo
import numpy as np

from ...clock import MS, SECOND
from ...codes.citycode import sub_code
from ...schema import Advisory, AdvisoryKind, ObjectClass, VehicleRequest, VehicleState
from ..scenario.scenario import Scenario
from .traffic import Truth

REPORT_EVERY = 500 * MS
ACCURACY = 0.8  # m, one standard deviation per axis of a vehicle's own position
EASE = {"coast": 0.7, "slow_down": 2.5}  # m/s^2 by which who is told so slows down
CREEP = 0.5  # m/s; SUMO takes no maximum of 0
BRAKE = (
    2.0  # m/s taken off within a second on a warning of the most severe kind; on others drivers keep their eyes open
)
KIND = {ObjectClass.BUS: "bus", ObjectClass.TRUCK: "truck"}
ASKS = ("bus",)  # who asks for priority, where vehicles do
ETA = 30 * SECOND  # what a request says of its arrival: soon; the node reckons for itself


def connected(name: str, seed: int, penetration: float) -> bool:
    """Return whether a vehicle is connected: decided by its name and the seed, so that runs with and without advice agree."""
    return zlib.crc32(f"{seed}:{name}".encode()) / 2**32 < penetration


@dataclass
class Following:
    """What one vehicle follows now."""

    until: int = 0
    most: float | None = None  # m/s; its own maximum, while it is held below
    held: float = 0.0  # m/s at most now
    wish: float = 0.0  # m/s at most in the end
    ease: float = 0.0  # m/s^2 by which it comes to that
    factor: float | None = None  # its own share of the limit, while it drives at the limit as advised


@dataclass
class Fleet:
    """The connected vehicles of one run."""

    scenario: Scenario
    seed: int
    penetration: float
    following: dict[str, Following] = field(default_factory=dict)
    applied: int = 0

    def __post_init__(self) -> None:
        self._eased = 0
        self._rng = np.random.default_rng([self.seed, 77])
        self._movements: dict[tuple[tuple[str, ...], int], tuple[tuple[str, str], ...]] = {}
        self._by_edges = _movements(self.scenario)
        self._frame = self.scenario.junctions[0]
        self._requested: dict[str, tuple[str, str]] = {}

    def states(self, truth: Truth) -> dict[str, VehicleState]:
        """Return the reports due at this moment: each connected vehicle twice a second, spread over the half second."""
        slot = (truth.t // (100 * MS)) % (REPORT_EVERY // (100 * MS))
        rows = [
            k
            for k in range(truth.motor)
            if truth.numbers[k] % (REPORT_EVERY // (100 * MS)) == slot
            and truth.kind[k] != ObjectClass.BICYCLE
            and connected(truth.ids[k], self.seed, self.penetration)
        ]
        if not rows:
            return {}
        noisy = self._frame.local(truth.xy[rows]) + ACCURACY * self._rng.standard_normal((len(rows), 2))
        lat, lon = self._frame.code.origin.to_geodetic(noisy[:, 0], noisy[:, 1])
        turned = np.c_[np.cos(truth.heading[rows]), np.sin(truth.heading[rows])] @ self._frame.turn
        heading = np.arctan2(turned[:, 1], turned[:, 0])
        return {
            truth.ids[k]: VehicleState(
                truth.t,
                float(lat[i]),
                float(lon[i]),
                float(truth.speed[k]),
                float(heading[i]),
                KIND.get(ObjectClass(int(truth.kind[k])), "car"),
                float(truth.length[k]),
                float(truth.width[k]),
                ACCURACY,
                tuple(connection for _, connection in self._next(truth.ids[k])),
            )
            for i, k in enumerate(rows)
        }

    def _next(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return (intersection, connection) of the movements still ahead on a vehicle's route."""
        route = libsumo.vehicle.getRoute(name)
        ahead = libsumo.vehicle.getRouteIndex(name)
        key = (route, ahead)
        movements = self._movements.get(key)
        if movements is None:
            pairs = zip(route[max(ahead, 0) :], route[max(ahead, 0) + 1 :], strict=False)
            movements = tuple(self._by_edges[pair] for pair in pairs if pair in self._by_edges)[:3]
            self._movements[key] = movements
        return movements

    def requests(self, t: int, states: dict[str, VehicleState]) -> dict[str, VehicleRequest]:
        """Return the requests for priority that fall due with these reports: each vehicle of ASKS once for each intersection before it."""
        out = {}
        for name, state in states.items():
            ahead = self._next(name)
            if state.kind in ASKS and ahead and self._requested.get(name) != ahead[0]:
                self._requested[name] = ahead[0]
                intersection, movement = ahead[0]
                out[name] = VehicleRequest(t, movement, intersection, movement, t + ETA)
        return out

    def follow(self, name: str, advisory: Advisory) -> bool:
        """Act on an advisory in SUMO; False when the vehicle is gone."""
        try:
            speed = float(libsumo.vehicle.getSpeed(name))
            if advisory.kind is AdvisoryKind.GLOSA:
                self._glosa(name, advisory)
            elif advisory.kind is AdvisoryKind.SIGNAL_STOP:
                pass  # SUMO's drivers see the signal, and stop at it with what braking is theirs
            elif (advisory.severity == 0 or advisory.behaviour == "stop") and speed > BRAKE:
                libsumo.vehicle.slowDown(name, speed - BRAKE, 1.0)
        except libsumo.TraCIException:
            self.following.pop(name, None)
            return False
        self.applied += 1
        return True

    def _glosa(self, name: str, advisory: Advisory) -> None:
        """Drive no faster than told when told to slow down; at the limit, if slower by habit, when told to keep it or to speed up.

        The driver's own most is lowered, or his share of the limit raised: he dawdles as before. SUMO's setSpeed would take that from
        him, and a steady speed burns a fifth more in HBEFA4 than one that wavers around it.
        """
        api, now = libsumo.vehicle, self.following.get(name, Following())
        most, factor, held, wish, ease = now.most, now.factor, now.held, now.wish, now.ease
        drives_on = advisory.behaviour in ("keep", "speed_up")
        if advisory.behaviour in EASE and advisory.speed is not None:
            wish, ease = max(advisory.speed, CREEP), EASE[advisory.behaviour]
            if most is None:
                most, held = float(api.getMaxSpeed(name)), float(api.getSpeed(name))
            held = max(held, wish)
            api.setMaxSpeed(name, held)
        elif most is not None:
            api.setMaxSpeed(name, most)
            most = None
        if drives_on and factor is None and api.getSpeedFactor(name) < 1.0:
            factor = float(api.getSpeedFactor(name))
            api.setSpeedFactor(name, 1.0)
        elif not drives_on and factor is not None:
            api.setSpeedFactor(name, factor)
            factor = None
        self.following[name] = Following(advisory.valid_until, most, held, wish, ease, factor)

    def release(self, t: int) -> None:
        """Ease down who slows down, and let go of advice that is no longer valid. Call it every step."""
        passed, self._eased = min(t - self._eased, SECOND) / SECOND, t
        for name, following in self.following.items():
            if following.most is not None and following.held > following.wish:
                following.held = max(following.held - following.ease * passed, following.wish)
                with contextlib.suppress(libsumo.TraCIException):
                    libsumo.vehicle.setMaxSpeed(name, following.held)
        for name in [name for name, following in self.following.items() if following.until < t]:
            was = self.following.pop(name)
            with contextlib.suppress(libsumo.TraCIException):
                if was.most is not None:
                    libsumo.vehicle.setMaxSpeed(name, was.most)
                if was.factor is not None:
                    libsumo.vehicle.setSpeedFactor(name, was.factor)


def _movements(scenario: Scenario) -> dict[tuple[str, str], tuple[str, str]]:
    """Return (intersection, connection) by (SUMO edge in, SUMO edge out): any lane of the right ones will do, the node knows the lane."""
    out: dict[tuple[str, str], tuple[str, str]] = {}
    for junction in scenario.junctions:
        code = junction.code
        for alias, k in code.conn_alias.items():
            source, arrow, target = alias.partition(">")
            if arrow and code.conn_inner[k]:
                edges = source.rpartition("_")[0], target.rpartition("_")[0]
                out.setdefault(edges, (code.code.id, sub_code(code.code.id, code.conn_ids[k])))
    return out
