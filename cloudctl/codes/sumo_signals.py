"""Signals of a SUMO network: groups from the columns of tlLogic, plans from its phases, crosswalks from its crossings."""

from collections.abc import Iterator

import numpy as np

from .findings import refuse
from .model import Alias, Conflict, Connection, Crosswalk, Phase, Plan, SignalGroup
from .report import Loss
from .sumo_area import Area
from .sumo_net import Net, NetProgram

SHOWS = {"r": "R", "y": "Y", "Y": "Y", "G": "G", "g": "g", "s": "F", "u": "P", "o": "O", "O": "D"}


def groups(net: Net, area: Area) -> tuple[tuple[SignalGroup, ...], dict[int, int]]:
    """Return signal groups, and the group of each column: columns that always show the same to the same kind of user."""
    kinds: dict[int, str] = {}
    for c in net.connections:
        if c.get("tl") == area.signal and "linkIndex" in c:
            start = net.edges.get(c["from"])
            use = "pedestrian" if start is None or c["to"] not in net.edges else start.lanes[int(c["fromLane"])].use
            kinds[int(c["linkIndex"])] = {"pedestrian": "pedestrian", "bike": "bike"}.get(use, "vehicle")
    states = [phase["state"] for program in net.programs.get(area.signal, []) for phase in program.phases]
    if not states:
        net.losses.add(Loss("guessed", area.signal, "no signal programme: every column is a group of its own"))
    found: dict[tuple[str, str], list[int]] = {}
    for column in sorted(kinds):
        shown = "".join(state[column] if column < len(state) else "-" for state in states) or str(column)
        found.setdefault((kinds[column], shown), []).append(column)
    if len(found) > 255:
        raise refuse(
            area.signal,
            area.signal,
            "linkIndex",
            f"{len(found)} groups",
            "an intersection has at most 255 signal groups",
            "split the signal in the network",
        )
    out = tuple(SignalGroup(k, kind, tuple(columns)) for k, ((kind, _), columns) in enumerate(found.items(), 1))
    return out, {column: group.id for group in out for column in group.channels}


def plans(
    net: Net, area: Area, found: tuple[SignalGroup, ...], conns: tuple[Connection, ...], met: tuple[Conflict, ...]
) -> tuple[Plan, ...]:
    """Return the programmes; a green that must yield to another of the same phase is permissive, whatever its letter."""
    group_of = {c.id: c.group for c in conns}
    yields = {(group_of[c.a], group_of[c.b]) for c in met if c.a_yields} | {
        (group_of[c.b], group_of[c.a]) for c in met if c.b_yields
    }
    named: dict[str, Plan] = {}
    for program in net.programs.get(area.signal, []):
        named[program.id] = _plan(net, area, program, found, yields)
    return tuple(named.values())


def _plan(
    net: Net, area: Area, program: NetProgram, found: tuple[SignalGroup, ...], yields: set[tuple[int, int]]
) -> Plan:
    phases = []
    actuated = program.kind != "static"
    for phase in program.phases:
        state = phase["state"]
        shown = {g.id: SHOWS.get(state[g.channels[0]], "D") if g.channels[0] < len(state) else "D" for g in found}
        for a, b in sorted(yields):
            if shown.get(a) == "G" and shown.get(b) == "G" and a != b:
                shown[a] = "g"
                net.losses.add(
                    Loss(
                        "repaired",
                        area.signal,
                        f"group {a} shows a green of priority but must yield to group {b}: permissive",
                    )
                )
        ms = [round(float(phase[name]) * 1000) if actuated and name in phase else None for name in ("minDur", "maxDur")]
        phases.append(Phase(round(float(phase["duration"]) * 1000), "".join(shown[g.id] for g in found), ms[0], ms[1]))
    return Plan(program.id, tuple(phases), round(program.offset * 1000), actuated)


def crosswalks(net: Net, area: Area, own: list[str], group_of: dict[int, int]) -> Iterator[Crosswalk]:
    """Yield the crossings of the intersection's junctions."""
    entries = {c["to"]: c for c in net.connections if c.get("tl") == area.signal and c["from"].startswith(":")}
    number = 0
    for name, lane in sorted(net.inner.items()):
        edge = name.rpartition("_")[0]
        node, mark, digits = edge.rpartition("_c")
        if not (mark and digits.isdigit() and node[1:] in own and len(lane.shape) >= 2):
            continue
        if len(lane.shape) > 2 and _bent(lane.shape):
            net.losses.add(Loss("dropped", edge, "the crossing bends: its axis is taken straight"))
        number += 1
        column = int(entries.get(edge, {}).get("linkIndex", -1))
        yield Crosswalk(
            f"X{number}",
            net.points(lane.shape[[0, -1]]),
            round(lane.width * 100),
            group_of.get(column, 0),
            alias=(Alias("sumo", edge),),
        )


def _bent(shape: np.ndarray) -> bool:
    whole = shape[-1] - shape[0]
    off = np.abs(whole[0] * (shape[:, 1] - shape[0, 1]) - whole[1] * (shape[:, 0] - shape[0, 0])) / max(
        float(np.hypot(*whole)), 1e-9
    )
    return bool(off.max() > 0.5)
