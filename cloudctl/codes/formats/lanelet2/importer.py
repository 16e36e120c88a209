"""Lanelet2 maps (OSM XML) -> digital codes: one for each place where lanelets of different roads cross.

A lanelet runs through an intersection when it has one before and one after it, and forks, merges or crosses there.
Chains of lanelets without forks before and after are one lane each; what lies between a stop line and the crossing is
part of the lane."""

import numpy as np

from ...findings import Loss, LossKind, refuse
from ...model import Alias, Point
from ...polylines import F8
from ...report import Imported
from ...rule import Target
from ..importing.accounting import Accounts
from ..importing.build import DEFAULT_ADM, build, to_points
from ..importing.permits import turn_bans
from ..importing.raw import RawCode, RawMove
from .clusters import intersection_clusters
from .lanelet import Lanelet, LaneletMap, Walk
from .lanes import add_lanes, chains_beside, class_limits, drives_on_the_left, own_speed
from .map import read_lanelet2
from .signal_groups import SignalGroups
from .vocabulary import IGNORED

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
    """Return the intersection whose lanelets cross one another: `members`."""
    centre = np.mean([lanelet.middle.mean(axis=0) for lanelet in members], axis=0)
    (reference,) = to_points(lanelet_map.origin, centre[None])
    raw = RawCode("Lanelet2 " + members[0].id, reference, alias=(Alias("lanelet2", members[0].id),))

    chains = chains_beside(members)
    ingress = {id(preceding) for lanelet in members for preceding in lanelet.before}
    keys = {
        lane_key_id: ("in " if lane_key_id in ingress else "out ") + chain[-1 if lane_key_id in ingress else 0].key
        for lane_key_id, chain in chains.items()
    }
    chain_of_entry = {keys[lane_key_id]: chains[lane_key_id] for lane_key_id in chains if lane_key_id in ingress}

    add_lanes(raw, lanelet_map, chains=chains, ingress=ingress, keys=keys, centre=centre)

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
        raw=raw, lanelet_map=lanelet_map, chains=chain_of_entry, members=members, crosswalks=crosswalks
    )

    paths = _add_movements(raw, members, chains=chains, keys=keys, lights=lights, centre=centre)
    _read_priorities(raw, lanelet_map, paths, chain_of_entry)
    _add_crosswalks(raw, crosswalks, lights, centre)
    lanelet_map.used |= lights.used_lights | {crosswalk.id for crosswalk in crosswalks}
    lights.describe()

    return raw


def _add_movements(
    raw: RawCode,
    members: list[Lanelet],
    chains: dict[int, list[Lanelet]],
    keys: dict[int, str],
    lights: SignalGroups,
    centre: F8,
) -> list[set[str]]:
    """Add the movements and the rules of their lanelets; return the lanelets that each movement runs on."""
    paths = []
    for lanelet in members:
        for preceding in lanelet.before:
            for following in lanelet.after:
                raw.moves.append(
                    RawMove(
                        start=keys[id(preceding)],
                        end=keys[id(following)],
                        group=lights.of(keys[id(preceding)], lanelet),
                        turn=lanelet.turn,
                        xy=lanelet.middle - centre,
                        speed=own_speed(lanelet),
                        alias=(Alias("lanelet2", lanelet.id),),
                    )
                )

                entity = f"C{len(raw.moves)}"
                raw.rules += [
                    *class_limits(Target(entity), lanelet),
                    *turn_bans(entity, [preceding.permit, following.permit], [lanelet.permit]),
                ]
                paths.append({entering.id for entering in chains[id(preceding)]} | {lanelet.id})

    return paths


def _add_crosswalks(raw: RawCode, crosswalks: list[Walk], lights: SignalGroups, centre: F8) -> None:
    for crosswalk in crosswalks:
        raw.walks.append(
            (
                crosswalk.axis - centre,
                round(crosswalk.width * 100),
                lights.of_walk(crosswalk.rules),
                (Alias("lanelet2", crosswalk.id),),
            )
        )

    if any(not group for _, _, group, _ in raw.walks):
        raw.losses.add(
            Loss(what=LossKind.GUESSED, entity=raw.name, detail="crosswalks that name no light have no signal group")
        )


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
