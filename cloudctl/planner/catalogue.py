"""The table of the advisory kinds: what plans each, and how its advisories are sent.

Adding a kind: a module in `kinds/` with its formulae, its `screen` and its `plan`; a line in `screens`, which asks the
screen where what its advice may rest on is there; a row in PLANNERS for the function that plans it, a row in DELIVERY,
and its name on the wire in `schema.AdvisoryKind`. A test holds the tables complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ..clock import MS
from ..codes.compiled.rules import InForce
from ..forecast.following import Following, follow
from ..forecast.prediction import Prediction, likely_movements
from ..forecast.stop_line import StopLineForecast, forecast_stop_lines
from ..schema import AdvisoryKind
from ..world import World
from . import screens
from .candidate import Candidate
from .kinds import (
    ahead,
    blind_spot,
    collision,
    emergency,
    forward,
    glosa,
    hazard,
    keep_clear,
    passing_order,
    pedestrian,
    queue,
    red_light,
    rules,
    signal_stop,
    stopped,
    wrong_way,
)


@dataclass(kw_only=True)
class Situation:
    """A snapshot, what `screens` found in it, and what is derived from it when a kind first asks."""

    world: World
    limits: InForce
    advices: list[glosa.Advice]
    stops: list[signal_stop.Stop]
    sightings: list[blind_spot.Sighting]

    @cached_property
    def forecast(self) -> StopLineForecast:
        return forecast_stop_lines(self.world)

    @cached_property
    def prediction(self) -> Prediction:
        return likely_movements(self.world)

    @cached_property
    def following(self) -> Following:
        return follow(self.world, self.prediction)


Plan = Callable[[Situation], list[Candidate]]


class Planner(NamedTuple):
    """One function that plans, and which screen tells whether it could propose anything."""

    screen: int
    plan: Plan


# In the order in which they are asked.
PLANNERS = (
    Planner(screens.GLOSA, lambda s: glosa.plan(s.world, s.advices)),
    Planner(screens.COLLISION, lambda s: collision.plan(s.world, s.prediction, s.following)),
    Planner(screens.KEEP_CLEAR, lambda s: keep_clear.plan(s.world, s.prediction)),
    Planner(screens.PASSING_ORDER, lambda s: passing_order.plan(s.world, s.prediction)),
    Planner(screens.SIGNAL_STOP, lambda s: signal_stop.plan(s.world, s.stops)),
    Planner(screens.RED_LIGHT, lambda s: red_light.plan(s.world, s.forecast, s.prediction, s.following)),
    Planner(screens.PEDESTRIAN, lambda s: pedestrian.plan(s.world)),
    Planner(screens.QUEUE, lambda s: queue.plan(s.world, s.forecast)),
    Planner(screens.WRONG_WAY, lambda s: wrong_way.plan(s.world)),
    Planner(screens.FORWARD, lambda s: forward.plan(s.world, s.following)),
    Planner(screens.BLIND_SPOT, lambda s: blind_spot.plan(s.world, s.sightings)),
    Planner(screens.STOPPED, lambda s: stopped.plan(s.world)),
    Planner(screens.HAZARD, lambda s: hazard.plan(s.world)),
    Planner(screens.EMERGENCY, lambda s: emergency.plan(s.world)),
    Planner(screens.RULES, lambda s: rules.plan(s.world, s.limits)),
    Planner(screens.AHEAD, lambda s: ahead.plan(s.world, s.limits)),
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """How the advisories of one kind are sent. Times in ns."""

    validity: int  # of each advisory, from when it is sent
    # A proposal must persist this long before it is sent: until then, tracks may not show yet that a vehicle brakes.
    persistence: int = 0
    hysteresis: int = 0  # a changed proposal must persist so long before it replaces the one sent
    may_brake: bool = False  # its behaviour may ask to stop or brake: no advice to keep or gain speed beside it
    needs_lane: bool = True  # withheld where the position of the vehicle is too poor to tell its lane


WARNING_VALIDITY = 1000 * MS

DELIVERY: Mapping[AdvisoryKind, Delivery] = {
    AdvisoryKind.GLOSA: Delivery(validity=2000 * MS, hysteresis=400 * MS),
    AdvisoryKind.SIGNAL_STOP: Delivery(validity=3000 * MS, may_brake=True),
    AdvisoryKind.RED_LIGHT: Delivery(validity=WARNING_VALIDITY, persistence=500 * MS, may_brake=True),
    AdvisoryKind.RED_LIGHT_CROSSING: Delivery(validity=WARNING_VALIDITY, persistence=200 * MS),
    AdvisoryKind.COLLISION: Delivery(validity=WARNING_VALIDITY, persistence=100 * MS, may_brake=True),
    AdvisoryKind.PEDESTRIAN: Delivery(validity=WARNING_VALIDITY, persistence=100 * MS, may_brake=True),
    AdvisoryKind.QUEUE: Delivery(validity=WARNING_VALIDITY, persistence=300 * MS, may_brake=True),
    AdvisoryKind.FORWARD_COLLISION: Delivery(validity=WARNING_VALIDITY, persistence=300 * MS, may_brake=True),
    AdvisoryKind.BLIND_SPOT: Delivery(validity=WARNING_VALIDITY, persistence=300 * MS, may_brake=True),
    AdvisoryKind.WRONG_WAY: Delivery(validity=WARNING_VALIDITY, persistence=500 * MS, may_brake=True),
    AdvisoryKind.KEEP_CLEAR: Delivery(validity=2000 * MS, persistence=1000 * MS, may_brake=True),
    AdvisoryKind.PASSING_ORDER: Delivery(
        validity=2000 * MS, persistence=500 * MS, hysteresis=1000 * MS, may_brake=True
    ),
    AdvisoryKind.EMERGENCY: Delivery(validity=2000 * MS, may_brake=True, needs_lane=False),
    AdvisoryKind.STOPPED_VEHICLE: Delivery(validity=5000 * MS),
    AdvisoryKind.HAZARD: Delivery(validity=2000 * MS),
    AdvisoryKind.RULE: Delivery(validity=5000 * MS),
    AdvisoryKind.TOLL: Delivery(validity=10_000 * MS),
    AdvisoryKind.DYNAMIC_LANE: Delivery(validity=10_000 * MS),
    AdvisoryKind.PRIORITY: Delivery(validity=5000 * MS, needs_lane=False),
    AdvisoryKind.DEGRADED: Delivery(validity=2000 * MS, needs_lane=False),
}
