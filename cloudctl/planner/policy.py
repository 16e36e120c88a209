"""What differs by kind of vehicle: how it slows down, how fast it drives, how soon it reacts, and what it is not told.

Kinds are the vehicle classes of the rules (`codes.rule.CLASSES`); who says it is automated reacts as a machine, whatever it is.
Advice to go more slowly is reckoned with coasting, foot off the throttle, where that will do: an engine burns nothing then; heavy vehicles coast longer.
Braking that is advised is what passengers who stand, or a load, bear without holding on; drivers alone in a car use more, unasked.
"""

from dataclasses import dataclass, replace

from ..schema import AdvisoryKind, VehicleState

GREEN_ONLY = frozenset(
    {
        AdvisoryKind.GLOSA,
        AdvisoryKind.SIGNAL_STOP,
        AdvisoryKind.QUEUE,
        AdvisoryKind.KEEP_CLEAR,
        AdvisoryKind.PASSING_ORDER,
    }
)


@dataclass(frozen=True)
class Policy:
    """What advice to one kind of vehicle must respect."""

    coasting: float = 0.7  # m/s^2 at which it slows down without its brakes
    comfort: float = 2.5  # m/s^2 of braking that is advised at the most
    top: float = float("inf")  # m/s; it drives no faster, whatever the limit
    reaction: float = 1.0  # s until a warning is acted on
    position: float = 2.0  # m of standard deviation beyond which advice that needs its lane is withheld
    suppressed_kinds: frozenset[AdvisoryKind] = frozenset()  # kinds it is not told


MACHINE = 0.5  # s of reaction of an automated vehicle
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
    "emergency": Policy(suppressed_kinds=GREEN_ONLY),
}
AUTOMATED = {
    kind: replace(policy, reaction=min(policy.reaction, MACHINE), position=min(policy.position, 1.5))
    for kind, policy in BY_KIND.items()
}


def policy_of(state: VehicleState) -> Policy:
    """Return the policy of a vehicle by what it says it is; that of a private car for kinds that are not listed."""
    return (AUTOMATED if state.automated else BY_KIND).get(state.kind, AUTOMATED["car"] if state.automated else PRIVATE)
