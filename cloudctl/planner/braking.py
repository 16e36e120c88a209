"""How hard a vehicle must brake to stop before a place, and whether its driver does."""

from ..driving import BRAKING_SHARE, FIRM_BRAKING, LATE_BRAKING, REACTION_TIME
from ..kernels import njit

STOP_MARGIN = 2.0  # m kept before the place to stop at (CAMP)
MIN_DISTANCE = 0.5  # m; a nearer place is within what tracks are sure to


def required_deceleration(
    speed: float, distance: float, reaction: float = REACTION_TIME, margin: float = STOP_MARGIN
) -> float:
    """Return v^2 / (2 (d - v t_r - margin)) in m/s^2 (CAMP); inf when the reaction alone uses the distance up."""
    braking_distance = distance - speed * reaction - margin
    return speed * speed / (2.0 * braking_distance) if braking_distance > 0.0 else float("inf")


@njit(cache=True)
def brakes_too_late(
    speed: float, distance: float, braking: float, limit: float = LATE_BRAKING, share: float = BRAKING_SHARE
) -> bool:
    """Return whether a driver `distance` m before a place to stop at must brake harder than `limit` m/s^2 from now on,
    and does not brake (m/s^2) even that `share` as hard: a driver who brakes in time is never warned of what is already
    seen.

    Outside of compiled code give every argument: numba takes 20 us to fill in one that is left out.
    """
    needed = speed * speed / (2.0 * max(distance, MIN_DISTANCE))
    return bool(needed > limit and braking < share * needed)


@njit(cache=True)
def stopping_distance(speed: float) -> float:
    """Return the stopping distance (m) from `speed` m/s on advice given now: REACTION_TIME at that speed, then
    FIRM_BRAKING."""
    return speed * REACTION_TIME + speed * speed / (2.0 * FIRM_BRAKING)
