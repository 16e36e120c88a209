"""The lanes beside an intersection of a Lanelet2 map: chains of lanelets without a fork or a merge, one lane each."""

import numpy as np

from ...findings import Loss, LossKind
from ...model import Alias
from ...polylines import F8, arc_lengths
from ...rule import Rule, Target
from ...terms import LaneUse, LinkRole
from ..importing.clusters import approaches, unit_vector
from ..importing.permits import span_rules
from ..importing.raw import RawCode, RawLane
from .lanelet import Lanelet, LaneletMap
from .signal_groups import MAX_LIGHT_DISTANCE, chain_line, stop_position

MIN_LANE_OFFSET, MAX_LANE_OFFSET = 0.5, 15.0  # m between a lane in and a lane out of one road


def chains_beside(members: list[Lanelet]) -> dict[int, list[Lanelet]]:
    """Return the lanes that lead into an intersection or out of it, by the id of the lanelet that touches it."""
    member_ids = {id(lanelet) for lanelet in members}
    chains: dict[int, list[Lanelet]] = {}

    for lanelet in members:
        for preceding in lanelet.before:
            chains.setdefault(id(preceding), _chain(preceding, member_ids, forward=False))
        for following in lanelet.after:
            chains.setdefault(id(following), _chain(following, member_ids, forward=True))

    return chains


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
        if len(neighbours) != 1 or id(neighbours[0]) in member_ids or neighbours[0] in chain:
            break

        reverse_neighbours = neighbours[0].before if forward else neighbours[0].after
        if len(reverse_neighbours) != 1:
            break

        chain.append(neighbours[0])

    return chain if forward else chain[::-1]


def add_lanes(
    raw: RawCode,
    lanelet_map: LaneletMap,
    chains: dict[int, list[Lanelet]],
    ingress: set[int],
    keys: dict[int, str],
    centre: F8,
) -> None:
    """Add the lanes beside an intersection, with their limits and rules."""
    ends = []
    for lane_key_id, chain in chains.items():
        line = chain[-1].middle if lane_key_id in ingress else chain[0].middle
        ends.append(
            (keys[lane_key_id], line[-1], unit_vector(line[-1] - line[-2]))
            if lane_key_id in ingress
            else (keys[lane_key_id], line[0], unit_vector(line[1] - line[0]))
        )

    # Lanes in and lanes out are grouped by themselves: a median may lie between them
    approach_of = approaches(end for end in ends if end[0].startswith("in ")) | approaches(
        end for end in ends if end[0].startswith("out ")
    )
    # Where a light has a stop line, or a yield or stop sign has one, vehicles wait there
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
        own_limit = own_speed(lanelet)
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
            *class_limits(target, lanelet),
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


def class_limits(target: Target, lanelet: Lanelet) -> list[Rule]:
    """Return the limits of a lanelet that hold for some vehicles only."""
    return [
        Rule(id="", kind="speed_max", targets=(target,), value=limit.speed, classes=limit.classes, fuels=limit.fuels)
        for limit in lanelet.limits
        if limit.classes
    ]


def own_speed(lanelet: Lanelet) -> float | None:
    """Return the limit that a lanelet states for all; None where it states none."""
    return min((limit.speed for limit in lanelet.limits if not limit.classes), default=None)
