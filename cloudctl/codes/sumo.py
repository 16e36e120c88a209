"""SUMO networks -> digital codes: one for each signal, with the roads that lead to it.

Traps heeded: lane 0 is the right-most; `request` bit strings read from the right, signal states from the left; `foes` is
geometric conflict, `response` who must yield; a movement's path may be a chain of internal lanes.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cloudctl.geo import Origin

from .citycode import grid_encode, make
from .compile import local_lines
from .lines import F8, arc
from .model import Alias, Connection, IntersectionCode, Lane, Link, Node, StopLine
from .report import Imported, Loss
from .rule import Rule, Target
from .sumo_area import Area, areas
from .sumo_conflicts import conflicts
from .sumo_net import Net, read_net
from .sumo_signals import crosswalks, groups, plans

TURN = {"s": "straight", "l": "left", "L": "left", "r": "right", "R": "right", "t": "u", "T": "u"}
E_TOWN_ADM, NO_ADM = "110115403", "000000"


def import_sumo(
    path: Path | str, *, radius_m: float = 500.0, additional: Iterable[Path] = (), adm: str | None = None
) -> Imported:
    """Return a digital code for each signal of a network, with its approaches up to `radius_m` along the road.

    `additional` files may hold further signal programmes: heads share a group only when they agree in all. `adm` is the
    administrative code for the ids (000000 where not given; E-Town's for a network without a projection). The list's
    `losses` say what was dropped, guessed or repaired. Raises CodeError.
    """
    net = read_net(Path(path), additional)
    adm = adm or (NO_ADM if net.placed else E_TOWN_ADM)
    serials: dict[str, int] = {}
    codes = [_code(net, area, adm, serials) for area in areas(net, radius_m)]
    return Imported(codes, str(path), net.losses)


def _code(net: Net, area: Area, adm: str, serials: dict[str, int]) -> IntersectionCode:
    own = sorted({m.junction for m in area.movements if m.inner})
    middle = np.mean([[float(net.junctions[n]["x"]), float(net.junctions[n]["y"])] for n in own], axis=0)
    (ref,) = net.points(middle[None])
    grid = grid_encode(*ref)
    serials[grid] = serials.get(grid, 0) + 1
    origin = Origin(ref[0] / 1e7, ref[1] / 1e7)
    nodes, node_of = _nodes(net, area, own)
    links = _links(net, area, node_of)
    lanes, lane_of = _lanes(net, links)
    signal_groups, group_of = groups(net, area)
    conns = _connections(net, area, lane_of, group_of)
    local = dict(zip((c.id for c in conns), local_lines(origin, [c.points for c in conns]), strict=True))
    met = tuple(conflicts(net, area, conns, local))
    return IntersectionCode(
        make(adm, "IX", grid, serials[grid]),
        _name(net, area, own),
        *ref,
        links,
        lanes,
        conns,
        met,
        signal_groups,
        _stop_lines(origin, links, lanes),
        tuple(crosswalks(net, area, own, group_of)),
        nodes,
        plans(net, area, signal_groups, conns, met),
        rules=_rules(links, lanes),
        alias=(Alias("sumo_tl", area.signal), *(Alias("sumo", node) for node in own)),
    )


def _name(net: Net, area: Area, own: list[str]) -> str:
    return next((net.junctions[n]["name"] for n in own if net.junctions[n].get("name")), area.signal)


def _nodes(net: Net, area: Area, own: list[str]) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Return the node table, this intersection first, and the node of each junction."""
    names = sorted({n for edge in area.roles for n in (net.edges[edge].start, net.edges[edge].end)} - set(own))
    out, node_of = [], dict.fromkeys(own, "N0")
    for k, name in enumerate([own[0], *names]):
        junction = net.junctions[name]
        (point,) = net.points(np.array([[float(junction["x"]), float(junction["y"])]]))
        control = "signal" if "traffic_light" in junction["type"] else "priority"
        members = own if k == 0 else [name]
        out.append(Node(f"N{k}", *point, control, tuple(Alias("sumo", n) for n in members)))
        node_of.setdefault(name, f"N{k}")
    return tuple(out), node_of


def _links(net: Net, area: Area, node_of: dict[str, str]) -> tuple[Link, ...]:
    return tuple(
        Link(
            f"K{k}",
            area.roles[edge],
            node_of[net.edges[edge].start],
            node_of[net.edges[edge].end],
            (Alias("sumo", edge),),
        )
        for k, edge in enumerate(sorted(area.roles), 1)
    )


def _lanes(net: Net, links: tuple[Link, ...]) -> tuple[tuple[Lane, ...], dict[str, str]]:
    lanes: list[Lane] = []
    for link in links:
        for number, lane in enumerate(reversed(net.edges[link.alias[0].value].lanes), 1):
            lanes.append(
                Lane(
                    f"L{len(lanes) + 1}",
                    link.id,
                    number,
                    round(lane.width * 100),
                    round(lane.speed, 2),
                    net.points(distinct(lane.shape)),
                    lane.use,
                    lane.shared,
                    alias=(Alias("sumo", lane.id),),
                )
            )
    return tuple(lanes), {lane.alias[0].value: lane.id for lane in lanes}


def _connections(net: Net, area: Area, lane_of: dict[str, str], group_of: dict[int, int]) -> tuple[Connection, ...]:
    out = []
    for k, m in enumerate(area.movements, 1):
        column = int(m.raw["linkIndex"]) if m.raw.get("tl") == area.signal else -1
        waits = m.inner and net.requests.get(m.junction, {}).get(m.index, {}).get("cont") == "1"
        turn = TURN.get(m.raw.get("dir", "s"))
        if turn is None:
            net.losses.add(
                Loss("guessed", f"{m.from_lane}>{m.to_lane}", f"turn {m.raw['dir']!r} is not known: taken as straight")
            )
        out.append(
            Connection(
                f"C{k}",
                lane_of[m.from_lane],
                lane_of[m.to_lane],
                turn or "straight",
                net.points(distinct(m.shape)),
                group_of.get(column, 0),
                round(m.speed, 2),
                m.inner,
                waits,
                (Alias("sumo", f"{m.from_lane}>{m.to_lane}"),),
            )
        )
    return tuple(out)


def distinct(line: F8) -> F8:
    """Return a line without points that repeat the one before (closer than 5 cm); two points at least, both ends kept."""
    keep = np.concatenate([[True], np.hypot(*np.diff(line, axis=0).T) > 0.05])
    keep[-1] = True
    line = line[keep]
    if len(line) > 2 and np.hypot(*(line[-1] - line[-2])) <= 0.05:
        line = np.delete(line, -2, axis=0)
    if len(line) == 1 or (len(line) == 2 and np.hypot(*(line[1] - line[0])) < 0.05):
        line = np.concatenate([line[:1], [*line[:1], [0.05, 0.0]]])
    return line


def _stop_lines(origin: Origin, links: tuple[Link, ...], lanes: tuple[Lane, ...]) -> tuple[StopLine, ...]:
    ingress = {link.id for link in links if link.role == "ingress"}
    stopping = [lane for lane in lanes if lane.link in ingress and lane.use != "pedestrian"]
    lines = local_lines(origin, [lane.points for lane in stopping])
    return tuple(
        StopLine(lane.id, float(np.floor(arc(line)[-1] * 100) / 100))
        for lane, line in zip(stopping, lines, strict=True)
    )


def _rules(links: tuple[Link, ...], lanes: tuple[Lane, ...]) -> tuple[Rule, ...]:
    """Return speed limits, a rule a speed (a link where all its lanes agree, else its lanes), and a rule for bus lanes."""
    at_speed: dict[float, list[str]] = {}
    for link in links:
        driven = [lane for lane in lanes if lane.link == link.id and lane.use != "pedestrian"]
        speeds = sorted({lane.speed for lane in driven})
        for speed in speeds:
            at_speed.setdefault(speed, []).extend(
                [link.id] if len(speeds) == 1 else [x.id for x in driven if x.speed == speed]
            )
    out = [
        Rule(f"R{k}", "speed_max", tuple(map(Target, at_speed[speed])), speed)
        for k, speed in enumerate(sorted(at_speed), 1)
    ]
    bus = tuple(Target(lane.id) for lane in lanes if lane.use == "bus")
    return (*out, Rule(f"R{len(out) + 1}", "bus_lane", bus)) if bus else tuple(out)
