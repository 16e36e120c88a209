"""plan(world) -> candidates: one module per advisory kind, and the discipline that decides what is sent."""

from ..clock import MS
from ..schema import AdvisoryKind
from ..world import World
from . import collision, emergency, glosa, hazard, pedestrian, queue, red_light, rules, wrong_way
from .candidate import Candidate
from .discipline import Discipline
from .passing import passing

SIGNAL_AGE = 500 * MS  # T/CSAE 159: SPAT period
PERCEPTION_AGE = 300 * MS  # ETSI TS 101 539-1: end to end

__all__ = ["Candidate", "Discipline", "gate", "plan"]


def gate(world: World) -> tuple[str | None, str | None]:
    """Return why signal-based and why perception-based advice is withheld; None where it is not."""
    signal = perception = None
    if world.signals.t == 0:
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
    if world.perception_age > PERCEPTION_AGE:
        perception = (
            f"perception is {world.perception_age / 1e9:.1f} s old; at most {PERCEPTION_AGE / 1e9:.1f} s is used"
        )
    return signal, perception


def plan(world: World) -> list[Candidate]:
    """Return every proposal for the intersection at this moment; what the gate withholds is said as `degraded`."""
    signal, perception = gate(world)
    out: list[Candidate] = []
    times, limits = passing(world), rules.in_force(world)
    if signal is None:
        out += glosa.plan(world, times, limits)
        if perception is None:
            out += red_light.plan(world, times) + collision.plan(world)
    if perception is None:
        out += pedestrian.plan(world) + queue.plan(world, times) + wrong_way.plan(world)
    out += hazard.plan(world) + emergency.plan(world) + rules.plan(world, limits)
    target = f"intersection:{world.code.code.id}"
    out += (
        [
            Candidate(
                AdvisoryKind.DEGRADED,
                target,
                2,
                1.0,
                "{why}",
                {"why": "; ".join(why for why in (signal, perception) if why)},
            )
        ]
        if signal or perception
        else []
    )
    return out
