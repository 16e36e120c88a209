"""A digital code from lanes and movements as other formats give them: paths, conflicts, links and numbers are made
here."""

import msgspec
import numpy as np

from cloudctl.geo import Origin

from ...canon import format_of
from ...citycode import make
from ...compiled.crosswalk_spans import crossings
from ...findings import Loss, LossKind
from ...grid import grid_encode
from ...model import (
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
from ...polylines import F8, arc_lengths
from ...rule import Rule, Target
from ...terms import NON_MOTOR_USES, Control, LaneUse, LinkRole
from .clusters import unit_vector
from .movements import conflicts, draw_paths, drawn_path
from .raw import RawCode, RawLane
from .raw_check import check_raw

DEFAULT_ADM = "000000"
# m from stop line to crosswalk; by which a lane is lengthened; from its end to a crosswalk
STOP_TO_CROSSWALK, LANE_EXTENSION, MAX_CROSSWALK_TO_END = 1.0, 4.0, 12.0


def build(raw: RawCode, adm: str = DEFAULT_ADM, serial: int = 1) -> IntersectionCode:
    """Return the code; what had to be guessed is added to `raw.losses`. Raises CodeError for what makes no place."""
    check_raw(raw)
    origin = Origin(raw.ref[0] / 1e7, raw.ref[1] / 1e7)
    draw_paths(raw)

    ordered_lanes = sorted(raw.lanes, key=lambda lane: (lane.approach, lane.role))
    link_keys = sorted({(lane.approach, lane.role) for lane in ordered_lanes})
    links = tuple(_link(number, role) for number, (_, role) in enumerate(link_keys, 1))

    lanes, lane_id, stop_lines = list[Lane](), dict[str, str](), list[StopLine]()

    for link, key in zip(links, link_keys, strict=True):
        members = [lane for lane in ordered_lanes if (lane.approach, lane.role) == key]
        for number, lane in enumerate(_from_left(members), 1):
            lane_id[lane.key] = f"L{len(lanes) + 1}"
            lanes.append(_lane(lane, lane_id[lane.key], link=link.id, number=number, origin=origin))
            if lane.role == LinkRole.INGRESS and lane.use != LaneUse.PEDESTRIAN:
                stop_lines.append(StopLine(lane_id[lane.key], _stop_on(raw, lane)))

    kind_of_group = _kinds_of_groups(raw)
    groups = tuple(SignalGroup(group, kind_of_group[group], (group,)) for group in sorted(kind_of_group))
    crosswalks = _crosswalks(raw, kind_of_group, origin)
    rules = _rules(raw, lane_id)

    return IntersectionCode(
        make(adm, "IX", grid_encode(*raw.ref), serial),
        raw.name,
        *raw.ref,
        links,
        tuple(lanes),
        _connections(raw, lane_id, origin),
        tuple(conflicts(raw)),
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


def _link(number: int, role: str) -> Link:
    """Return a link between the intersection's node, N0, and a node that is not known."""
    is_ingress = role == LinkRole.INGRESS
    return Link(
        id=f"K{number}",
        role=role,
        upstream="" if is_ingress else "N0",
        downstream="N0" if is_ingress else "",
        alias=(),
    )


def _lane(lane: RawLane, name: str, link: str, number: int, origin: Origin) -> Lane:
    return Lane(
        id=name,
        link=link,
        number=number,
        width_cm=lane.width_cm,
        speed=lane.speed,
        points=to_points(origin, lane.xy),
        use=lane.use,
        shared=lane.shared,
        revocable=lane.revocable,
        alias=lane.alias,
    )


def _stop_on(raw: RawCode, lane: RawLane) -> float:
    """Return where to stop on a lane (m), in whole centimetres and not behind its end."""
    lane_end = float(np.floor(arc_lengths(lane.xy)[-1] * 100) / 100)
    if lane.stop_s is None:
        return _stop_before_crosswalks(raw, lane, lane_end)
    return min(lane.stop_s, lane_end)


def _connections(raw: RawCode, lane_id: dict[str, str], origin: Origin) -> tuple[Connection, ...]:
    lane_by_key = {lane.key: lane for lane in raw.lanes}
    return tuple(
        Connection(
            id=f"C{number}",
            from_lane=lane_id[move.start],
            to_lane=lane_id[move.end],
            turn=move.turn,
            points=to_points(origin, drawn_path(move)),
            group=move.group,
            speed=lane_by_key[move.start].speed if move.speed is None else move.speed,
            inner=True,
            waits=move.waits,
            alias=move.alias,
        )
        for number, move in enumerate(raw.moves, 1)
    )


def _kinds_of_groups(raw: RawCode) -> dict[int, str]:
    """Return the use of each signal group: movements decide, and crosswalks only where no movement has the group."""
    lane_by_key = {lane.key: lane for lane in raw.lanes}
    kind_of_group: dict[int, str] = {
        move.group: LaneUse.BIKE if lane_by_key[move.start].use == LaneUse.BIKE else LaneUse.VEHICLE
        for move in raw.moves
        if move.group
    }

    return kind_of_group | {
        group: LaneUse.PEDESTRIAN for _, _, group, _ in raw.walks if group and group not in kind_of_group
    }


def _crosswalks(raw: RawCode, kind_of_group: dict[int, str], origin: Origin) -> tuple[Crosswalk, ...]:
    crosswalks = [
        Crosswalk(id=f"X{number}", axis=to_points(origin, axis), width_cm=width, group=group, polygon=(), alias=alias)
        for number, (axis, width, group, alias) in enumerate(raw.walks, 1)
    ]
    return tuple(_without_vehicle_group(raw, crosswalk, kind_of_group) for crosswalk in crosswalks)


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
    return tuple((first, second) for first, second in table)


def _from_left(lanes: list[RawLane]) -> list[RawLane]:
    """Return lanes of one link from the left-most: by their places at the intersection's side, across their mean
    direction."""
    end = -1 if lanes[0].role == LinkRole.INGRESS else 0
    mean_direction = np.sum(
        [unit_vector(lane.xy[-1] - lane.xy[-2]) if end else unit_vector(lane.xy[1] - lane.xy[0]) for lane in lanes],
        axis=0,
    )
    return sorted(
        lanes, key=lambda lane: float(mean_direction[1] * lane.xy[end][0] - mean_direction[0] * lane.xy[end][1])
    )


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
        msgspec.structs.replace(rule, id=f"R{number}")
        for number, rule in enumerate([*rules, *rule_of_content.values()], 1)
    )
