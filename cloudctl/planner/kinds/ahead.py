"""What begins further on along a vehicle's way: toll zones, closures and works (from the rules in force), and lanes
that are open for a time only.

A way is the lane a vehicle is on, its movement, and the lane it leads to. A rule is asked for at the place where it
begins, for the vehicle and this moment. A ban, a reserved lane, a bound of size or emission that will keep the vehicle
out, or may, by what it does not declare, is named before it comes there. Closures and works come with advice to change
lanes where a lane beside leads the same way (`lanes.change`). Dynamic lanes: tidal lanes by their rule's calendar,
revocable lanes by what the signals say is in use (J2735 enabledLanes).
"""

from enum import Enum, auto
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...clock import SECOND
from ...codes import CompiledCode
from ...codes.compiled.addresses import inner_kernel
from ...codes.compiled.arrays import lanes_at, moves_at
from ...codes.compiled.rules import InForce, RuleTable
from ...codes.rules import RESERVING_KINDS, SIZE_FIELDS, Vehicle, missing
from ...forecast import lanes
from ...kernels import njit
from ...schema import AdvisoryKind, Behaviour, vehicle_target
from ...world import Connected, Users, World
from ..candidate import INFORMATION, SLOW_DOWN, Candidate
from .rules import named

DYNAMIC_LANE = AdvisoryKind.DYNAMIC_LANE
HAZARD = AdvisoryKind.HAZARD
RULE = AdvisoryKind.RULE
TOLL = AdvisoryKind.TOLL
RANGE = 300.0  # m
ANNOUNCED_KINDS = ("toll", "closure", "construction")  # kinds of rules that are announced where they hold
# kinds that keep single vehicles out
BANNING_KINDS = ("no_entry", "turn_ban", *RESERVING_KINDS, *SIZE_FIELDS, "emission_zone")
INSIDE = 0.5  # m beyond the beginning of a place at which its rule is asked for
SURE_CONFIDENCE, UNDECIDED_CONFIDENCE = 0.9, 0.5
REVOCABLE = -1  # instead of the rule of a tidal lane

REASON_BAN = "rule {rule} ({kind}) keeps a {class} out of {where}, {far:.0f} m ahead: take another lane or way. {text}"
REASON_MAY_BAN = (
    "rule {rule} ({kind}) may keep a {class} out of {where}, {far:.0f} m ahead: your state does not declare {missing}. "
    "Declare it, or go by the sign. {text}"
)
REASON_TOLL = "toll from {where} on, {far:.0f} m ahead, by rule {rule}: CNY {value:.2f} for a {class}. {text}"
REASON_CLOSURE = "{kind} {far:.0f} m ahead on {where} by rule {rule}. {text}"
REASON_WORKS = "{kind} {far:.0f} m ahead on {where} by rule {rule}: at most {value:.1f} m/s there. {text}"


class Begins(NamedTuple):
    """Where one rule begins on one path."""

    path: int
    s: float  # m along it
    rule: int  # index


class DynamicLane(NamedTuple):
    """A lane that is open for a time only, and the tidal rule that opens it (an index); REVOCABLE where signals do."""

    lane: int
    rule: int


class _Places(NamedTuple):
    """Where the rules of one code begin, and its dynamic lanes; made once per content."""

    begins: dict[int, tuple[Begins, ...]]  # by path
    marked: NDArray[np.bool_]  # bool[n_paths]: rules begin on it
    marked_address: int
    dynamic: dict[int, tuple[DynamicLane, ...]]  # by road (ingress link)


_PLACES: dict[str, _Places] = {}  # by content of the code


def places(code: CompiledCode, table: RuleTable) -> _Places:
    """Return where the rules of a code, compiled in `table`, begin, and its dynamic lanes."""
    found = _PLACES.get(code.hash)
    if found is None:
        begins = _begins(code, table) if code.code.rules else {}
        marked = np.zeros(code.n_lanes + code.n_conns, np.bool_)
        marked[list(begins)] = True
        found = _PLACES[code.hash] = _Places(begins, marked, marked.ctypes.data, _dynamic_lanes(code, table))
    return found


def _begins(code: CompiledCode, table: RuleTable) -> dict[int, tuple[Begins, ...]]:
    kinds = (*ANNOUNCED_KINDS, *BANNING_KINDS)
    begins = {}
    for name, path in table.paths.items():
        on_path = tuple(
            Begins(path, place.s_from, place.rule)
            for place in table.at[name]
            if code.code.rules[place.rule].kind in kinds
        )
        if on_path:
            begins[path] = on_path
    return begins


def _dynamic_lanes(code: CompiledCode, table: RuleTable) -> dict[int, tuple[DynamicLane, ...]]:
    """Return the dynamic lanes of each road: the tidal ones, then the revocable ones."""
    dynamic: dict[int, tuple[DynamicLane, ...]] = {}
    tidal_lanes = [
        (path, place.rule)
        for name, path in (table.paths.items() if code.code.rules else ())
        for place in table.at[name]
        if path < code.n_lanes and code.code.rules[place.rule].kind == "tidal_lane"
    ]
    for lane, rule in tidal_lanes:
        road = int(code.lane_ingress[lane])
        of_road = dynamic.get(road, ())
        if all(other.lane != lane for other in of_road):  # several rules may open one lane
            dynamic[road] = (*of_road, DynamicLane(lane, rule))

    for lane, attributes in enumerate(code.code.lanes):
        road = int(code.lane_ingress[lane])
        if attributes.revocable and road >= 0:
            dynamic[road] = (*dynamic.get(road, ()), DynamicLane(lane, REVOCABLE))
    return dynamic


def plan(world: World, rules: InForce) -> list[Candidate]:
    """Return what begins within RANGE of each connected vehicle and concerns it; what is in force where it is, is
    `rules`."""
    found = places(world.code, world.rules)
    candidates: list[Candidate] = []
    if found.begins:
        candidates += _rules_ahead(world, found, rules)
    if found.dynamic:
        candidates += _dynamic(world, found)
    return candidates


class Effect(Enum):
    """What a rule is to a vehicle."""

    IDLE = auto()  # does not concern it now
    HOLDS = auto()
    REFUSES = auto()  # keeps it out
    MAY_REFUSE = auto()  # by what the vehicle does not declare


IDLE, HOLDS, REFUSES, MAY_REFUSE = Effect


def _rules_ahead(world: World, found: _Places, rules: InForce) -> list[Candidate]:
    candidates: list[Candidate] = []
    for k in concerned(world, found.marked):
        # Rules that are named where the vehicle is, and further on in the same place.
        already_named = {int(rules.refused_by[k]), int(rules.undecided[k])}
        row = int(world.rows[k])
        for path in _way(world, row):
            for begins in found.begins.get(path, ()):
                ahead = distance(world, row, path, begins.s)
                if not 0.0 < ahead < RANGE or begins.rule in already_named:
                    continue
                candidate = _rule_ahead(world, k, begins, ahead)
                if candidate is not None:
                    candidates.append(candidate)
                    if candidate.kind is RULE:
                        already_named.add(begins.rule)
    return candidates


def _rule_ahead(world: World, k: int, begins: Begins, ahead: float) -> Candidate | None:
    """Return the advice of a rule that begins `ahead` m ahead of a vehicle; None where it does not concern it."""
    kind = world.code.code.rules[begins.rule].kind
    effect = _effect(world.rules, begins, world.vehicles[k].as_ruled, world.t // SECOND)
    if effect is MAY_REFUSE and (kind in BANNING_KINDS or kind == "closure"):
        return _ban(world, k, begins, ahead, is_sure=False)
    if effect is REFUSES and kind in BANNING_KINDS:
        return _ban(world, k, begins, ahead, is_sure=True)
    if (effect is HOLDS or effect is REFUSES) and kind in ANNOUNCED_KINDS:
        return _toll(world, k, begins, ahead) if kind == "toll" else _works(world, k, begins, ahead)
    return None


@lru_cache(maxsize=8192)
def _effect(table: RuleTable, begins: Begins, vehicle: Vehicle, second: int) -> Effect:
    """Return what a rule is to a vehicle where it begins, in a second of the time."""
    path, s, t = np.array([begins.path]), np.array([begins.s + INSIDE]), np.array([second * SECOND])
    answer = table.effective(path, np.array([0]), t, s, fleet=(vehicle,))
    if answer.refused_by[0] == begins.rule:
        return REFUSES
    if answer.undecided[0] == begins.rule:
        return MAY_REFUSE
    return HOLDS if bool((answer.decided == begins.rule).any()) else IDLE


def _facts(world: World, k: int, begins: Begins, ahead: float) -> dict[str, object]:
    """Return what is said of any rule that begins `ahead` m ahead of a vehicle."""
    rule = world.code.code.rules[begins.rule]
    return {
        "far": ahead,
        "rule": rule.id,
        "where": (*world.code.lane_ids, *world.code.conn_ids)[begins.path],
        "class": world.vehicles[k].state.kind,
        "text": rule.text,
    }


def _lane_change(world: World, k: int, begins: Begins) -> Behaviour | None:
    """Return the lane change that avoids a rule, where it begins on the vehicle's own lane."""
    row = int(world.rows[k])
    return lanes.change(world, row, open_lanes(world, k)) if begins.path == world.path[row] else None


def _ban(world: World, k: int, begins: Begins, ahead: float, is_sure: bool) -> Candidate:
    """Return the advice of a rule that will keep a vehicle out, or may."""
    rule, vehicle = world.code.code.rules[begins.rule], world.vehicles[k]
    facts = _facts(world, k, begins, ahead)
    facts["kind"] = named(rule)
    if not is_sure:
        facts["missing"] = " or ".join(missing(rule, vehicle.as_ruled))
    return Candidate(
        kind=RULE,
        target=vehicle_target(vehicle.id),
        severity=INFORMATION,
        confidence=SURE_CONFIDENCE if is_sure else UNDECIDED_CONFIDENCE,
        reason=REASON_BAN if is_sure else REASON_MAY_BAN,
        facts=facts,
        tracks=_track(world, k),
        distance=ahead,
        behaviour=_lane_change(world, k, begins) if is_sure else None,
        about=rule.id,
    )


def _toll(world: World, k: int, begins: Begins, ahead: float) -> Candidate:
    facts = _facts(world, k, begins, ahead)
    facts["value"] = world.code.code.rules[begins.rule].value or 0.0
    return Candidate(
        kind=TOLL,
        target=vehicle_target(world.vehicles[k].id),
        severity=INFORMATION,
        confidence=1.0,
        reason=REASON_TOLL,
        facts=facts,
        tracks=_track(world, k),
        distance=ahead,
    )


def _works(world: World, k: int, begins: Begins, ahead: float) -> Candidate:
    """Return the advice of a closure or of works, these with their limit where they have one."""
    rule = world.code.code.rules[begins.rule]
    facts = _facts(world, k, begins, ahead)
    facts["value"] = rule.value or 0.0
    facts["kind"] = "closure" if rule.kind == "closure" else "works"
    has_limit = rule.kind == "construction" and rule.value is not None
    return Candidate(
        kind=HAZARD,
        target=vehicle_target(world.vehicles[k].id),
        severity=INFORMATION,
        confidence=1.0,
        reason=REASON_WORKS if has_limit else REASON_CLOSURE,
        facts=facts,
        tracks=_track(world, k),
        speed=rule.value if has_limit else None,
        distance=ahead,
        behaviour=_lane_change(world, k, begins) or SLOW_DOWN,
    )


def _track(world: World, k: int) -> tuple[int, ...]:
    return (int(world.tracks["id"][world.rows[k]]),)


@njit(cache=True)
def _list_concerned(
    rows: Any, path: Any, connection: Any, n_lanes: int, conn_from: Any, conn_to: Any, marked: Any, found: Any
) -> int:
    n = 0
    for k in range(len(rows)):
        here, movement = path[rows[k]], connection[rows[k]]
        is_here = here >= 0 and marked[here]
        if is_here or (
            movement >= 0 and (marked[n_lanes + movement] or marked[conn_to[movement]] or marked[conn_from[movement]])
        ):
            found[n] = k
            n += 1
    return n


@inner_kernel
def screen(users: Users, connected: Connected, marked: Any, code: Any) -> bool:
    """Return whether a connected vehicle has one of the `marked` paths (bool[n_paths]) on its way."""
    rows, moves, n_lanes = connected.rows, moves_at(code), len(lanes_at(code).speed)
    found = np.empty(len(rows), np.int64)
    return _list_concerned(rows, users.path, users.connection, n_lanes, moves.origin, moves.exit, marked, found) > 0


def concerned(world: World, marked: NDArray[np.bool_]) -> list[int]:
    """Return which connected vehicles have one of the `marked` paths (bool[n_paths]) on their way."""
    code, found = world.code, np.empty(len(world.rows), np.int64)
    n = _list_concerned(
        world.rows, world.path, world.connection, code.n_lanes, code.conn_from, code.conn_to, marked, found
    )
    vehicles: list[int] = found[:n].tolist()
    return vehicles


def _dynamic(world: World, found: _Places) -> list[Candidate]:
    """Return which dynamic lanes of its road are open, for each connected vehicle that comes to the stop line."""
    candidates = []
    for k, row in enumerate(world.rows.tolist()):
        path, distance_to_line = int(world.path[row]), float(world.to_stop[row])
        road = int(world.code.lane_ingress[path]) if 0 <= path < world.code.n_lanes else -1
        if not 0.0 < distance_to_line < RANGE:
            continue
        states = [text for lane in found.dynamic.get(road, ()) if (text := _lane_state(world, k, lane))]
        if states:
            candidates.append(
                Candidate(
                    kind=DYNAMIC_LANE,
                    target=vehicle_target(world.vehicles[k].id),
                    severity=INFORMATION,
                    confidence=1.0,
                    reason="{lanes}",
                    facts={"lanes": "; ".join(states)},
                    tracks=_track(world, k),
                    distance=distance_to_line,
                )
            )
    return candidates


def _lane_state(world: World, k: int, dynamic: DynamicLane) -> str:
    """Return whether a dynamic lane is open to a vehicle now, in words; "" where that is not known."""
    name = world.code.lane_ids[dynamic.lane]
    if dynamic.rule != REVOCABLE:
        state = "open to you" if open_lanes(world, k)[dynamic.lane] else "closed to you"
        return f"lane {name} is {state} now by rule {world.code.code.rules[dynamic.rule].id}"
    if world.signals.lanes is None:
        return ""
    return f"lane {name} is {'in use' if name in world.signals.lanes else 'not in use'} now"


def open_lanes(world: World, k: int) -> np.ndarray:
    """Return which lanes the rules leave open to a connected vehicle now: bool[n_lanes]."""
    return _open(world.rules, world.code.n_lanes, world.vehicles[k].as_ruled, world.t // SECOND)


@lru_cache(maxsize=1024)
def _open(table: RuleTable, n_lanes: int, vehicle: Vehicle, second: int) -> np.ndarray:
    path, t = np.arange(n_lanes), np.full(n_lanes, second * SECOND)
    return table.effective(path, np.zeros(n_lanes, np.int64), t, fleet=(vehicle,)).allowed


def _way(world: World, row: int) -> list[int]:
    """Return the paths still ahead of a track: its own, the movement, the lane that leads to, the lane the movement
    leaves."""
    code, path, connection = world.code, int(world.path[row]), int(world.connection[row])
    way = [path] if path >= 0 else []
    if connection < 0:
        return way
    if path >= code.n_lanes:
        way.append(int(code.conn_to[connection]))
    else:
        way += [code.n_lanes + connection, int(code.conn_to[connection]), int(code.conn_from[connection])]
    return list(dict.fromkeys(way))


@njit(cache=True)
def distance_to(
    target: int, target_s: float, row: int, path: Any, s: Any, length: Any, connection: Any, to_stop: Any, n_lanes: int,
    conn_from: Any, conn_to: Any, lane_stop_s: Any, path_length: Any,
) -> float:  # fmt: skip
    """Return m from the front of a track to a place `target_s` m along the path `target`: `distance`, compiled."""
    movement = connection[row]
    if target == path[row]:
        return float(target_s - s[row] - 0.5 * length[row])
    if movement < 0:
        return np.nan

    if target == conn_from[movement]:
        stop = lane_stop_s[target]
        line = path_length[target] if np.isnan(stop) else stop
        return float(to_stop[row] + target_s - line)
    if target == n_lanes + movement:
        return float(to_stop[row] + target_s)
    if target == conn_to[movement]:
        return float(to_stop[row] + path_length[n_lanes + movement] + target_s)
    return np.nan


def distance(world: World, row: int, path: int, s: float) -> float:
    """Return m from a track's front to a place `s` m along a path of its way; negative behind it, nan where it does not
    lead there."""
    code = world.code
    return float(
        distance_to(
            path, s, row, world.path, world.s, world.tracks["length"], world.connection, world.to_stop, code.n_lanes,
            code.conn_from, code.conn_to, code.lane_stop_s, code.path_length,
        )
    )  # fmt: skip
