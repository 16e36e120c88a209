"""Why a road user is given no advice, in words: what stands between its track and a proposal. What was proposed and withheld is noted by the filter."""

from math import isnan

from ..planner import gate
from ..planner.passing import passing
from ..planner.policy import policy_of
from ..schema import SignalState
from ..signals import NEVER
from ..world import World


def why_no_advice(world: World, row: int) -> list[str]:
    """Return what keeps a track from being advised, the most basic first; empty where nothing does."""
    if world.report[row] < 0:
        return ["no connected vehicle reports as this track: there is nobody to advise"]
    vehicle = world.vehicles[int(world.report[row])]
    reasons = [f"signal-based advice is withheld: {why}" for why in gate(world)[:1] if why]
    reasons += [f"perception-based advice is withheld: {why}" for why in gate(world)[1:] if why]

    policy = policy_of(vehicle.state)
    if policy.deaf:
        reasons.append(f"a vehicle of class {vehicle.state.kind} is not given: {', '.join(sorted(kind.value for kind in policy.deaf))}")
    sigma = float(max(world.tracks["var_x"][row], world.tracks["var_y"][row])) ** 0.5
    if sigma > policy.position:
        reasons.append(f"its position is known to {sigma:.1f} m only; advice that needs its lane is withheld beyond {policy.position:.1f} m")
    if world.path[row] < 0:
        reasons.append("it is on no lane of the digital code")
    elif isnan(world.to_stop[row]):
        reasons.append("its lane leads to no stop line of this intersection")
    elif world.to_stop[row] < 0.0:
        reasons.append("it has passed its stop line")
    else:
        reasons += _at_the_signal(world, row)
    return reasons


def _at_the_signal(world: World, row: int) -> list[str]:
    """Return why speed advice has nothing to go by, or nothing to add, for a vehicle before its stop line."""
    connection = int(world.connection[row])
    if connection < 0:
        return ["which movement it will take is not known: it declared none, and its lane leads to several"]
    group = int(world.code.conn_group[connection])
    if group < 0:
        return ["no signal governs its movement"]
    name = world.code.group_ids[group]
    state = SignalState(int(world.signals.state[group]))
    if state in (SignalState.UNKNOWN, SignalState.DARK):
        return [f"what signal group {name} shows is not known or not believed"]
    if world.signals.max_end[group] == NEVER and world.signals.min_end[group] == NEVER:
        return [f"signal group {name} gives no end of its state that can be believed"]
    times = passing(world)
    if times.now[row]:
        return [f"it passes in the green that group {name} shows: nothing needs to be advised"]
    if times.doubt[row]:
        return [f"it comes near the end of the green of group {name}: whether it passes cannot be said, so it is not held back"]
    return []
