"""Rules in force: the speed limit and the bans that hold for a connected vehicle where it is, by its class and the time
(rules as code).

Sent when a vehicle drives faster than the limit by EXCESS, or is where its class may not be; and where a rule may keep
it out by what it does not declare (its mass on a weak bridge), with what that is. GLOSA keeps to the same limits.
"""

from typing import Any

from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.rules import InForce
from ...codes.rule import VALUED, Rule
from ...codes.rules import SPEED_CAP_KINDS, missing
from ...schema import AdvisoryKind, vehicle_target
from ...world import Connected, Users, World
from ..candidate import INFORMATION, SLOW_DOWN, Candidate

KIND = AdvisoryKind.RULE
EXCESS = 2.0  # m/s above the limit; less is within what speedometers and positions allow
SURE_CONFIDENCE, UNDECIDED_CONFIDENCE = 0.9, 0.5
REASON_REFUSED = "rule {rule} ({kind}) holds here for a {class}: leave this lane"
REASON_TOO_FAST = "{limit:.1f} m/s is the limit here by rule {rule} ({kind}); you drive {speed:.1f} m/s"
REASON_UNDECIDED = (
    "rule {rule} ({kind}) may {effect} {class} {end}: your state does not declare {missing}. "
    "Declare it, or go by the sign"
)


@inner_kernel
def screen(users: Users, connected: Connected, limit: Any, decided: Any) -> bool:
    """Return whether a rule concerns a connected vehicle now. `limit`, `decided`: fields of `InForce`."""
    for k in range(len(connected.rows)):
        if users.speed[connected.rows[k]] > limit[k] + EXCESS or decided[1, k] >= 0 or decided[2, k] >= 0:
            return True
    return False


def plan(world: World, rules: InForce) -> list[Candidate]:
    """Return a candidate for each connected vehicle that a rule in force concerns now."""
    too_fast = world.speed[world.rows] > rules.limit + EXCESS
    is_concerned = (rules.refused_by >= 0) | too_fast | (rules.undecided >= 0)
    return [_candidate(world, rules, k, bool(too_fast[k])) for k in is_concerned.nonzero()[0].tolist()]


def _candidate(world: World, rules: InForce, k: int, is_too_fast: bool) -> Candidate:
    """Return what a connected vehicle is advised: of the rule that keeps it out, else of its speed, else of what it
    does not declare."""
    vehicle, row = world.vehicles[k], int(world.rows[k])
    facts: dict[str, object] = {
        "speed": float(world.speed[row]),
        "limit": float(rules.limit[k]),
        "class": vehicle.state.kind,
    }

    limit, behaviour, confidence = None, None, SURE_CONFIDENCE
    if rules.refused_by[k] >= 0:
        rule, reason = world.code.code.rules[int(rules.refused_by[k])], REASON_REFUSED
    elif is_too_fast:
        rule, reason = world.code.code.rules[int(rules.cap[k])], REASON_TOO_FAST
        limit, behaviour = float(rules.limit[k]), SLOW_DOWN
    else:
        rule, reason = world.code.code.rules[int(rules.undecided[k])], REASON_UNDECIDED
        confidence = UNDECIDED_CONFIDENCE
        caps_speed = rule.kind in SPEED_CAP_KINDS
        facts["effect"] = "limit a" if caps_speed else "keep a"
        facts["end"] = f"to {rule.value:.1f} m/s here" if caps_speed else "out here"
        facts["missing"] = " or ".join(missing(rule, vehicle.as_ruled))

    facts["rule"], facts["kind"] = rule.id, named(rule)

    return Candidate(
        kind=KIND,
        target=vehicle_target(vehicle.id),
        severity=INFORMATION,
        confidence=confidence,
        reason=reason,
        facts=facts,
        tracks=(int(world.tracks["id"][row]),),
        speed=limit,
        behaviour=behaviour,
    )


def named(rule: Rule) -> str:
    """Return the kind of a rule in words, with its value where it bounds a size or stage."""
    kind = rule.kind.replace("_", " ")
    unit = VALUED.get(rule.kind, "m/s")
    if rule.value is None or unit in ("m/s", "CNY"):
        return kind
    return f"{kind}, stage {rule.value:g}" if unit == "stage" else f"{kind} {rule.value:g} {unit}"
