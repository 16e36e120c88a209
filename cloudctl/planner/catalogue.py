"""The table of the advisory kinds: what plans each, what that needs, and how its advisories are sent.

Adding a kind: a module in `kinds/` with its formulae, a row in PLANNERS for the function that plans it, a row in
DELIVERY, and its name on the wire in `schema.AdvisoryKind`. A test holds the tables complete.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

from ..clock import MS
from ..codes.compiled.rules import InForce
from ..forecast.following import Following
from ..forecast.prediction import Prediction
from ..forecast.stop_line import StopLineForecast
from ..schema import AdvisoryKind
from ..world import World
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


class Needs(Enum):
    """What advice may rest on: it is withheld while that is missing."""

    SIGNAL_TIMES = auto()  # signal states in time, of the code in force, and trusted

    # Signal states of the code in force. What rests on the displayed state alone is never withheld because times are
    # wrong: it is what protects then.
    SIGNAL_STATES = auto()

    PERCEPTION = auto()  # perception in time


NOTHING = frozenset[Needs]()
SIGNAL_TIMES = frozenset({Needs.SIGNAL_TIMES})
SIGNAL_STATES = frozenset({Needs.SIGNAL_STATES})
PERCEPTION = frozenset({Needs.PERCEPTION})
TIMES_AND_PERCEPTION = SIGNAL_TIMES | PERCEPTION


class Situation(NamedTuple):
    """A snapshot, and what is derived from it once for all kinds."""

    world: World
    forecast: StopLineForecast
    limits: InForce
    prediction: Prediction
    following: Following


Plan = Callable[[Situation, list[Candidate]], list[Candidate]]


class Planner(NamedTuple):
    """One function that plans. It is given the situation, and the candidates of the planners before it in the table."""

    plan: Plan
    needs: frozenset[Needs]


# In the order in which they are asked.
PLANNERS = (
    Planner(lambda s, _: glosa.plan(s.world, s.forecast, s.limits, s.following), SIGNAL_TIMES),
    Planner(lambda s, _: collision.plan(s.world, s.prediction, s.following), TIMES_AND_PERCEPTION),
    Planner(lambda s, _: keep_clear.plan(s.world, s.prediction), TIMES_AND_PERCEPTION),
    Planner(lambda s, _: passing_order.plan(s.world, s.prediction), TIMES_AND_PERCEPTION),
    Planner(lambda s, candidates: signal_stop.plan(s.world, s.forecast, glosa.slowed(candidates)), SIGNAL_STATES),
    Planner(lambda s, _: red_light.plan(s.world, s.forecast, s.prediction, s.following), SIGNAL_STATES),
    Planner(lambda s, _: pedestrian.plan(s.world), PERCEPTION),
    Planner(lambda s, _: queue.plan(s.world, s.forecast), PERCEPTION),
    Planner(lambda s, _: wrong_way.plan(s.world), PERCEPTION),
    Planner(lambda s, _: forward.plan(s.world, s.following), PERCEPTION),
    Planner(lambda s, _: blind_spot.plan(s.world, s.prediction), PERCEPTION),
    Planner(lambda s, _: stopped.plan(s.world), PERCEPTION),
    Planner(lambda s, _: hazard.plan(s.world), NOTHING),
    Planner(lambda s, _: emergency.plan(s.world), NOTHING),
    Planner(lambda s, _: rules.plan(s.world, s.limits), NOTHING),
    Planner(lambda s, _: ahead.plan(s.world, s.limits), NOTHING),
)


@cache
def plans(has_signal_times: bool, has_signal_states: bool, has_perception: bool) -> tuple[Plan, ...]:
    """Return the functions to ask, in order, where what advice may rest on is there or not."""
    has = {
        Needs.SIGNAL_TIMES: has_signal_times,
        Needs.SIGNAL_STATES: has_signal_states,
        Needs.PERCEPTION: has_perception,
    }
    return tuple(planner.plan for planner in PLANNERS if all(has[need] for need in planner.needs))


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
