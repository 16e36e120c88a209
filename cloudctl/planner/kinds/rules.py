"""Rules in force: the speed limit and the bans that hold for a connected vehicle where it is, by its class and the time (rules as code).

Sent when a vehicle drives faster than the limit by OVER, or is where its class may not be; and where a rule may keep it out by what it does not
declare (its mass on a weak bridge), with what that is. GLOSA reads the same limits.
"""

import numpy as np

from ...codes.compiled.rules import InForce
from ...codes.rule import VALUED, Rule
from ...codes.rules import SPEED_CAP_KINDS, missing
from ...schema import AdvisoryKind
from ...world import World
from ..candidate import Candidate

OVER = 2.0  # m/s above the limit; less is within what speedometers and positions allow


def in_force(world: World) -> InForce:
    """Ask the compiled rules once for all connected vehicles of the snapshot."""
    code, n = world.code, len(world.vehicles)
    if not n or not code.code.rules:
        none = np.full(n, -1, np.int32)
        return InForce(np.full(n, np.inf), none, none, none)
    return world.rules.in_force(
        world.rows, world.path, world.s, world.t, [vehicle.as_ruled for vehicle in world.vehicles]
    )


def plan(world: World, rules: InForce) -> list[Candidate]:
    """Return one candidate for each connected vehicle that a rule in force concerns now."""
    out = []
    too_fast = world.speed[world.rows] > rules.limit + OVER
    for k in np.flatnonzero((rules.refused_by >= 0) | too_fast | (rules.undecided >= 0)).tolist():
        vehicle, row = world.vehicles[k], world.rows[k]
        refused, undecided = int(rules.refused_by[k]), int(rules.undecided[k])
        facts: dict[str, object] = {
            "speed": float(world.speed[row]),
            "limit": float(rules.limit[k]),
            "class": vehicle.state.kind,
        }
        limit, confidence = None, 0.9
        if refused >= 0:
            rule = world.code.code.rules[refused]
            words = "rule {rule} ({kind}) holds here for a {class}: leave this lane"
        elif too_fast[k]:
            rule = world.code.code.rules[int(rules.cap[k])]
            words, limit = (
                "{limit:.1f} m/s is the limit here by rule {rule} ({kind}); you drive {speed:.1f}",
                float(rules.limit[k]),
            )
        else:
            rule = world.code.code.rules[undecided]
            facts["effect"] = "limit a" if rule.kind in SPEED_CAP_KINDS else "keep a"
            facts["end"] = f"to {rule.value:.1f} m/s here" if rule.kind in SPEED_CAP_KINDS else "out here"
            words, confidence = (
                "rule {rule} ({kind}) may {effect} {class} {end}: your state does not declare {missing}. Declare it, or go by the sign",
                0.5,
            )
            facts["missing"] = " or ".join(missing(rule, vehicle.as_ruled))
        facts["rule"], facts["kind"] = rule.id, named(rule)
        track = (int(world.tracks["id"][row]),)
        behaviour = None if limit is None else "slow_down"
        out.append(
            Candidate(
                AdvisoryKind.RULE, f"vehicle:{vehicle.id}", 2, confidence, words, facts, track, limit, None, behaviour
            )
        )
    return out


def named(rule: Rule) -> str:
    """Return the kind of a rule in words, with its value where it bounds a size or stage."""
    kind = rule.kind.replace("_", " ")
    unit = VALUED.get(rule.kind, "m/s")
    if rule.value is None or unit in ("m/s", "CNY"):
        return kind
    return f"{kind} {rule.value:g} {unit}" if unit != "stage" else f"{kind}, stage {rule.value:g}"
