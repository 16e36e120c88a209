"""SUMO networks -> digital codes: one for each signal, and for each junction without one, with the roads that lead to it.

Traps heeded: lane 0 is the outermost, right in right-hand and left in left-hand traffic; `request` bit strings read from the right, signal
states from the left; `foes` is geometric conflict, `response` who must yield; a movement's path may be a chain of internal lanes.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cloudctl.geo import Origin

from ...citycode import grid_encode, make
from ...compiled.code import local_lines
from ...findings import CodeError, refuse
from ...model import Alias, Connection, IntersectionCode, Lane, Link, Node, Point, StopLine
from ...polylines import arc, at
from ...report import Imported, Progress
from ...rule import CLASSES, Rule, Target
from ..importing.accounting import Accounts
from ..importing.build import NO_ADM
from ..importing.permits import numbered, permit_rules, turn_bans
from .access import USERS, lane_permit, unclassed
from .area import Area, areas, joined
from .conflicts import conflicts
from .network import Net, NetLane
from .reader import REMEDY, read_net
from .signals import crosswalks, groups, plans
from .vocabulary import IGNORED

E_TOWN_ADM = "110115403"
MAX_LENGTH = (
    4000.0  # m of a lane: a code's points lie within 5,000 m of it, and up to `radius_m` is the way to the lane's end
)


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
    administrative code for the ids (000000 where not given; E-Town's for a network without a projection). `data` is the text of the
    file, where it is at hand. `unsignalised`: whether junctions without a signal where roads cross or merge are codes, too; where it is
    not said, they are in a network without signals. Those left out are in the report. A network in which nothing is left is refused,
    unless junctions without a signal are left out on purpose. The list's `losses` say what was dropped, guessed or repaired. Raises CodeError.
    """
    with Accounts(f"SUMO network {path}", IGNORED, REMEDY) as accounts:
        net = read_net(Path(path), additional, data=data, accounts=accounts)
        adm = adm or (NO_ADM if net.placed else E_TOWN_ADM)
        codes, serials = list[IntersectionCode](), dict[str, int]()
        for number, (whole, area) in enumerate(areas(net, radius_m, unsignalised), 1):
            try:
                codes.append(_code(net, area, adm, serials))
            except CodeError as error:  # one intersection that cannot be a code loses only itself
                finding = error.findings[0]
                accounts.enter(
                    "dropped", "intersection", f"{finding.field}: {finding.rule}", f"{area.name}: {finding.value}"
                )
            if progress is not None:
                progress(number, whole)
        if not codes and unsignalised is not False:
            raise _nothing(net, str(path))
        return accounts.imported(codes, str(path))


def _nothing(net: Net, where: str) -> CodeError:
    rule = "has no intersection: no signal, and no junction where three roads meet and movements cross or merge"
    return refuse(
        where,
        "network",
        "junction",
        len(net.junctions),
        rule,
        "give a network with an intersection; the loss report says what was left out",
    )


def _code(net: Net, area: Area, adm: str, serials: dict[str, int]) -> IntersectionCode:
    own = sorted({m.junction for m in area.movements if m.inner})
    middle = np.mean([[net.junctions[n].x, net.junctions[n].y] for n in own], axis=0)
    (ref,) = net.points(middle[None])
    grid = grid_encode(*ref)
    origin = Origin(ref[0] / 1e7, ref[1] / 1e7)
    nodes, node_of = _nodes(net, area, own)
    links = _links(net, area, node_of)
    lanes, source = _lanes(net, links)
    lane_of = {lane.alias[0].value: lane.id for lane in lanes}
    signal_groups, group_of = groups(net, area)
    conns = _connections(net, area, lane_of, group_of)
    local = dict(zip((c.id for c in conns), local_lines(origin, [c.points for c in conns]), strict=True))
    met = tuple(conflicts(net, area, conns, local))
    serials[grid] = serials.get(grid, 0) + 1
    signal = (Alias("sumo_tl", area.signal),) if area.signal else ()
    return IntersectionCode(
        id=make(adm, "IX", grid, serials[grid]),
        name=_name(net, area, own),
        ref_lat_e7=ref[0],
        ref_lon_e7=ref[1],
        links=links,
        lanes=lanes,
        connections=conns,
        conflicts=met,
        signal_groups=signal_groups,
        stop_lines=_stop_lines(origin, links, lanes, source, {c.from_lane for c in conns if c.inner}),
        crosswalks=tuple(crosswalks(net, area, own, group_of, signal_groups)),
        nodes=nodes,
        plans=plans(net, area, signal_groups, conns, met),
        rules=_rules(net, links, lanes, conns, source, area),
        alias=(*signal, *(Alias("sumo", node) for node in own)),
        control=area.control if signal_groups or area.control != "signal" else "uncontrolled",
    )


def _name(net: Net, area: Area, own: list[str]) -> str:
    return next((net.junctions[n].name for n in own if net.junctions[n].name), area.name)


def _nodes(net: Net, area: Area, own: list[str]) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Return the node table, this intersection first, and the node of each junction."""
    names = sorted({n for edge in area.roles for n in (net.edges[edge].start, net.edges[edge].end)} - set(own))
    nodes, node_of = [], dict.fromkeys(own, "N0")
    for k, name in enumerate([own[0], *names]):
        junction = net.junctions[name]
        (point,) = net.points(np.array([[junction.x, junction.y]]))
        control = "signal" if junction.control == "signal" else "priority"
        if k == 0 and area.control != "signal":
            control = area.control
        members = own if k == 0 else [name]
        nodes.append(Node(f"N{k}", *point, control, tuple(Alias("sumo", n) for n in members)))
        node_of.setdefault(name, f"N{k}")
    return tuple(nodes), node_of


def _links(net: Net, area: Area, node_of: dict[str, str]) -> tuple[Link, ...]:
    links = []
    for k, name in enumerate(sorted(area.roles), 1):
        edge = net.edges[name]
        alias = (Alias("sumo", name), *((Alias("name", edge.name),) if edge.name else ()))
        links.append(Link(f"K{k}", area.roles[name], node_of[edge.start], node_of[edge.end], alias))
    return tuple(links)


def _lanes(net: Net, links: tuple[Link, ...]) -> tuple[tuple[Lane, ...], dict[str, NetLane]]:
    """Return the lanes, numbered from the left, and the network's lane of each."""
    lanes, source = list[Lane](), dict[str, NetLane]()
    for link in links:
        found = net.edges[link.alias[0].value].lanes
        for number, lane in enumerate(found if net.left_hand else reversed(found), 1):
            allowed = lane_permit(lane.may, lane.stated)
            made = Lane(
                id=f"L{len(lanes) + 1}",
                link=link.id,
                number=number,
                width_cm=round(lane.width * 100),
                speed=round(lane.speed, 2),
                points=_points(net, lane, link.role),
                use=allowed.use,
                shared=allowed.shared,
                alias=(Alias("sumo", lane.id),),
            )
            lanes.append(made)
            source[made.id] = lane
    return tuple(lanes), source


def _points(net: Net, lane: NetLane, role: str) -> tuple[Point, ...]:
    """Return the line of a lane, cut at its far end where it is longer than a code reaches."""
    if lane.points:
        return lane.points
    line = joined(lane.shape, lane.shape)
    along = arc(line)
    if along[-1] <= MAX_LENGTH:
        lane.points = net.points(line)
        return lane.points
    net.accounts.enter("dropped", "lane", f"the far end of lanes longer than {MAX_LENGTH:.0f} m", lane.id)
    first, last = (0.0, MAX_LENGTH) if role == "egress" else (along[-1] - MAX_LENGTH, along[-1])
    inside = line[(along > first) & (along < last)]
    return net.points(np.concatenate([at(line, along, first)[None], inside, at(line, along, last)[None]]))


def _connections(net: Net, area: Area, lane_of: dict[str, str], group_of: dict[int, int]) -> tuple[Connection, ...]:
    conns = []
    for k, m in enumerate(area.movements, 1):
        column = m.raw.column if area.signal and m.raw.tl == area.signal else -1
        m.raw.points = m.raw.points or net.points(m.shape)
        if m.raw.passes and "1" in net.requests.get(m.junction, {}).get(m.index, {}).get("response", ""):
            net.accounts.enter(
                "differs",
                "connection@pass",
                "never yields, and the requests of its junction say that it does: these are taken",
                f"{m.from_lane}>{m.to_lane}",
            )
        waits = m.inner and net.requests.get(m.junction, {}).get(m.index, {}).get("cont") == "1"
        connection = Connection(
            id=f"C{k}",
            from_lane=lane_of[m.from_lane],
            to_lane=lane_of[m.to_lane],
            turn=m.raw.turn,
            points=m.raw.points,
            group=group_of.get(column, 0),
            speed=round(m.speed, 2),
            inner=m.inner,
            waits=waits,
            alias=(Alias("sumo", f"{m.from_lane}>{m.to_lane}"),),
        )
        conns.append(connection)
    return tuple(conns)


def _stop_lines(
    origin: Origin, links: tuple[Link, ...], lanes: tuple[Lane, ...], source: dict[str, NetLane], leading: set[str]
) -> tuple[StopLine, ...]:
    """Return the stop lines; `leading` are the lanes that lead through the intersection. Sidewalks have none, unless they do."""
    ingress = {link.id for link in links if link.role == "ingress"}
    stopping = [lane for lane in lanes if lane.link in ingress and (lane.use != "pedestrian" or lane.id in leading)]
    lines = local_lines(origin, [lane.points for lane in stopping])
    stops = []
    for lane, line in zip(stopping, lines, strict=True):
        end = float(arc(line)[-1])
        stops.append(StopLine(lane.id, float(np.floor(max(end - source[lane.id].stop_offset, 0.0) * 100) / 100)))
    return tuple(stops)


def _rules(
    net: Net,
    links: tuple[Link, ...],
    lanes: tuple[Lane, ...],
    conns: tuple[Connection, ...],
    source: dict[str, NetLane],
    area: Area,
) -> tuple[Rule, ...]:
    """Return speed limits, a rule a speed (a link where all its lanes agree, else its lanes), and who may use which lane."""
    at_speed: dict[float, list[str]] = {}
    for link in links:
        driven = [lane for lane in lanes if lane.link == link.id and lane.use != "pedestrian"]
        speeds = sorted({lane.speed for lane in driven})
        for speed in speeds:
            at_speed.setdefault(speed, []).extend(
                [link.id] if len(speeds) == 1 else [x.id for x in driven if x.speed == speed]
            )
    rules = [
        Rule(f"R{k}", "speed_max", tuple(map(Target, at_speed[speed])), speed)
        for k, speed in enumerate(sorted(at_speed), 1)
    ]
    rules += _class_limits(net, links, len(rules) + 1)
    for lane in lanes:
        found = source[lane.id]
        for name in unclassed(found.may):
            where = (
                "only the text of the rule says it"
                if lane_permit(found.may, found.stated).text
                else "the code does not say it"
            )
            net.accounts.enter("differs", "lane", f"who may use it: no class of a code is {name}; {where}", found.id)
    permits = [(lane.id, lane_permit(source[lane.id].may, source[lane.id].stated)) for lane in lanes]
    rules += permit_rules(len(rules) + 1, permits)
    return (*rules, *_turn_bans(net, conns, source, area, len(rules) + 1))


def _class_limits(net: Net, links: tuple[Link, ...], first: int) -> list[Rule]:
    """Return the limits of single vehicle classes, which a network gives by the type of a road."""
    targets: dict[tuple[float, str], list[Target]] = {}
    for link in links:
        for name, speed in net.edges[link.alias[0].value].limits:
            user = USERS.get(name, name)
            if user in CLASSES:
                targets.setdefault((round(speed, 2), user), []).append(Target(link.id))
            else:
                net.accounts.enter(
                    "dropped", "type/restriction", f"a limit for {name}: no class of a code", link.alias[0].value
                )
    return [
        Rule(f"R{k}", "speed_max", tuple(targets[speed, name]), speed, classes=(name,))
        for k, (speed, name) in enumerate(sorted(targets), first)
    ]


def _turn_bans(
    net: Net, conns: tuple[Connection, ...], source: dict[str, NetLane], area: Area, first: int
) -> tuple[Rule, ...]:
    """Return who may not take a connection although both its lanes are open to them."""
    rules: list[Rule] = []
    for c, m in zip(conns, area.movements, strict=True):
        joined = [source[c.from_lane].may, source[c.to_lane].may]
        # What a connection says itself goes before its inner lanes.
        own = [m.raw.may] if m.raw.may is not None else [lane.may for lane in m.over if lane.stated]
        bans = turn_bans(c.id, [lane_permit(may, True) for may in joined], [lane_permit(may, True) for may in own])
        rules += bans
        names = {name for may in own for name in unclassed(may)} if bans else set()
        for name in sorted(frozenset.intersection(*joined) & names):
            net.accounts.enter(
                "differs",
                "connection",
                f"who may take it: no class of a code is {name}; only the text of a rule may say it",
                f"{m.from_lane}>{m.to_lane}",
            )
    return numbered(first, rules)
