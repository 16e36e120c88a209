"""Rules in force: the speed limit and the bans that hold for a connected vehicle where it is, by its class and the time (rules as code).

Said when a vehicle drives faster than the limit by OVER, or is where its class may not be. GLOSA reads the same limits.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes import CompiledCode
from ..codes.rules import Vehicle
from ..codes.rules_table import RuleTable
from ..matching import Floats
from ..schema import AdvisoryKind
from ..world import World
from .candidate import Candidate

OVER = 2.0  # m/s above the limit; less is within what speedometers and positions allow


class InForce(NamedTuple):
    """One row a connected vehicle: `limit` m/s (inf where none), the rule that caps it and the one that refuses it (-1 none)."""

    limit: Floats
    cap: NDArray[np.int32]
    refused_by: NDArray[np.int32]


_TABLES: dict[str, RuleTable] = {}


def in_force(world: World) -> InForce:
    """Ask the compiled rules once for all connected vehicles of the snapshot."""
    code, n = world.code, len(world.vehicles)
    if not n or not code.code.rules:
        return InForce(np.full(n, np.inf), np.full(n, -1, np.int32), np.full(n, -1, np.int32))
    path = world.path[world.rows]
    fleet: dict[tuple[str, bool], int] = {}  # few differ: each is looked at once
    which = np.array([fleet.setdefault((v.state.kind, v.state.automated), len(fleet)) for v in world.vehicles], np.int64)
    answer = rule_table(code).effective(np.maximum(path, 0), which, np.full(n, world.t), world.s[world.rows], fleet=[Vehicle(*kind) for kind in fleet])
    off = path < 0
    answer.speed_max[off], answer.cap[off], answer.refused_by[off] = np.inf, -1, -1
    return InForce(answer.speed_max, answer.cap, answer.refused_by)


def plan(world: World, rules: InForce) -> list[Candidate]:
    """Return one candidate for each connected vehicle that a rule in force concerns now."""
    out = []
    for k in np.flatnonzero((rules.refused_by >= 0) | (world.speed[world.rows] > rules.limit + OVER)).tolist():
        vehicle, row = world.vehicles[k], world.rows[k]
        speed, refused = float(world.speed[row]), int(rules.refused_by[k])
        facts: dict[str, object] = {"speed": speed, "limit": float(rules.limit[k]), "class": vehicle.state.kind}
        if refused >= 0:
            rule = world.code.code.rules[refused]
            facts["rule"], facts["kind"] = rule.id, rule.kind.replace("_", " ")
            words, limit = "rule {rule} ({kind}) holds here for a {class}: leave this lane", None
        else:
            rule = world.code.code.rules[int(rules.cap[k])]
            facts["rule"], facts["kind"] = rule.id, rule.kind.replace("_", " ")
            words, limit = "{limit:.1f} m/s is the limit here by rule {rule} ({kind}); you drive {speed:.1f}", rules.limit[k]
        track = (int(world.tracks["id"][row]),)
        out.append(
            Candidate(
                AdvisoryKind.RULE, f"vehicle:{vehicle.id}", 2, 0.9, words, facts, track,
                None if limit is None else float(limit), None, "slow_down" if limit is not None else None,
            )
        )  # fmt: skip
    return out


def rule_table(code: CompiledCode) -> RuleTable:
    """Return the compiled rules of a code, made once."""
    table = _TABLES.get(code.hash)
    if table is None:
        table = _TABLES[code.hash] = RuleTable(code.code)
    return table
