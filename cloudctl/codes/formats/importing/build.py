"""A digital code from lanes and movements as other formats give them: paths, conflicts, links and numbers are made
here."""

from collections.abc import Iterator
from itertools import combinations

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ...canon import format_of
from ...citycode import make
from ...compiled.crosswalk_spans import crossings
from ...findings import Loss, LossKind, refuse
from ...grid import grid_encode
from ...model import (
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
from ...polylines import F8, arc_lengths, meeting_point
from ...rule import Rule, Target
from ...terms import NON_MOTOR_USES, Control, LaneUse, LinkRole
from .raw import RawCode, RawLane, RawMove

# a movement that bends less is straight; more is a turn back
MAX_STRAIGHT_ANGLE, MIN_U_TURN_ANGLE = (
    np.radians(35),
    np.radians(150),
)
# Right of way where the source gives none: the movement of higher rank yields to that of lower rank
YIELD_RANK = {
    "straight": 0,
    "right": 1,
    "left": 2,
    "u": 3,
}
YIELD_RANK_LEFT_HAND = {"straight": 0, "left": 1, "right": 2, "u": 3}
DEFAULT_ADM = "000000"
MAX_REACH = 5000.0  # m from the reference point
# m from stop line to crosswalk; by which a lane is lengthened; from its end to a crosswalk
STOP_TO_CROSSWALK, LANE_EXTENSION, MAX_CROSSWALK_TO_END = (
    1.0,
    4.0,
    12.0,
)


def build(raw: RawCode, adm: str = DEFAULT_ADM, serial: int = 1) -> IntersectionCode:
    """Return the code; what had to be guessed is added to `raw.losses`. Raises CodeError for what makes no place."""
    _check(raw)
    origin = Origin(raw.ref[0] / 1e7, raw.ref[1] / 1e7)
    _draw_paths(raw)
    ordered_lanes = sorted(raw.lanes, key=lambda lane: (lane.approach, lane.role))
    link_keys = sorted({(lane.approach, lane.role) for lane in ordered_lanes})

    links = tuple(
        Link(
            id=f"K{k}",
            role=role,
            upstream="" if role == LinkRole.INGRESS else "N0",
            downstream="N0" if role == LinkRole.INGRESS else "",
            alias=(),
        )
        for k, (_, role) in enumerate(link_keys, 1)
    )
    lanes, lane_id, stop_lines = list[Lane](), dict[str, str](), list[StopLine]()
    for link, key in zip(links, link_keys, strict=True):
        for number, lane in enumerate(
            _from_left(
                [lane_of_link for lane_of_link in ordered_lanes if (lane_of_link.approach, lane_of_link.role) == key]
            ),
            1,
        ):
            lane_id[lane.key] = f"L{len(lanes) + 1}"
            lanes.append(
                Lane(
                    lane_id[lane.key],
                    link.id,
                    number,
                    lane.width_cm,
                    lane.speed,
                    to_points(origin, lane.xy),
                    lane.use,
                    lane.shared,
                    lane.revocable,
                    lane.alias,
                )
            )

            if lane.role == LinkRole.INGRESS and lane.use != LaneUse.PEDESTRIAN:
                lane_length = float(np.floor(arc_lengths(lane.xy)[-1] * 100) / 100)
                stop_lines.append(
                    StopLine(
                        lane_id[lane.key],
                        _stop_before_crosswalks(raw, lane, lane_length)
                        if lane.stop_s is None
                        else min(lane.stop_s, lane_length),
                    )
                )

    lane_by_key = {lane.key: lane for lane in raw.lanes}
    connections = tuple(
        Connection(
            f"C{k}",
            lane_id[move.start],
            lane_id[move.end],
            move.turn,
            to_points(origin, _path(move)),
            move.group,
            lane_by_key[move.start].speed if move.speed is None else move.speed,
            True,
            move.waits,
            move.alias,
        )
        for k, move in enumerate(raw.moves, 1)
    )

    crosswalks = tuple(
        Crosswalk(id=f"X{k}", axis=to_points(origin, axis), width_cm=width, group=group, polygon=(), alias=alias)
        for k, (axis, width, group, alias) in enumerate(raw.walks, 1)
    )
    kind_of_group: dict[int, str] = {
        move.group: LaneUse.BIKE if lane_by_key[move.start].use == LaneUse.BIKE else LaneUse.VEHICLE
        for move in raw.moves
        if move.group
    }
    kind_of_group |= {group: LaneUse.PEDESTRIAN for _, _, group, _ in raw.walks if group and group not in kind_of_group}
    groups = tuple(SignalGroup(g, kind_of_group[g], (g,)) for g in sorted(kind_of_group))
    crosswalks = tuple(_without_vehicle_group(raw, crosswalk, kind_of_group) for crosswalk in crosswalks)
    rules = _rules(raw, lane_id)

    return IntersectionCode(
        make(adm, "IX", grid_encode(*raw.ref), serial),
        raw.name,
        *raw.ref,
        links,
        tuple(lanes),
        connections,
        tuple(_conflicts(raw)),
        groups,
        tuple(stop_lines),
        crosswalks,
        (Node("N0", *raw.ref),),
        rules=rules,
        format=format_of(rules),
        alias=raw.alias,
        control=Control.SIGNAL if groups else raw.control or "uncontrolled",
        revision=raw.revision,
    )


def _check(raw: RawCode) -> None:
    """Refuse what no code can be made of, before anything is computed from it."""
    if not raw.moves:
        raise refuse(
            where=raw.name,
            entity=raw.name,
            field="movements",
            value="none",
            rule="an intersection has movements from lane to lane",
            remedy="give a source whose lanes are connected",
        )

    if not (abs(raw.ref[0]) < 88 * 10**7 and abs(raw.ref[1]) <= 180 * 10**7):
        raise refuse(
            where=raw.name,
            entity=raw.name,
            field="reference point",
            value=f"{raw.ref[0] / 1e7}, {raw.ref[1] / 1e7}",
            rule="must lie within 88 degrees of latitude and 180 of longitude",
            remedy="correct it",
        )

    lines = [(f"lane {lane.key}", lane.xy) for lane in raw.lanes] + [
        (f"crosswalk {k}", walk[0]) for k, walk in enumerate(raw.walks, 1)
    ]
    lines += [(f"movement {move.start} > {move.end}", move.xy) for move in raw.moves if move.xy is not None]
    for name, line in lines:
        if len(line) < 2 or not np.isfinite(line).all():
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value=f"{len(line)} points",
                rule="a line has two points at least, all of them numbers",
                remedy="correct the source",
            )

        if float(np.abs(line).max()) > MAX_REACH:
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value=f"{float(np.abs(line).max()):.0f} m away",
                rule=f"must lie within {MAX_REACH:.0f} m of the reference point",
                remedy="check the order of coordinates, and the datum",
            )

        if float(np.hypot(*(line - line[0]).T).max()) < 0.01:
            raise refuse(
                where=raw.name,
                entity=name,
                field="points",
                value="all at one place",
                rule="a line has a length",
                remedy="correct the source",
            )


def _stop_before_crosswalks(raw: RawCode, lane: RawLane, lane_end: float) -> float:
    """Return where to stop on a lane without a stop line of its own: at its end, or before the crosswalk that lies
    there."""
    last_step = lane.xy[-1] - lane.xy[-2]
    extended = np.concatenate(
        [lane.xy, [lane.xy[-1] + last_step / max(float(np.hypot(*last_step)), 1e-9) * LANE_EXTENSION]]
    )
    stop_s = lane_end

    for axis, width, _, _ in raw.walks:
        for s, sine in crossings(extended, arc_lengths(extended), np.concatenate([axis[0], axis[-1]])):
            crosswalk_start = float(s) - width / 200 / max(float(sine), 0.5)
            if lane_end - MAX_CROSSWALK_TO_END < crosswalk_start < lane_end and crosswalk_start - STOP_TO_CROSSWALK > 1:
                stop_s = min(stop_s, float(np.floor((crosswalk_start - STOP_TO_CROSSWALK) * 100) / 100))

    if stop_s < lane_end:
        raw.losses.add(
            Loss(
                what=LossKind.REPAIRED,
                entity=raw.name,
                detail="lanes that end on a crosswalk get their stop line 1 m before it",
            )
        )

    return stop_s


def _without_vehicle_group(raw: RawCode, crosswalk: Crosswalk, kind_of_group: dict[int, str]) -> Crosswalk:
    if crosswalk.group and kind_of_group[crosswalk.group] not in NON_MOTOR_USES:
        raw.losses.add(
            Loss(
                what=LossKind.DROPPED,
                entity=crosswalk.id,
                detail=f"crosswalk shares signal group {crosswalk.group} with vehicles: left without a group",
            )
        )
        return Crosswalk(
            id=crosswalk.id,
            axis=crosswalk.axis,
            width_cm=crosswalk.width_cm,
            group=0,
            polygon=crosswalk.polygon,
            alias=crosswalk.alias,
        )

    return crosswalk


def to_points(origin: Origin, xy: F8) -> tuple[Point, ...]:
    """Return metres of `origin`, float64[n, 2], as whole 1e-7 degrees."""
    lat, lon = origin.to_geodetic(xy[:, 0], xy[:, 1])
    table = np.rint(np.stack([lat, lon], axis=1) * 1e7).astype(np.int64).tolist()
    return tuple((a, b) for a, b in table)


def _from_left(lanes: list[RawLane]) -> list[RawLane]:
    """Return lanes of one link from the left-most: by their places at the intersection's side, across their mean
    direction."""
    end = -1 if lanes[0].role == LinkRole.INGRESS else 0
    mean_direction = np.sum(
        [_unit_vector(lane.xy[-1] - lane.xy[-2]) if end else _unit_vector(lane.xy[1] - lane.xy[0]) for lane in lanes],
        axis=0,
    )
    return sorted(
        lanes, key=lambda lane: float(mean_direction[1] * lane.xy[end][0] - mean_direction[0] * lane.xy[end][1])
    )


def _unit_vector(vector: F8) -> F8:
    return np.asarray(vector / max(float(np.hypot(*vector)), 1e-9))


def _path(move: RawMove) -> F8:
    if move.xy is None:
        raise ValueError("paths are drawn first")
    return move.xy


def _draw_paths(raw: RawCode) -> None:
    """Draw the paths that are missing, and read the turns."""
    lane_by_key = {lane.key: lane for lane in raw.lanes}
    for move in raw.moves:
        lane_out, lane_in = lane_by_key[move.start].xy, lane_by_key[move.end].xy
        leaving, entering = _unit_vector(lane_out[-1] - lane_out[-2]), _unit_vector(lane_in[1] - lane_in[0])
        if move.xy is None:
            raw.losses.add(
                Loss(
                    what=LossKind.GUESSED,
                    entity=raw.name,
                    detail="paths through the intersection are curves from lane to lane: the source has none",
                )
            )
            handle_length = 0.4 * float(np.hypot(*(lane_in[0] - lane_out[-1])))
            t = np.linspace(0, 1, 9)[:, None]
            p0, p1, p2, p3 = (
                lane_out[-1],
                lane_out[-1] + leaving * handle_length,
                lane_in[0] - entering * handle_length,
                lane_in[0],
            )
            move.xy = (1 - t) ** 3 * p0 + 3 * (1 - t) ** 2 * t * p1 + 3 * (1 - t) * t**2 * p2 + t**3 * p3

        angle = float(np.arctan2(leaving[0] * entering[1] - leaving[1] * entering[0], leaving @ entering))
        move.turn = move.turn or (
            "straight"
            if abs(angle) < MAX_STRAIGHT_ANGLE
            else "u"
            if abs(angle) > MIN_U_TURN_ANGLE
            else "left"
            if angle > 0
            else "right"
        )


def _conflicts(raw: RawCode) -> Iterator[Conflict]:
    """Yield where paths of different lanes cross or merge. The right of way is the source's, or follows the turns."""
    if raw.yields is None and len(raw.moves) > 1:
        raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=raw.name,
                detail="who yields follows the turns: straight before "
                f"{'left before right' if raw.left_hand else 'right before left'} before turning back",
            )
        )

    rank = YIELD_RANK_LEFT_HAND if raw.left_hand else YIELD_RANK
    for (i, a), (j, b) in combinations(enumerate(raw.moves), 2):
        if a.start == b.start:
            continue

        kind, s_a, s_b, gap = meeting_point(_path(a), _path(b), a.end == b.end)
        if gap > 0.1 and kind == "cross":
            continue

        by_turn = rank[a.turn] > rank[b.turn], rank[b.turn] > rank[a.turn]
        yields = by_turn if raw.yields is None else (raw.yields.get((i, j), False), raw.yields.get((j, i), False))
        if (i, j) in raw.stated or (j, i) in raw.stated:
            yields = raw.stated.get((i, j), False), raw.stated.get((j, i), False)

        yield Conflict(f"C{i + 1}", f"C{j + 1}", kind, round(s_a, 2), round(s_b, 2), *yields)


def _rules(raw: RawCode, lane_id: dict[str, str]) -> tuple[Rule, ...]:
    """Return the limits, a rule a speed, then the source's own rules; equal ones of several lanes are
    one."""
    targets_of_speed: dict[float, list[Target]] = {}
    for key in lane_id:
        lane = next(lane for lane in raw.lanes if lane.key == key)
        for start, end, speed in lane.limits if lane.use != LaneUse.PEDESTRIAN else ():
            targets_of_speed.setdefault(speed, []).append(Target(lane_id[key], start, end))
        if lane.use != LaneUse.PEDESTRIAN and not lane.limits:
            targets_of_speed.setdefault(lane.speed, []).append(Target(lane_id[key]))

    rules = [
        Rule(id="", kind="speed_max", targets=tuple(targets_of_speed[speed]), value=speed)
        for speed in sorted(targets_of_speed)
    ]
    rule_of_content: dict[bytes, Rule] = {}
    for rule in raw.rules:
        content = msgspec.json.encode(msgspec.structs.replace(rule, targets=()))
        # No lane: a movement, C1 the first
        targets = tuple(
            msgspec.structs.replace(target, entity=lane_id.get(target.entity, target.entity)) for target in rule.targets
        )
        rule_of_content[content] = msgspec.structs.replace(
            rule, targets=(*rule_of_content[content].targets, *targets) if content in rule_of_content else targets
        )

    return tuple(
        msgspec.structs.replace(rule, id=f"R{k}") for k, rule in enumerate([*rules, *rule_of_content.values()], 1)
    )
