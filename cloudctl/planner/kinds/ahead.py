"""What begins further on along a vehicle's way: toll zones, closures and works (from the rules in force), and lanes that are open for a time only.

A way is the lane a vehicle is on, its movement, and the lane it leads to. A rule is asked for at the place where it begins, for the
vehicle and this moment. A ban, a reserved lane, a bound of size or emission that will keep the vehicle out, or may, by what it does not declare, is
named before it comes there. Closures and works come with advice to change lanes where a lane beside leads the same way
(`lanes.change`). Dynamic lanes: tidal lanes by their rule's calendar, revocable lanes by what the signals say is in use (J2735 enabledLanes).
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...clock import SECOND
from ...codes import CompiledCode
from ...codes.compiled.rules import InForce, RuleTable
from ...codes.rules import RESERVING_KINDS, SIZE_FIELDS, Vehicle, missing
from ...forecast import lanes
from ...schema import AdvisoryKind
from ...world import World
from ..candidate import Candidate
from .rules import named

RANGE = 300.0  # m
KINDS = ("toll", "closure", "construction")
KEEP_OUT = (
    "no_entry",
    "turn_ban",
    *RESERVING_KINDS,
    *SIZE_FIELDS,
    "emission_zone",
)  # kinds that keep single vehicles out
INSIDE = 0.5  # m beyond the beginning of a place at which its rule is asked for


class Begins(NamedTuple):
    """Where one rule begins on one path."""

    path: int
    s: float
    rule: int


class _Places(NamedTuple):
    """What one code has of this, by path or road; made once."""

    begins: dict[int, tuple[Begins, ...]]
    leads: NDArray[np.bool_]  # bool[n_paths]: rules begin on it
    dynamic: dict[int, tuple[tuple[int, int], ...]]  # of a road (ingress link): (lane, its tidal rule; -1: revocable)


_KNOWN: dict[str, _Places] = {}


def places(code: CompiledCode, table: RuleTable) -> _Places:
    """Return where the rules of a code, compiled in `table`, begin, and its dynamic lanes."""
    found = _KNOWN.get(code.hash)
    if found is None:
        found = _KNOWN[code.hash] = _make(code, table)
    return found


def _make(code: CompiledCode, table: RuleTable) -> _Places:
    begins: dict[int, tuple[Begins, ...]] = {}
    dynamic: dict[int, tuple[tuple[int, int], ...]] = {}
    if code.code.rules:
        kinds = (*KINDS, *KEEP_OUT)
        for name, path in table.paths.items():
            here = tuple(
                Begins(path, p.s_from, p.rule) for p in table.at[name] if code.code.rules[p.rule].kind in kinds
            )
            if here:
                begins[path] = here
            for place in table.at[name]:
                if path < code.n_lanes and code.code.rules[place.rule].kind == "tidal_lane":
                    road = int(code.lane_ingress[path])
                    if all(lane != path for lane, _ in dynamic.get(road, ())):  # several rules may open one lane
                        dynamic[road] = (*dynamic.get(road, ()), (path, place.rule))
    for lane, told in enumerate(code.code.lanes):
        if told.revocable and code.lane_ingress[lane] >= 0:
            road = int(code.lane_ingress[lane])
            dynamic[road] = (*dynamic.get(road, ()), (lane, -1))
    leads = np.zeros(code.n_lanes + code.n_conns, np.bool_)
    leads[list(begins)] = True
    return _Places(begins, leads, dynamic)


def plan(world: World, rules: InForce) -> list[Candidate]:
    """Return what begins within RANGE of each connected vehicle and concerns it; what is in force where it is stands in `rules`."""
    found = places(world.code, world.rules)
    out: list[Candidate] = []
    if found.begins:
        out += _rules(world, found, rules)
    if found.dynamic:
        out += _dynamic(world, found)
    return out


def _rules(world: World, found: _Places, rules: InForce) -> list[Candidate]:
    out, table, second = [], world.rules, world.t // SECOND
    for k in concerned(world, found.leads):
        vehicle, row = world.vehicles[k].as_ruled, int(world.rows[k])
        named_already = {
            int(rules.refused_by[k]),
            int(rules.undecided[k]),
        }  # where the vehicle is, and further on in the same place
        for path in _way(world, row):
            for begins in found.begins.get(path, ()):
                far = distance(world, row, path, begins.s)
                if not 0.0 < far < RANGE or begins.rule in named_already:
                    continue
                effect, kind = _effect(table, begins, vehicle, second), world.code.code.rules[begins.rule].kind
                if effect == MAY_REFUSE and kind in (*KEEP_OUT, "closure"):
                    named_already.add(begins.rule)
                    out.append(_ban(world, k, row, begins, far, is_sure=False))
                elif effect == REFUSES and kind in KEEP_OUT:
                    named_already.add(begins.rule)
                    out.append(_ban(world, k, row, begins, far, is_sure=True))
                elif effect in (HOLDS, REFUSES) and kind in KINDS:
                    out.append(_rule(world, k, row, begins, far))
    return out


IDLE, HOLDS, REFUSES, MAY_REFUSE = range(4)  # what a rule is to a vehicle


@lru_cache(maxsize=8192)
def _effect(table: RuleTable, begins: Begins, vehicle: Vehicle, second: int) -> int:
    """Return what a rule is to a vehicle where it begins."""
    s = np.array([begins.s + INSIDE])
    path, t = np.array([begins.path]), np.array([second * SECOND])
    answer = table.effective(path, np.array([0]), t, s, fleet=(vehicle,))
    if answer.refused_by[0] == begins.rule:
        return REFUSES
    if answer.undecided[0] == begins.rule:
        return MAY_REFUSE
    return HOLDS if bool((answer.decided == begins.rule).any()) else IDLE


def _ban(world: World, k: int, row: int, begins: Begins, far: float, is_sure: bool) -> Candidate:
    """Return what a vehicle is told of a rule that will keep it out, or may."""
    rule, vehicle = world.code.code.rules[begins.rule], world.vehicles[k]
    name = (*world.code.lane_ids, *world.code.conn_ids)[begins.path]
    facts: dict[str, object] = {
        "far": far,
        "rule": rule.id,
        "kind": named(rule),
        "where": name,
        "class": vehicle.state.kind,
        "text": rule.text,
    }
    if is_sure:
        words = (
            "rule {rule} ({kind}) keeps a {class} out of {where}, {far:.0f} m ahead: take another lane or way. {text}"
        )
        behaviour = lanes.change(world, row, open_lanes(world, k)) if begins.path == world.path[row] else None
    else:
        facts["missing"] = " or ".join(missing(rule, vehicle.as_ruled))
        words = "rule {rule} ({kind}) may keep a {class} out of {where}, {far:.0f} m ahead: your state does not declare {missing}. Declare it, or go by the sign. {text}"
        behaviour = None
    track = (int(world.tracks["id"][row]),)
    return Candidate(
        AdvisoryKind.RULE,
        f"vehicle:{world.vehicles[k].id}",
        2,
        0.9 if is_sure else 0.5,
        words,
        facts,
        track,
        None,
        far,
        behaviour,
        about=rule.id,
    )


@njit(cache=True)
def _concerned(
    rows: Any, path: Any, connection: Any, n_lanes: int, conn_from: Any, conn_to: Any, marked: Any, found: Any
) -> int:
    n = 0
    for k in range(len(rows)):
        own, turn = path[rows[k]], connection[rows[k]]
        on = own >= 0 and marked[own]
        if on or (turn >= 0 and (marked[n_lanes + turn] or marked[conn_to[turn]] or marked[conn_from[turn]])):
            found[n] = k
            n += 1
    return n


def concerned(world: World, marked: NDArray[np.bool_]) -> list[int]:
    """Return which connected vehicles have one of the `marked` paths (bool[n_paths]) on their way."""
    code, found = world.code, np.empty(len(world.rows), np.int64)
    n = _concerned(world.rows, world.path, world.connection, code.n_lanes, code.conn_from, code.conn_to, marked, found)
    out: list[int] = found[:n].tolist()
    return out


def _rule(world: World, k: int, row: int, begins: Begins, far: float) -> Candidate:
    rule, kind = world.code.code.rules[begins.rule], world.vehicles[k].state.kind
    name = (*world.code.lane_ids, *world.code.conn_ids)[begins.path]
    facts: dict[str, object] = {
        "far": far,
        "rule": rule.id,
        "where": name,
        "class": kind,
        "value": rule.value or 0.0,
        "text": rule.text,
    }
    target, track = f"vehicle:{world.vehicles[k].id}", (int(world.tracks["id"][row]),)
    if rule.kind == "toll":
        words = "toll from {where} on, {far:.0f} m ahead, by rule {rule}: CNY {value:.2f} for a {class}. {text}"
        return Candidate(AdvisoryKind.TOLL, target, 2, 1.0, words, facts, track, None, far, None)
    behaviour = lanes.change(world, row, open_lanes(world, k)) if begins.path == world.path[row] else None
    facts["kind"] = "closure" if rule.kind == "closure" else "works"
    words = "{kind} {far:.0f} m ahead on {where} by rule {rule}. {text}"
    if rule.kind == "construction" and rule.value is not None:
        words = "{kind} {far:.0f} m ahead on {where} by rule {rule}: {value:.1f} m/s there. {text}"
    speed = rule.value if rule.kind == "construction" else None
    return Candidate(AdvisoryKind.HAZARD, target, 2, 1.0, words, facts, track, speed, far, behaviour or "slow_down")


def _dynamic(world: World, found: _Places) -> list[Candidate]:
    out = []
    for k, row in enumerate(world.rows.tolist()):
        path = int(world.path[row])
        road = int(world.code.lane_ingress[path]) if 0 <= path < world.code.n_lanes else -1
        if not 0.0 < world.to_stop[row] < RANGE:
            continue
        said = [_lane(world, k, lane, rule) for lane, rule in found.dynamic.get(road, ())]
        if not any(said):
            continue
        target, facts = f"vehicle:{world.vehicles[k].id}", dict[str, object](lanes="; ".join(filter(None, said)))
        track, far = (int(world.tracks["id"][row]),), float(world.to_stop[row])
        out.append(Candidate(AdvisoryKind.DYNAMIC_LANE, target, 2, 1.0, "{lanes}", facts, track, None, far))
    return out


def _lane(world: World, k: int, lane: int, rule: int) -> str:
    """Return whether a dynamic lane is open to a vehicle now, in words; nothing where nobody said."""
    name = world.code.lane_ids[lane]
    if rule < 0:
        if world.signals.lanes is None:
            return ""
        return f"lane {name} is {'in use' if name in world.signals.lanes else 'not in use'} now"
    why = f" by rule {world.code.code.rules[rule].id}"
    return f"lane {name} is {'open to you' if open_lanes(world, k)[lane] else 'closed to you'} now{why}"


def open_lanes(world: World, k: int) -> np.ndarray:
    """Return which lanes the rules leave open to a vehicle now: bool[n_lanes]."""
    return _open(world.rules, world.code.n_lanes, world.vehicles[k].as_ruled, world.t // SECOND)


@lru_cache(maxsize=1024)
def _open(table: RuleTable, n: int, vehicle: Vehicle, second: int) -> np.ndarray:
    return table.effective(np.arange(n), np.zeros(n, np.int64), np.full(n, second * SECOND), fleet=(vehicle,)).allowed


def _way(world: World, row: int) -> list[int]:
    """Return the paths still before a track: its own, the lane its movement leaves, the movement, the lane that leads to."""
    code, path, connection = world.code, int(world.path[row]), int(world.connection[row])
    way = [path] if path >= 0 else []
    if connection >= 0:
        inside = path >= code.n_lanes
        way += (
            [code.n_lanes + connection, int(code.conn_to[connection])]
            if not inside
            else [int(code.conn_to[connection])]
        )
        if not inside and int(code.conn_from[connection]) != path:
            way.append(int(code.conn_from[connection]))
    return list(dict.fromkeys(way))


@njit(cache=True)
def distance_to(
    target: int, s: float, i: int, path: Any, at: Any, length: Any, connection: Any, to_stop: Any, n_lanes: int, conn_from: Any, conn_to: Any,
    lane_stop_s: Any, path_length: Any,
) -> float:  # fmt: skip
    """Return m from the front of track `i` to a place `s` m along the path `target`: `distance`, compiled."""
    turn = connection[i]
    if target == path[i]:
        return float(s - at[i] - 0.5 * length[i])
    if turn < 0:
        return np.nan
    if target == conn_from[turn]:
        stop = lane_stop_s[target]
        return float(to_stop[i] + s - (stop if stop == stop else path_length[target]))
    if target == n_lanes + turn:
        return float(to_stop[i] + s)
    if target == conn_to[turn]:
        return float(to_stop[i] + path_length[n_lanes + turn] + s)
    return np.nan


def distance(world: World, row: int, path: int, s: float) -> float:
    """Return m from a track's front to a place `s` m along a path of its way; negative behind it, nan where it does not lead there."""
    code = world.code
    return float(
        distance_to(
            path, s, row, world.path, world.s, world.tracks["length"], world.connection, world.to_stop, code.n_lanes, code.conn_from, code.conn_to,
            code.lane_stop_s, code.path_length,
        )
    )  # fmt: skip
