"""Lanelet2 maps (OSM XML) -> digital codes: one for each place where lanelets of different roads cross.

A lanelet runs through an intersection when it has one before and one after it, and forks, merges or crosses there.
Chains of lanelets without forks before and after are one lane each; what lies between a stop line and the crossing is
part of the lane."""

import numpy as np

from ...findings import Loss, LossKind, refuse
from ...model import Alias, Point
from ...polylines import F8, arc_lengths
from ...report import Imported
from ...rule import Rule, Target
from ...terms import LaneUse, LinkRole
from ..importing.accounting import Accounts
from ..importing.build import DEFAULT_ADM, build, to_points
from ..importing.clusters import approaches, unit_vector
from ..importing.permits import span_rules, turn_bans
from ..importing.raw import RawCode, RawLane, RawMove
from .clusters import intersection_clusters
from .lanelet import Lanelet, LaneletMap
from .map import read_lanelet2
from .signal_groups import MAX_LIGHT_DISTANCE, SignalGroups, chain_line, stop_position
from .vocabulary import IGNORED

MIN_LANE_OFFSET, MAX_LANE_OFFSET = 0.5, 15.0  # m between a lane in and a lane out of one road
# m from the middle within which a crosswalk belongs to an intersection
MAX_CROSSWALK_DISTANCE = 60.0
MAX_CAUSES = 5  # named in a refusal; the loss report has all


def import_lanelet2(data: bytes, *, adm: str = DEFAULT_ADM, origin: Point | None = None) -> Imported:
    """Return the codes of a map; `origin` is where its 0, 0 lies, for a map that is not placed. Raises CodeError, with
    the loss report."""
    with Accounts("Lanelet2", IGNORED) as accounts:
        lanelet_map = read_lanelet2(accounts.xml(data), origin)
        for lanelet in lanelet_map.lanelets:
            if not lanelet.before and not lanelet.after:
                accounts.enter(
                    LossKind.DROPPED,
                    "lanelet",
                    "joins no other lanelet by the ends of both bounds",
                    f"lanelet {lanelet.name}",
                )

        clusters = intersection_clusters(lanelet_map)
        if not clusters:
            raise refuse(
                where="Lanelet2",
                entity="map",
                field="lanelets",
                value=len(lanelet_map.lanelets),
                rule="no two lanelets of different roads cross" + _causes_left_out(accounts),
                remedy=(
                    "give a map whose lanelets lead through the intersection and share their bounds' end points; the "
                    "loss report says what was left out"
                ),
            )

        raws = [_raw_code(lanelet_map, members) for members in clusters]
        _report_unused(lanelet_map)
        codes = [build(raw, adm, number) for number, raw in enumerate(raws, 1)]
        accounts.losses.update(*(raw.losses for raw in raws))

        return accounts.imported(codes)


def _report_unused(lanelet_map: LaneletMap) -> None:
    """Report the lights, crosswalks and limits that no intersection has."""
    for light in lanelet_map.regulations.lights:
        if light.id not in lanelet_map.used:
            lanelet_map.accounts.enter(
                LossKind.DROPPED,
                "element traffic_light",
                "no lanelet of an intersection names it, and its stop line crosses no lane of one",
                f"element {light.id}",
            )

    for crosswalk in lanelet_map.walks:
        if crosswalk.id not in lanelet_map.used:
            lanelet_map.accounts.enter(
                LossKind.DROPPED,
                "crosswalk",
                f"more than {MAX_CROSSWALK_DISTANCE:.0f} m from the middle of each intersection",
                f"crosswalk {crosswalk.id}",
            )

    named_elements = {element for lanelet in lanelet_map.lanelets for element in lanelet.rules}
    for element in lanelet_map.regulations.speeds:
        if element not in named_elements:
            lanelet_map.accounts.enter(
                LossKind.DROPPED, "element speed_limit", "no lanelet names it", f"element {element}"
            )


def _causes_left_out(accounts: Accounts) -> str:
    """Return why lanelets were left out, in words, for a refusal that may rest on it."""
    lines = [
        f"; left out: {loss.detail} ({loss.count})"
        for loss in accounts.report()
        if loss.what == LossKind.DROPPED and loss.entity == "lanelet"
    ]

    return "".join(lines[:MAX_CAUSES])


def _raw_code(lanelet_map: LaneletMap, members: list[Lanelet]) -> RawCode:
    member_ids = {id(lanelet) for lanelet in members}
    centre = np.mean([lanelet.middle.mean(axis=0) for lanelet in members], axis=0)
    (reference,) = to_points(lanelet_map.origin, centre[None])
    raw = RawCode("Lanelet2 " + members[0].id, reference, alias=(Alias("lanelet2", members[0].id),))
    chains: dict[int, list[Lanelet]] = {}

    for lanelet in members:
        for preceding in lanelet.before:
            chains.setdefault(id(preceding), _chain(preceding, member_ids, forward=False))
        for following in lanelet.after:
            chains.setdefault(id(following), _chain(following, member_ids, forward=True))

    ingress = {id(preceding) for lanelet in members for preceding in lanelet.before}
    keys = {
        lane_key_id: ("in " if lane_key_id in ingress else "out ") + chain[-1 if lane_key_id in ingress else 0].key
        for lane_key_id, chain in chains.items()
    }
    _lanes(raw, lanelet_map, chains=chains, ingress=ingress, keys=keys, centre=centre)

    raw.left_hand = drives_on_the_left(raw.lanes)

    if raw.left_hand:
        raw.losses.add(
            Loss(
                what=LossKind.GUESSED,
                entity=raw.name,
                detail="left-hand traffic: lanes out lie to the right of lanes in",
            )
        )

    crosswalks = [
        crosswalk
        for crosswalk in lanelet_map.walks
        if np.hypot(*(crosswalk.axis.mean(axis=0) - centre)) < MAX_CROSSWALK_DISTANCE
    ]

    lights = SignalGroups(
        raw=raw,
        lanelet_map=lanelet_map,
        chains={keys[lane_key_id]: chains[lane_key_id] for lane_key_id in chains if lane_key_id in ingress},
        members=members,
        crosswalks=crosswalks,
    )

    paths: list[set[str]] = []  # the lanelets that each movement runs on

    for lanelet in members:
        for preceding in lanelet.before:
            for following in lanelet.after:
                alias = (Alias("lanelet2", lanelet.id),)
                raw.moves.append(
                    RawMove(
                        start=keys[id(preceding)],
                        end=keys[id(following)],
                        group=lights.of(keys[id(preceding)], lanelet),
                        turn=lanelet.turn,
                        xy=lanelet.middle - centre,
                        speed=_own_speed(lanelet),
                        alias=alias,
                    )
                )

                entity = f"C{len(raw.moves)}"
                raw.rules += [
                    *_class_limits(Target(entity), lanelet),
                    *turn_bans(entity, [preceding.permit, following.permit], [lanelet.permit]),
                ]
                paths.append({y.id for y in chains[id(preceding)]} | {lanelet.id})

    _read_priorities(
        raw,
        lanelet_map,
        paths,
        {keys[lane_key_id]: chains[lane_key_id] for lane_key_id in chains if lane_key_id in ingress},
    )
    for crosswalk in crosswalks:
        raw.walks.append(
            (
                crosswalk.axis - centre,
                round(crosswalk.width * 100),
                lights.of_walk(crosswalk.rules),
                (Alias("lanelet2", crosswalk.id),),
            )
        )

    lanelet_map.used |= lights.used_lights | {crosswalk.id for crosswalk in crosswalks}
    if any(not crosswalk[2] for crosswalk in raw.walks):
        raw.losses.add(
            Loss(what=LossKind.GUESSED, entity=raw.name, detail="crosswalks that name no light have no signal group")
        )

    lights.describe()
    return raw


def drives_on_the_left(lanes: list[RawLane]) -> bool:
    """Return whether lanes out lie to the right of the lanes in beside them, which the format does not give
    otherwise."""
    votes = 0
    for lane_in in lanes:
        for lane_out in lanes:
            if (lane_in.role, lane_out.role) != (LinkRole.INGRESS, LinkRole.EGRESS):
                continue

            direction_in, offset, direction_out = (
                unit_vector(lane_in.xy[-1] - lane_in.xy[-2]),
                lane_out.xy[0] - lane_in.xy[-1],
                unit_vector(lane_out.xy[1] - lane_out.xy[0]),
            )

            lateral = float(direction_in[0] * offset[1] - direction_in[1] * offset[0])
            if (
                direction_in @ direction_out < -0.9
                and abs(float(direction_in @ offset)) < MAX_LANE_OFFSET
                and MIN_LANE_OFFSET < abs(lateral) < MAX_LANE_OFFSET
            ):
                votes += 1 if lateral < 0 else -1

    return votes > 0


def _chain(lanelet: Lanelet, member_ids: set[int], forward: bool) -> list[Lanelet]:
    """Return the lanelets that are one lane with `lanelet`, in driving direction: no fork, no merge, no intersection
    between."""
    chain = [lanelet]
    while True:
        neighbours = chain[-1].after if forward else chain[-1].before
        reverse_neighbours = (neighbours[0].before if forward else neighbours[0].after) if len(neighbours) == 1 else ()
        if (
            len(neighbours) != 1
            or len(reverse_neighbours) != 1
            or id(neighbours[0]) in member_ids
            or neighbours[0] in chain
        ):
            return chain if forward else chain[::-1]

        chain.append(neighbours[0])


def _lanes(
    raw: RawCode,
    lanelet_map: LaneletMap,
    chains: dict[int, list[Lanelet]],
    ingress: set[int],
    keys: dict[int, str],
    centre: F8,
) -> None:
    ends = []
    for lane_key_id, chain in chains.items():
        line = chain[-1].middle if lane_key_id in ingress else chain[0].middle
        ends.append(
            (keys[lane_key_id], line[-1], unit_vector(line[-1] - line[-2]))
            if lane_key_id in ingress
            else (keys[lane_key_id], line[0], unit_vector(line[1] - line[0]))
        )

    approach_of = approaches(end for end in ends if end[0].startswith("in ")) | approaches(
        end for end in ends if end[0].startswith("out ")
    )
    lines = [
        line for light in lanelet_map.regulations.lights if not light.walking for line in light.lines
    ] + lanelet_map.regulations.stop_lines
    end_points = np.array([end for _, end, _ in ends])
    stop_lines = [line for line in lines if np.hypot(*(end_points - line.mean(axis=0)).T).min() < MAX_LIGHT_DISTANCE]

    for lane_key_id, chain in chains.items():
        xy = chain_line(chain)
        stop_s = stop_position(xy, stop_lines) if lane_key_id in ingress else None
        if lane_key_id in ingress and stop_s is None:
            lanelet_map.accounts.enter(
                LossKind.GUESSED,
                "lane",
                "no stop line crosses it: it is taken to stop at its end",
                f"lanelet {chain[-1].name}",
            )

        limits = _limits(raw, keys[lane_key_id], chain, xy, _lanelet_at_intersection(chain, lane_key_id in ingress))
        raw.lanes.append(
            RawLane(
                key=keys[lane_key_id],
                xy=xy - centre,
                role=LinkRole.INGRESS if lane_key_id in ingress else LinkRole.EGRESS,
                approach=approach_of[keys[lane_key_id]],
                use=_lanelet_at_intersection(chain, lane_key_id in ingress).permit.use,
                shared=_lanelet_at_intersection(chain, lane_key_id in ingress).permit.shared,
                width_cm=round(float(np.median([lanelet.width_m for lanelet in chain])) * 100),
                speed=min(limit for _, _, limit in limits),
                limits=tuple(limits) if len(limits) > 1 else (),
                stop_s=stop_s,
                alias=tuple(Alias("lanelet2", lanelet.id) for lanelet in chain)
                + tuple(Alias("name", lanelet.name) for lanelet in chain if lanelet.name != lanelet.id),
            )
        )


def _lanelet_at_intersection(chain: list[Lanelet], ingress: bool) -> Lanelet:
    """Return the lanelet of a lane that lies at the intersection."""
    return chain[-1 if ingress else 0]


def _limits(
    raw: RawCode, key: str, chain: list[Lanelet], xy: F8, lanelet_at_intersection: Lanelet
) -> list[tuple[float, float, float]]:
    """Return the limits along a lane, (from m, to m, m/s); enter its rules: limits of some classes, and its permitted
    users by part.

    `lanelet_at_intersection` is its lanelet at the intersection, which gives the use of the lane.
    """
    boundaries = np.cumsum([0.0, *(float(arc_lengths(lanelet.middle)[-1]) for lanelet in chain)])
    boundaries *= float(arc_lengths(xy)[-1]) / max(float(boundaries[-1]), 1e-9)
    limits: list[tuple[float, float, float]] = []

    for lanelet, start, end in zip(chain, boundaries[:-1].tolist(), boundaries[1:].tolist(), strict=True):
        target = Target(key) if len(chain) == 1 else Target(key, round(start, 2), round(end, 2))
        own_limit = _own_speed(lanelet)
        if own_limit is None:
            raw.losses.add(
                Loss(
                    what=LossKind.GUESSED, entity=raw.name, detail=f"lanelets without a speed limit: {lanelet.usual[1]}"
                )
            )

        speed = lanelet.usual[0] if own_limit is None else own_limit
        if limits and limits[-1][2] == speed:
            limits[-1] = (limits[-1][0], round(end, 2), speed)
        else:
            limits.append((round(start, 2), round(end, 2), speed))

        raw.rules += [
            *_class_limits(target, lanelet),
            *span_rules(target, lanelet.permit, lanelet_at_intersection.permit),
        ]
        if (
            lanelet_at_intersection.permit.use != LaneUse.VEHICLE
            and "car" in lanelet.permit.users
            and "car" not in lanelet_at_intersection.permit.users
        ):
            raw.losses.add(
                Loss(
                    what=LossKind.DIFFERS,
                    entity=raw.name,
                    detail=(
                        f"lanes for {lanelet_at_intersection.permit.use} at the intersection are so all "
                        "along: further "
                        "off they are for cars, too"
                    ),
                )
            )

    return limits


def _class_limits(target: Target, lanelet: Lanelet) -> list[Rule]:
    """Return the limits of a lanelet that hold for some vehicles only."""
    return [
        Rule(id="", kind="speed_max", targets=(target,), value=limit.speed, classes=limit.classes, fuels=limit.fuels)
        for limit in lanelet.limits
        if limit.classes
    ]


def _own_speed(lanelet: Lanelet) -> float | None:
    """Return the limit that a lanelet states for all; None where it states none."""
    return min((limit.speed for limit in lanelet.limits if not limit.classes), default=None)


def _read_priorities(
    raw: RawCode, lanelet_map: LaneletMap, paths: list[set[str]], chains: dict[str, list[Lanelet]]
) -> None:
    """Enter the right of way where the map gives it: by elements of right of way, and by stop and yield signs."""
    regulations = lanelet_map.regulations
    lanes_with_sign = {
        key
        for key, chain in chains.items()
        if any(ref in regulations.giving_way for lanelet in chain for ref in lanelet.rules)
    }

    for index, first in enumerate(raw.moves):
        for other, second in enumerate(raw.moves):
            is_stated = any(
                paths[index] & yielding and paths[other] & prior and not paths[index] & prior
                for yielding, prior in regulations.yields
            )
            if is_stated or (first.start in lanes_with_sign and second.start not in lanes_with_sign):
                raw.stated[index, other] = True

    all_way_stop_lanes = {
        key for key, chain in chains.items() if regulations.all_stop & {lanelet.id for lanelet in chain}
    }
    if chains and len(all_way_stop_lanes) == len(chains):
        raw.control = "stop"
    elif raw.stated:
        raw.control = "priority"
