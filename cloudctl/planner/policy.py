"""What differs by class of vehicle: how it slows down, how fast it drives, how soon it reacts, and which advice it is
not given.

Classes are those of the rules (`codes.rule`). A vehicle that declares to be automated reacts as a machine, whatever its
class. Advice to go more slowly asks for coasting, foot off the throttle, where that will do: an engine burns nothing
then; heavy vehicles coast longer. Braking that is advised is what standing passengers, or a load, bear without holding
on; drivers alone in a car brake harder, unasked.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..driving import REACTION_TIME
from ..schema import AdvisoryKind, VehicleState

# Kinds that make driving smoother: an emergency vehicle on its way is not held back by them.
SMOOTHING_KINDS = frozenset(
    {
        AdvisoryKind.GLOSA,
        AdvisoryKind.SIGNAL_STOP,
        AdvisoryKind.QUEUE,
        AdvisoryKind.KEEP_CLEAR,
        AdvisoryKind.PASSING_ORDER,
    }
)
EMERGENCY = "emergency"  # class
AUTOMATED_REACTION_TIME = 0.5  # s
AUTOMATED_POSITION = 1.5  # m


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What advice to one class of vehicle must respect."""

    coasting: float = 0.7  # m/s^2 at which it slows down without its brakes
    comfort: float = 2.5  # m/s^2 of braking that is advised at the most
    top: float = float("inf")  # m/s; it drives no faster, whatever the limit
    reaction: float = REACTION_TIME  # s until a warning is acted on
    position: float = 2.0  # m of standard deviation beyond which advice that needs its lane is withheld
    suppressed_kinds: frozenset[AdvisoryKind] = frozenset()  # kinds it is not given


PRIVATE = Policy()
BY_KIND = {
    "car": PRIVATE,
    "taxi": PRIVATE,
    "motorcycle": PRIVATE,
    "bus": Policy(coasting=0.5, comfort=1.5, reaction=1.2),
    "coach": Policy(coasting=0.5, comfort=1.5, reaction=1.2),
    "truck": Policy(coasting=0.5, comfort=1.8, reaction=1.2),
    "logistics_robot": Policy(comfort=1.5, top=11.1, position=1.5),
    "sanitation": Policy(coasting=0.5, comfort=1.8, top=11.1),
    "emergency": Policy(suppressed_kinds=SMOOTHING_KINDS),
}
AUTOMATED = {
    kind: replace(
        policy,
        reaction=min(policy.reaction, AUTOMATED_REACTION_TIME),
        position=min(policy.position, AUTOMATED_POSITION),
    )
    for kind, policy in BY_KIND.items()
}


# A connected vehicle as kernels read it.
VEHICLE = np.dtype(
    [
        ("coasting", "f8"),
        ("comfort", "f8"),
        ("top", "f8"),
        ("position", "f8"),
        ("suppresses", "f8"),  # 1: it is not given every kind
        ("is_emergency", "f8"),
        ("leaves", "f8"),  # 1: it leaves the road before this intersection
    ]
)


@lru_cache(maxsize=4096)
def vehicle_bytes(kind: str, automated: bool, leaves: bool) -> bytes:
    """Return the row of VEHICLE of a vehicle of a class."""
    policy = (AUTOMATED if automated else BY_KIND).get(kind, AUTOMATED["car"] if automated else PRIVATE)
    row = np.array(
        (
            policy.coasting,
            policy.comfort,
            policy.top,
            policy.position,
            bool(policy.suppressed_kinds),
            kind == EMERGENCY,
            leaves,
        ),
        VEHICLE,
    )

    return row.tobytes()


def policy_of(state: VehicleState) -> Policy:
    """Return the policy of a vehicle by the class it declares; that of a private car for classes that are not
    listed."""
    if state.automated:
        return AUTOMATED.get(state.kind, AUTOMATED["car"])
    return BY_KIND.get(state.kind, PRIVATE)
