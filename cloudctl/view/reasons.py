"""Why a connected vehicle is given no speed advice, in words: the conditions of `planner.kinds.glosa`, one by one, in
the order in which it asks for them.

What was proposed and not sent is noted by the filter (`planner.Withheld`); here is why there was no proposal. A test
holds the two together: a vehicle
without a proposal has a reason, one with a proposal has none.
"""

from math import isnan

import numpy as np

from ..forecast.following import follow, holding_up
from ..forecast.prediction import predict
from ..forecast.stop_line import UNKNOWN_TIME, forecast_stop_lines
from ..planner import gate
from ..planner.kinds.glosa import MAX_SPREAD, MIN_CONFIDENCE, NEAREST, RANGE
from ..planner.policy import policy_of
from ..schema import AdvisoryKind, SignalState
from ..signals.states import NEVER
from ..world import ELSEWHERE, World


def why_no_advice(world: World, row: int) -> list[str]:
    """Return what keeps a track from speed advice, the most basic first; empty where nothing does."""
    if world.report[row] < 0:
        return ["no connected vehicle reports as this track: there is nobody to advise"]

    vehicle = world.vehicles[int(world.report[row])]
    signal, perception = gate(world)
    reasons = [f"signal-based advice is withheld: {signal}"] if signal else []
    reasons += [f"perception-based advice is withheld: {perception}"] if perception else []

    policy = policy_of(vehicle.state)
    if AdvisoryKind.GLOSA in policy.suppressed_kinds:
        reasons.append(
            f"vehicles of class {vehicle.state.kind} are not given:"
            f" {', '.join(sorted(kind.value for kind in policy.suppressed_kinds))}"
        )

    sigma = float(np.sqrt(max(world.tracks["var_x"][row], world.tracks["var_y"][row])))
    if sigma > policy.position:
        reasons.append(
            f"its position is known to {sigma:.1f} m only; advice that needs its lane is withheld beyond"
            f" {policy.position:.1f} m"
        )

    on_the_way = _on_the_way(world, row) or _at_the_signal(world, row)
    return [*reasons, on_the_way] if on_the_way else reasons


def _on_the_way(world: World, row: int) -> str | None:
    """Return why it does not come to a stop line from which its speed could be reckoned."""
    distance = float(world.to_stop[row])
    if world.path[row] < 0:
        return "it is on no lane of the digital code"
    if isnan(distance):
        return "its lane leads to no stop line of this intersection"
    if distance < 0.0:
        return "it has passed its stop line"
    if world.connection[row] < 0:
        return "which movement it will take is not known: it declared none, and its lane leads to several"

    if distance <= NEAREST:
        return (
            f"it is {distance:.1f} m before its stop line: nearer than {NEAREST:.0f} m it is too late to advise a speed"
        )

    if distance >= RANGE:
        return f"it is {distance:.0f} m before its stop line: speed advice begins at {RANGE:.0f} m"
    if world.path[row] < world.code.n_lanes and world.code.lane_links.minor[world.path[row]]:
        return "it must let others go first before it comes to the stop line: going slowly would cost it its place"

    return None


def _at_the_signal(world: World, row: int) -> str | None:
    """Return why its signal gives nothing to go by, or nothing needs to be advised."""
    group = int(world.code.conn_group[world.connection[row]])
    if group < 0:
        return "no signal governs its movement"

    name, signals = world.code.group_ids[group], world.signals
    times = forecast_stop_lines(world)
    if times.in_doubt[row]:
        return (
            f"it comes near the end of the green of group {name}: whether it passes cannot be said, so it is not held"
            " back"
        )

    if signals.confidence[group] < MIN_CONFIDENCE:
        return (
            f"the controller gives the end of group {name} a confidence of {signals.confidence[group]:.2f}: at least"
            f" {MIN_CONFIDENCE} is needed"
        )

    low, high = int(signals.min_end[group]), int(signals.max_end[group])
    if low < NEVER and high < NEVER and high - low > MAX_SPREAD * 1e9:
        return (
            f"group {name} may end within {(high - low) / 1e9:.0f} s: that is too uncertain for a speed (at most"
            f" {MAX_SPREAD:.0f} s)"
        )

    if times.in_present_green[row]:
        return None

    if times.time[row] >= UNKNOWN_TIME:
        if SignalState(int(signals.state[group])) in (SignalState.UNKNOWN, SignalState.DARK):
            return f"what signal group {name} shows is not known, or not believed"
        return f"when it can pass is not known: group {name} gives no end, or no next green, that can be believed"

    if _holds_up(world)[row]:
        return (
            "somebody close behind leaves the road before the signal, or passes in a green of its own: going slowly"
            " would hold it up"
        )

    return None


def _holds_up(world: World) -> np.ndarray:
    """Return which vehicles would hold up others by going slowly, as `planner.kinds.glosa` asks it."""
    times = forecast_stop_lines(world)
    leaves = np.zeros(len(world.tracks), np.bool_)
    leaves[world.rows] = [vehicle.paths == ELSEWHERE for vehicle in world.vehicles]
    free = leaves | times.in_present_green & (world.to_stop > 0.0) & (world.connection >= 0)
    holds_up: np.ndarray = holding_up(world, follow(world, predict(world)), free)

    return holds_up
