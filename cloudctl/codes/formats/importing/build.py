"""A digital code from lanes and movements as other formats give them: paths, conflicts, links and numbers are made here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ...canon import format_of
from ...citycode import make
from ...findings import Loss, refuse
from ...grid import grid_encode
from ...model import (
    Alias,
    Conflict,
    Connection,
    Crosswalk,
    IntersectionCode,
    Lane,
    Link,
    Node,
    Point,
    SignalGroup,
    StopLine,
)
from ...polylines import F8, arc, crossings, meeting
from ...rule import Rule, Target

STRAIGHT, BACK = np.radians(35), np.radians(150)  # a movement that bends less is straight; more is a turn back
RANK = {
    "straight": 0,
    "right": 1,
    "left": 2,
    "u": 3,
}  # who yields to whom, where nothing is said: the higher to the lower
RANK_LEFT_HAND = {"straight": 0, "left": 1, "right": 2, "u": 3}
NO_ADM = "000000"
MAX_REACH = 5000.0  # m from the reference point
CLEAR, REACH, NEAR = (
    1.0,
    4.0,
    12.0,
)  # m from stop line to crosswalk; by which a lane is lengthened; from its end to a crosswalk


@dataclass
class RawLane:
    """A lane in metres about the reference point, in driving direction; lanes of one approach and role are one link."""

    key: str
    xy: F8
    role: str
    approach: str
    use: str = "vehicle"
    width_cm: int = 330
    speed: float = 13.89
    revocable: bool = False
    stop_s: float | None = None  # m; inf: at its end; None: not known
    shared: tuple[str, ...] = ()
    limits: tuple[
        tuple[float, float, float], ...
    ] = ()  # (from m, to m, m/s) where the limit changes along it; (): `speed` all along
    alias: tuple[Alias, ...] = ()


@dataclass
class RawMove:
    """A movement; without a path one is drawn, without a turn one is read from the path."""

    start: str
    end: str
    group: int = 0
    turn: str = ""
    xy: F8 | None = None
    waits: bool = False
    alias: tuple[Alias, ...] = ()
    speed: float | None = None  # m/s; None: that of the lane it leaves


@dataclass
class RawCode:
    """What an importer found."""

    name: str
    ref: Point
    lanes: list[RawLane] = field(default_factory=list)
    moves: list[RawMove] = field(default_factory=list)
    walks: list[tuple[F8, int, int, tuple[Alias, ...]]] = field(default_factory=list)  # axis, width cm, group, alias
    yields: dict[tuple[int, int], bool] | None = (
        None  # (movement, movement) -> the first yields; None: guessed from the turns
    )
    stated: dict[tuple[int, int], bool] = field(
        default_factory=dict
    )  # pairs of which the source says so, where the others are guessed
    left_hand: bool = False
    control: str = ""  # of a place without signals
    rules: list[Rule] = field(
        default_factory=list
    )  # of lanes, by their keys; numbered, and put together, when the code is made
    revision: int = 1
    alias: tuple[Alias, ...] = ()
    losses: set[Loss] = field(default_factory=set)


def build(raw: RawCode, adm: str = NO_ADM, serial: int = 1) -> IntersectionCode:
    """Return the code; what had to be guessed is added to `raw.losses`. Raises CodeError for what makes no place."""
    _check(raw)
    origin = Origin(raw.ref[0] / 1e7, raw.ref[1] / 1e7)
    _paths(raw)
    ordered = sorted(raw.lanes, key=lambda lane: (lane.approach, lane.role))
    keys = sorted({(lane.approach, lane.role) for lane in ordered})
    links = tuple(
        Link(f"K{k}", role, "" if role == "ingress" else "N0", "N0" if role == "ingress" else "", ())
        for k, (_, role) in enumerate(keys, 1)
    )
    lanes, ids, stops = list[Lane](), dict[str, str](), list[StopLine]()
    for link, key in zip(links, keys, strict=True):
        for number, lane in enumerate(_from_left([x for x in ordered if (x.approach, x.role) == key]), 1):
            ids[lane.key] = f"L{len(lanes) + 1}"
            lanes.append(
                Lane(
                    ids[lane.key],
                    link.id,
                    number,
                    lane.width_cm,
                    lane.speed,
                    globe(origin, lane.xy),
                    lane.use,
                    lane.shared,
                    lane.revocable,
                    lane.alias,
                )
            )
            if lane.role == "ingress" and lane.use != "pedestrian":
                whole = float(np.floor(arc(lane.xy)[-1] * 100) / 100)
                stops.append(
                    StopLine(
                        ids[lane.key],
                        _before_walks(raw, lane, whole) if lane.stop_s is None else min(lane.stop_s, whole),
                    )
                )
    by_key = {lane.key: lane for lane in raw.lanes}
    conns = tuple(
        Connection(
            f"C{k}",
            ids[m.start],
            ids[m.end],
            m.turn,
            globe(origin, _line(m)),
            m.group,
            by_key[m.start].speed if m.speed is None else m.speed,
            True,
            m.waits,
            m.alias,
        )
        for k, m in enumerate(raw.moves, 1)
    )
    walks = tuple(
        Crosswalk(f"X{k}", globe(origin, axis), width, group, (), alias)
        for k, (axis, width, group, alias) in enumerate(raw.walks, 1)
    )
    kinds = {m.group: "bike" if by_key[m.start].use == "bike" else "vehicle" for m in raw.moves if m.group}
    kinds |= {group: "pedestrian" for _, _, group, _ in raw.walks if group and group not in kinds}
    groups = tuple(SignalGroup(g, kinds[g], (g,)) for g in sorted(kinds))
    walks = tuple(_unbound(raw, walk, kinds) for walk in walks)
    rules = _rules(raw, ids)
    return IntersectionCode(
        make(adm, "IX", grid_encode(*raw.ref), serial),
        raw.name,
        *raw.ref,
        links,
        tuple(lanes),
        conns,
        tuple(_conflicts(raw)),
        groups,
        tuple(stops),
        walks,
        (Node("N0", *raw.ref),),
        rules=rules,
        format=format_of(rules),
        alias=raw.alias,
        control="signal" if groups else raw.control or "uncontrolled",
        revision=raw.revision,
    )


def _check(raw: RawCode) -> None:
    """Refuse what no code can be made of, before anything is computed from it."""
    if not raw.moves:
        raise refuse(
            raw.name,
            raw.name,
            "movements",
            "none",
            "an intersection has movements from lane to lane",
            "give a source whose lanes are connected",
        )
    if not (abs(raw.ref[0]) < 88 * 10**7 and abs(raw.ref[1]) <= 180 * 10**7):
        raise refuse(
            raw.name,
            raw.name,
            "reference point",
            f"{raw.ref[0] / 1e7}, {raw.ref[1] / 1e7}",
            "must lie within 88 degrees of latitude and 180 of longitude",
            "correct it",
        )
    lines = [(f"lane {lane.key}", lane.xy) for lane in raw.lanes] + [
        (f"crosswalk {k}", walk[0]) for k, walk in enumerate(raw.walks, 1)
    ]
    lines += [(f"movement {m.start} > {m.end}", m.xy) for m in raw.moves if m.xy is not None]
    for name, line in lines:
        if len(line) < 2 or not np.isfinite(line).all():
            raise refuse(
                raw.name,
                name,
                "points",
                f"{len(line)} points",
                "a line has two points at least, all of them numbers",
                "correct the source",
            )
        if float(np.abs(line).max()) > MAX_REACH:
            raise refuse(
                raw.name,
                name,
                "points",
                f"{float(np.abs(line).max()):.0f} m away",
                f"must lie within {MAX_REACH:.0f} m of the reference point",
                "check the order of coordinates, and the datum",
            )
        if float(np.hypot(*(line - line[0]).T).max()) < 0.01:
            raise refuse(raw.name, name, "points", "all at one place", "a line has a length", "correct the source")


def _before_walks(raw: RawCode, lane: RawLane, end: float) -> float:
    """Return where to stop on a lane without a stop line of its own: at its end, or before the crosswalk that lies there."""
    ahead = lane.xy[-1] - lane.xy[-2]
    longer = np.concatenate([lane.xy, [lane.xy[-1] + ahead / max(float(np.hypot(*ahead)), 1e-9) * REACH]])
    stop = end
    for axis, width, _, _ in raw.walks:
        for s, sine in crossings(longer, arc(longer), np.concatenate([axis[0], axis[-1]])):
            begins = float(s) - width / 200 / max(float(sine), 0.5)
            if end - NEAR < begins < end and begins - CLEAR > 1:
                stop = min(stop, float(np.floor((begins - CLEAR) * 100) / 100))
    if stop < end:
        raw.losses.add(Loss("repaired", raw.name, "lanes that end on a crosswalk get their stop line 1 m before it"))
    return stop


def _unbound(raw: RawCode, walk: Crosswalk, kinds: dict[int, str]) -> Crosswalk:
    if walk.group and kinds[walk.group] not in ("pedestrian", "bike"):
        raw.losses.add(
            Loss("dropped", walk.id, f"crosswalk shares signal group {walk.group} with vehicles: left without a group")
        )
        return Crosswalk(walk.id, walk.axis, walk.width_cm, 0, walk.polygon, walk.alias)
    return walk


def globe(origin: Origin, xy: F8) -> tuple[Point, ...]:
    """Return metres of `origin`, float64[n, 2], as whole 1e-7 degrees."""
    lat, lon = origin.to_geodetic(xy[:, 0], xy[:, 1])
    table = np.rint(np.stack([lat, lon], axis=1) * 1e7).astype(np.int64).tolist()
    return tuple((a, b) for a, b in table)


def _from_left(lanes: list[RawLane]) -> list[RawLane]:
    """Return lanes of one link from the left-most: by their places at the intersection's side, across their mean direction."""
    end = -1 if lanes[0].role == "ingress" else 0
    ahead = np.sum(
        [_unit(lane.xy[-1] - lane.xy[-2]) if end else _unit(lane.xy[1] - lane.xy[0]) for lane in lanes], axis=0
    )
    return sorted(lanes, key=lambda lane: float(ahead[1] * lane.xy[end][0] - ahead[0] * lane.xy[end][1]))


def _unit(v: F8) -> F8:
    return np.asarray(v / max(float(np.hypot(*v)), 1e-9))


def _line(move: RawMove) -> F8:
    if move.xy is None:
        raise ValueError("paths are drawn first")
    return move.xy


def _paths(raw: RawCode) -> None:
    """Draw the paths that are missing, and read the turns."""
    by_key = {lane.key: lane for lane in raw.lanes}
    for move in raw.moves:
        a, b = by_key[move.start].xy, by_key[move.end].xy
        out, into = _unit(a[-1] - a[-2]), _unit(b[1] - b[0])
        if move.xy is None:
            raw.losses.add(
                Loss(
                    "guessed",
                    raw.name,
                    "paths through the intersection are curves from lane to lane: the source has none",
                )
            )
            reach = 0.4 * float(np.hypot(*(b[0] - a[-1])))
            t = np.linspace(0, 1, 9)[:, None]
            p0, p1, p2, p3 = a[-1], a[-1] + out * reach, b[0] - into * reach, b[0]
            move.xy = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3
        angle = float(np.arctan2(out[0] * into[1] - out[1] * into[0], out @ into))
        move.turn = move.turn or (
            "straight" if abs(angle) < STRAIGHT else "u" if abs(angle) > BACK else "left" if angle > 0 else "right"
        )


def _conflicts(raw: RawCode) -> Iterator[Conflict]:
    """Yield where paths of different lanes cross or merge. Who yields is the source's word, or follows the turns."""
    if raw.yields is None and len(raw.moves) > 1:
        raw.losses.add(
            Loss(
                "guessed",
                raw.name,
                f"who yields follows the turns: straight before {'left before right' if raw.left_hand else 'right before left'} before turning back",
            )
        )
    rank = RANK_LEFT_HAND if raw.left_hand else RANK
    for (i, a), (j, b) in combinations(enumerate(raw.moves), 2):
        if a.start == b.start:
            continue
        kind, s_a, s_b, apart = meeting(_line(a), _line(b), a.end == b.end)
        if apart > 0.1 and kind == "cross":
            continue
        lower = rank[a.turn] > rank[b.turn], rank[b.turn] > rank[a.turn]
        yields = lower if raw.yields is None else (raw.yields.get((i, j), False), raw.yields.get((j, i), False))
        if (i, j) in raw.stated or (j, i) in raw.stated:
            yields = raw.stated.get((i, j), False), raw.stated.get((j, i), False)
        yield Conflict(f"C{i + 1}", f"C{j + 1}", kind, round(s_a, 2), round(s_b, 2), *yields)


def _rules(raw: RawCode, ids: dict[str, str]) -> tuple[Rule, ...]:
    """Return the limits, a rule a speed, then the source's own rules; those that say the same of several lanes are one."""
    of: dict[float, list[Target]] = {}
    for key in ids:
        lane = next(lane for lane in raw.lanes if lane.key == key)
        for start, end, speed in lane.limits if lane.use != "pedestrian" else ():
            of.setdefault(speed, []).append(Target(ids[key], start, end))
        if lane.use != "pedestrian" and not lane.limits:
            of.setdefault(lane.speed, []).append(Target(ids[key]))
    rules = [Rule("", "speed_max", tuple(of[speed]), speed) for speed in sorted(of)]
    alike: dict[bytes, Rule] = {}
    for rule in raw.rules:
        kind = msgspec.json.encode(msgspec.structs.replace(rule, targets=()))
        targets = tuple(
            msgspec.structs.replace(target, entity=ids.get(target.entity, target.entity)) for target in rule.targets
        )  # no lane: a movement, C1 the first
        alike[kind] = msgspec.structs.replace(
            rule, targets=(*alike[kind].targets, *targets) if kind in alike else targets
        )
    return tuple(msgspec.structs.replace(rule, id=f"R{k}") for k, rule in enumerate([*rules, *alike.values()], 1))
