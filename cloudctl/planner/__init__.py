"""plan(world) -> candidates: one module per advisory kind, and the discipline that decides what is sent.

What several kinds read is computed once a snapshot: `prediction` (where everybody will be), `following` (who drives behind whom), `passing`
(when each passes its line), and the rules in force. `policy` says what differs by kind of vehicle.
"""

import numpy as np

from ..clock import MS
from ..forecast.following import follow
from ..forecast.prediction import predict
from ..forecast.stop_line import passing
from ..schema import AdvisoryKind
from ..world import World
from .candidate import Candidate, Withheld
from .filter import AdvisoryFilter
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
from .policy import policy_of
from .priority import PriorityRequestServer

SIGNAL_AGE = 500 * MS  # T/CSAE 159: SPAT period
PERCEPTION_AGE = 300 * MS  # ETSI TS 101 539-1: end to end
SILENT = 1500 * MS  # a connected vehicle reports once a second, or more often
ANYWHERE = (AdvisoryKind.EMERGENCY, AdvisoryKind.DEGRADED, AdvisoryKind.PRIORITY)  # kinds that need no lane

__all__ = ["AdvisoryFilter", "Candidate", "PriorityRequestServer", "Withheld", "failed", "gate", "passing", "plan"]


def gate(world: World) -> tuple[str | None, str | None]:
    """Return why signal-based and why perception-based advice is withheld; None where it is not."""
    signal = perception = None
    if not world.code.code.signal_groups:
        pass  # nobody signals here
    elif world.signals.t == 0:
        signal = "no signal state was received yet"
    elif world.signal_age > SIGNAL_AGE:
        signal = f"signal states are {world.signal_age / 1e9:.1f} s old; at most {SIGNAL_AGE / 1e9:.1f} s is used"
    elif world.signals.revision != world.code.code.revision:
        signal = (
            f"signal states refer to code revision {world.signals.revision}, "
            f"the code in force is revision {world.code.code.revision}"
        )
    elif world.signal_trouble:
        signal = f"signal states are not to be trusted: {world.signal_trouble}"
    if world.t_sensor == 0:
        perception = "no perception was received yet"
    elif world.perception_age > PERCEPTION_AGE:
        perception = (
            f"perception is {world.perception_age / 1e9:.1f} s old; at most {PERCEPTION_AGE / 1e9:.1f} s is used"
        )
    return signal, perception


def plan(world: World, withheld: list[Withheld] | None = None) -> list[Candidate]:
    """Return every proposal for the intersection at this moment; what the gate withholds is said as `degraded`.

    `withheld`, where given, collects what a vehicle's own policy keeps from it, with the reason.
    """
    signal, perception = gate(world)
    out: list[Candidate] = []
    times, limits, expected = passing(world), rules.in_force(world), predict(world)
    behind = follow(world, expected)

    if signal is None:
        out += glosa.plan(world, times, limits, behind)
        if perception is None:
            out += collision.plan(world, expected, behind)
            out += keep_clear.plan(world, expected) + passing_order.plan(world, expected)
    if world.signals.t and world.signals.revision == world.code.code.revision:
        # What rests on the displayed state alone is never withheld: where the times are wrong, it is what protects.
        slowed = {
            c.target.removeprefix("vehicle:")
            for c in out
            if c.kind is AdvisoryKind.GLOSA and c.behaviour not in ("keep", "speed_up")
        }
        out += signal_stop.plan(world, times, slowed) + red_light.plan(world, times, expected, behind)
    if perception is None:
        out += pedestrian.plan(world) + queue.plan(world, times) + wrong_way.plan(world)
        out += forward.plan(world, behind) + blind_spot.plan(world, expected) + stopped.plan(world)
    out += hazard.plan(world) + emergency.plan(world) + rules.plan(world, limits) + ahead.plan(world, limits)

    doubt = (
        None
        if signal or world.doubt_reason is None
        else f"single signal groups are not to be trusted: {world.doubt_reason}"
    )
    reasons = [why for why in (signal, doubt, perception, world.sensor_trouble) if why]
    if reasons:
        why = "; ".join(reasons)
        out.append(_degraded(f"intersection:{world.code.code.id}", why))
    return _fitting(world, out, withheld)


def _fitting(world: World, candidates: list[Candidate], withheld: list[Withheld] | None) -> list[Candidate]:
    """Drop what a vehicle's policy does not want told, and what needs a lane where its position is too poor to tell which."""
    tracks, suppressed_kinds, poor, unheard = world.tracks, {}, {}, set()
    deviation = np.sqrt(np.maximum(tracks["var_x"][world.rows], tracks["var_y"][world.rows])).tolist()
    for vehicle, sigma in zip(world.vehicles, deviation, strict=True):
        policy = policy_of(vehicle.state)
        if policy.suppressed_kinds:
            suppressed_kinds[f"vehicle:{vehicle.id}"] = policy.suppressed_kinds
        if sigma > policy.position:
            why = f"your position is known to {sigma:.1f} m only; advice that needs your lane is withheld beyond {policy.position:.1f} m"
            poor[f"vehicle:{vehicle.id}"] = why
            if world.t - vehicle.t > SILENT:
                unheard.add(f"vehicle:{vehicle.id}")  # gone, most likely
    if not suppressed_kinds and not poor:
        return candidates
    kept = [
        c
        for c in candidates
        if c.kind not in suppressed_kinds.get(c.target, ()) and (c.kind in ANYWHERE or c.target not in poor)
    ]
    if withheld is not None:
        for c in candidates:
            if c.kind in suppressed_kinds.get(c.target, ()):
                withheld.append(Withheld(c, "vehicles of its class are not given advice of this kind"))
            elif c.target in poor and c.kind not in ANYWHERE:
                withheld.append(Withheld(c, poor[c.target]))
    return kept + [_degraded(target, why) for target, why in poor.items() if target not in unheard]


def failed(intersection: str) -> Candidate:
    """Return what vehicles are to know where a plan came to nothing for a fault of the node's own."""
    return _degraded(f"intersection:{intersection}", "a fault of the node: no advice is given here until it is mended")


def _degraded(target: str, why: str) -> Candidate:
    return Candidate(AdvisoryKind.DEGRADED, target, 2, 1.0, "{why}", {"why": why})
