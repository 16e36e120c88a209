"""SUMO networks -> digital codes: one for each signal, and for each junction without one, with the roads that lead to
it.

Traps heeded: lane 0 is the outermost, right in right-hand and left in left-hand traffic; `request` bit strings read
from the right, signal states from the left; `foes` is geometric conflict, `response` right of way; a movement's path
may be a chain of internal lanes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cloudctl.geo import Origin

from ...citycode import grid_encode, make
from ...compiled.code import local_lines
from ...findings import CodeError, LossKind, refuse
from ...model import Alias, Connection, IntersectionCode, Lane, Link, Node, Point, StopLine
from ...polylines import arc_lengths, points_along
from ...report import Imported, Progress
from ...rule import CLASSES, Rule, Target
from ...terms import Control, LaneUse, LinkRole
from ..importing.accounting import Accounts
from ..importing.build import DEFAULT_ADM
from ..importing.permits import numbered, permit_rules, turn_bans
from .access import USER_OF_VCLASS, lane_permit, vclasses_without_class
from .area import IntersectionArea, intersections_of, without_repeated_points
from .conflicts import conflicts
from .network import Net, NetLane
from .reader import REMEDY, read_net
from .signals import crosswalks, plans_of, signal_groups_of
from .vocabulary import IGNORED

E_TOWN_ADM = "110115403"
# m of a lane: a code's points lie within 5,000 m of it, and up to `radius_m` is the way to the lane's end
MAX_LANE_LENGTH = 4000.0


def import_sumo(
    path: Path | str,
    *,
    radius_m: float = 500.0,
    additional: Iterable[Path] = (),
    adm: str | None = None,
    data: bytes | None = None,
    unsignalised: bool | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Return a digital code for each signal of a network, with its approaches up to `radius_m` along the road.

    `additional` files may hold further signal programmes: heads share a group only when they agree in all. `adm` is the
    administrative code for the ids (000000 where not given; E-Town's for a network without a projection). `data` is the
    text of the file, where it is at hand. `unsignalised`: whether junctions without a signal where roads cross or merge
    are codes, too; by default they are in a network without signals. Those left out are in the report. A
    network in which nothing is left is refused, unless junctions without a signal are left out on purpose. The list's
    `losses` name what was dropped, guessed or repaired. Raises CodeError."""
    with Accounts(f"SUMO network {path}", IGNORED, REMEDY) as accounts:
        net = read_net(Path(path), additional, data=data, accounts=accounts)
        adm = adm or (DEFAULT_ADM if net.placed else E_TOWN_ADM)
        codes, serials = list[IntersectionCode](), dict[str, int]()

        for number, (total, area) in enumerate(intersections_of(net, radius_m, unsignalised), 1):
            try:
                codes.append(_code(net, area, adm, serials))
            except CodeError as error:  # one intersection that cannot be a code loses only itself
                finding = error.findings[0]
                accounts.enter(
                    LossKind.DROPPED,
                    "intersection",
                    f"{finding.field}: {finding.rule}",
                    f"{area.name}: {finding.value}",
                )

            if progress is not None:
                progress(number, total)

        if not codes and unsignalised is not False:
            raise _no_intersection_error(net, str(path))

        return accounts.imported(codes, str(path))


def _no_intersection_error(net: Net, where: str) -> CodeError:
    rule = "has no intersection: no signal, and no junction where three roads meet and movements cross or merge"
    return refuse(
        where=where,
        entity="network",
        field="junction",
        value=len(net.junctions),
        rule=rule,
        remedy="give a network with an intersection; the loss report says what was left out",
    )


def _code(net: Net, area: IntersectionArea, adm: str, serials: dict[str, int]) -> IntersectionCode:
    junctions = sorted({movement.junction for movement in area.movements if movement.inner})
    centre = np.mean([[net.junctions[junction].x, net.junctions[junction].y] for junction in junctions], axis=0)
    (reference,) = net.points(centre[None])
    grid = grid_encode(*reference)
    origin = Origin(reference[0] / 1e7, reference[1] / 1e7)
    nodes, node_of = _nodes(net, area, junctions)
    links = _links(net, area, node_of)
    lanes, source_lane = _lanes(net, links)
    lane_of = {lane.alias[0].value: lane.id for lane in lanes}
    signal_groups, group_of = signal_groups_of(net, area)
    connections = _connections(net, area, lane_of, group_of)

    local_paths = dict(
        zip(
            (connection.id for connection in connections),
            local_lines(origin, [connection.points for connection in connections]),
            strict=True,
        )
    )

    found_conflicts = tuple(conflicts(net, area, connections, local_paths))
    serials[grid] = serials.get(grid, 0) + 1
    signal = (Alias("sumo_tl", area.signal),) if area.signal else ()

    return IntersectionCode(
        id=make(adm, "IX", grid, serials[grid]),
        name=_name(net, area, junctions),
        ref_lat_e7=reference[0],
        ref_lon_e7=reference[1],
        links=links,
        lanes=lanes,
        connections=connections,
        conflicts=found_conflicts,
        signal_groups=signal_groups,
        stop_lines=_stop_lines(
            origin, links, lanes, source_lane, {connection.from_lane for connection in connections if connection.inner}
        ),
        crosswalks=tuple(crosswalks(net, area, junctions, group_of, signal_groups)),
        nodes=nodes,
        plans=plans_of(net, area, signal_groups, connections, found_conflicts),
        rules=_rules(net, links, lanes=lanes, connections=connections, source_lane=source_lane, area=area),
        alias=(*signal, *(Alias("sumo", node) for node in junctions)),
        control=area.control if signal_groups or area.control != Control.SIGNAL else Control.UNCONTROLLED,
    )


def _name(net: Net, area: IntersectionArea, junctions: list[str]) -> str:
    return next((net.junctions[junction].name for junction in junctions if net.junctions[junction].name), area.name)


def _nodes(net: Net, area: IntersectionArea, junctions: list[str]) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Return the node table, this intersection first, and the node of each junction."""
    names = sorted(
        {junction for edge in area.roles for junction in (net.edges[edge].start, net.edges[edge].end)} - set(junctions)
    )
    nodes, node_of = [], dict.fromkeys(junctions, "N0")

    for index, name in enumerate([junctions[0], *names]):
        junction = net.junctions[name]
        (point,) = net.points(np.array([[junction.x, junction.y]]))
        control: str = Control.SIGNAL if junction.control == Control.SIGNAL else Control.PRIORITY

        if index == 0 and area.control != Control.SIGNAL:
            control = area.control

        members = junctions if index == 0 else [name]
        nodes.append(Node(f"N{index}", *point, control, tuple(Alias("sumo", junction) for junction in members)))
        node_of.setdefault(name, f"N{index}")

    return tuple(nodes), node_of


def _links(net: Net, area: IntersectionArea, node_of: dict[str, str]) -> tuple[Link, ...]:
    links = []
    for number, name in enumerate(sorted(area.roles), 1):
        edge = net.edges[name]
        alias = (Alias("sumo", name), *((Alias("name", edge.name),) if edge.name else ()))

        links.append(
            Link(
                id=f"K{number}",
                role=area.roles[name],
                upstream=node_of[edge.start],
                downstream=node_of[edge.end],
                alias=alias,
            )
        )

    return tuple(links)


def _lanes(net: Net, links: tuple[Link, ...]) -> tuple[tuple[Lane, ...], dict[str, NetLane]]:
    """Return the lanes, numbered from the left, and the network's lane of each."""
    lanes, source_lane = list[Lane](), dict[str, NetLane]()
    for link in links:
        edge_lanes = net.edges[link.alias[0].value].lanes
        for number, lane in enumerate(edge_lanes if net.left_hand else reversed(edge_lanes), 1):
            permit = lane_permit(lane.may, lane.stated)
            new_lane = Lane(
                id=f"L{len(lanes) + 1}",
                link=link.id,
                number=number,
                width_cm=round(lane.width * 100),
                speed=round(lane.speed, 2),
                points=_points(net, lane, link.role),
                use=permit.use,
                shared=permit.shared,
                alias=(Alias("sumo", lane.id),),
            )

            lanes.append(new_lane)
            source_lane[new_lane.id] = lane

    return tuple(lanes), source_lane


def _points(net: Net, lane: NetLane, role: str) -> tuple[Point, ...]:
    """Return the line of a lane, cut at its far end where it is longer than a code reaches."""
    if lane.points:
        return lane.points

    line = without_repeated_points(lane.shape, lane.shape)
    lengths = arc_lengths(line)
    if lengths[-1] <= MAX_LANE_LENGTH:
        lane.points = net.points(line)
        return lane.points

    net.accounts.enter(LossKind.DROPPED, "lane", f"the far end of lanes longer than {MAX_LANE_LENGTH:.0f} m", lane.id)
    first, last = (0.0, MAX_LANE_LENGTH) if role == LinkRole.EGRESS else (lengths[-1] - MAX_LANE_LENGTH, lengths[-1])
    points_between = line[(lengths > first) & (lengths < last)]

    return net.points(
        np.concatenate(
            [points_along(line, lengths, first)[None], points_between, points_along(line, lengths, last)[None]]
        )
    )


def _connections(
    net: Net, area: IntersectionArea, lane_of: dict[str, str], group_of: dict[int, int]
) -> tuple[Connection, ...]:
    connections = []
    for number, movement in enumerate(area.movements, 1):
        column = movement.raw.column if area.signal and movement.raw.tl == area.signal else -1
        movement.raw.points = movement.raw.points or net.points(movement.shape)

        if movement.raw.passes and "1" in net.requests.get(movement.junction, {}).get(movement.index, {}).get(
            "response", ""
        ):
            net.accounts.enter(
                LossKind.DIFFERS,
                "connection@pass",
                "never yields, and the requests of its junction say that it does: these are taken",
                f"{movement.from_lane}>{movement.to_lane}",
            )

        may_wait_inside = (
            movement.inner and net.requests.get(movement.junction, {}).get(movement.index, {}).get("cont") == "1"
        )
        connection = Connection(
            id=f"C{number}",
            from_lane=lane_of[movement.from_lane],
            to_lane=lane_of[movement.to_lane],
            turn=movement.raw.turn,
            points=movement.raw.points,
            group=group_of.get(column, 0),
            speed=round(movement.speed, 2),
            inner=movement.inner,
            waits=may_wait_inside,
            alias=(Alias("sumo", f"{movement.from_lane}>{movement.to_lane}"),),
        )

        connections.append(connection)

    return tuple(connections)


def _stop_lines(
    origin: Origin,
    links: tuple[Link, ...],
    lanes: tuple[Lane, ...],
    source_lane: dict[str, NetLane],
    leading_lanes: set[str],
) -> tuple[StopLine, ...]:
    """Return the stop lines; `leading_lanes` are the lanes that lead through the intersection. Sidewalks have none,
    unless they do."""
    ingress = {link.id for link in links if link.role == LinkRole.INGRESS}
    stopping = [
        lane for lane in lanes if lane.link in ingress and (lane.use != LaneUse.PEDESTRIAN or lane.id in leading_lanes)
    ]
    lines = local_lines(origin, [lane.points for lane in stopping])
    stop_lines = []

    for lane, line in zip(stopping, lines, strict=True):
        end = float(arc_lengths(line)[-1])
        stop_lines.append(
            StopLine(lane.id, float(np.floor(max(end - source_lane[lane.id].stop_offset, 0.0) * 100) / 100))
        )

    return tuple(stop_lines)


def _rules(
    net: Net,
    links: tuple[Link, ...],
    lanes: tuple[Lane, ...],
    connections: tuple[Connection, ...],
    source_lane: dict[str, NetLane],
    area: IntersectionArea,
) -> tuple[Rule, ...]:
    """Return speed limits, a rule a speed (a link where all its lanes agree, else its lanes), and the permitted users
    of lanes."""
    entities_at_speed: dict[float, list[str]] = {}
    for link in links:
        driven_lanes = [lane for lane in lanes if lane.link == link.id and lane.use != LaneUse.PEDESTRIAN]
        speeds = sorted({lane.speed for lane in driven_lanes})
        for speed in speeds:
            entities_at_speed.setdefault(speed, []).extend(
                [link.id]
                if len(speeds) == 1
                else [lane_of_link.id for lane_of_link in driven_lanes if lane_of_link.speed == speed]
            )

    rules = [
        Rule(id=f"R{number}", kind="speed_max", targets=tuple(map(Target, entities_at_speed[speed])), value=speed)
        for number, speed in enumerate(sorted(entities_at_speed), 1)
    ]
    rules += _class_limits(net, links, len(rules) + 1)

    for lane in lanes:
        network_lane = source_lane[lane.id]
        for name in vclasses_without_class(network_lane.may):
            if lane_permit(network_lane.may, network_lane.stated).text:
                remark = "only the text of the rule says it"
            else:
                remark = "the code does not say it"

            net.accounts.enter(
                LossKind.DIFFERS, "lane", f"who may use it: no class of a code is {name}; {remark}", network_lane.id
            )

    permits = [(lane.id, lane_permit(source_lane[lane.id].may, source_lane[lane.id].stated)) for lane in lanes]
    rules += permit_rules(len(rules) + 1, permits)
    return (*rules, *_turn_bans(net, connections, source_lane, area, len(rules) + 1))


def _class_limits(net: Net, links: tuple[Link, ...], first: int) -> list[Rule]:
    """Return the limits of single vehicle classes, which a network gives by the type of a road."""
    targets: dict[tuple[float, str], list[Target]] = {}
    for link in links:
        for name, speed in net.edges[link.alias[0].value].limits:
            vehicle_class = USER_OF_VCLASS.get(name, name)
            if vehicle_class in CLASSES:
                targets.setdefault((round(speed, 2), vehicle_class), []).append(Target(link.id))
            else:
                net.accounts.enter(
                    LossKind.DROPPED, "type/restriction", f"a limit for {name}: no class of a code", link.alias[0].value
                )

    return [
        Rule(id=f"R{number}", kind="speed_max", targets=tuple(targets[speed, name]), value=speed, classes=(name,))
        for number, (speed, name) in enumerate(sorted(targets), first)
    ]


def _turn_bans(
    net: Net, connections: tuple[Connection, ...], source_lane: dict[str, NetLane], area: IntersectionArea, first: int
) -> tuple[Rule, ...]:
    """Return the bans of connections: users that both lanes admit and the connection does not."""
    rules: list[Rule] = []
    for connection, movement in zip(connections, area.movements, strict=True):
        without_repeated_points = [source_lane[connection.from_lane].may, source_lane[connection.to_lane].may]
        # What a connection states itself goes before its inner lanes.
        own_vclasses = (
            [movement.raw.may] if movement.raw.may is not None else [lane.may for lane in movement.over if lane.stated]
        )
        bans = turn_bans(
            connection.id,
            [lane_permit(vclasses, True) for vclasses in without_repeated_points],
            [lane_permit(vclasses, True) for vclasses in own_vclasses],
        )

        rules += bans
        names = {name for vclasses in own_vclasses for name in vclasses_without_class(vclasses)} if bans else set()

        for name in sorted(frozenset.intersection(*without_repeated_points) & names):
            net.accounts.enter(
                LossKind.DIFFERS,
                "connection",
                f"who may take it: no class of a code is {name}; only the text of a rule may say it",
                f"{movement.from_lane}>{movement.to_lane}",
            )

    return numbered(first, rules)
