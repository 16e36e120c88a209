"""Signals of a SUMO network: groups from the columns of tlLogic, plans from its phases, crosswalks from its crossings."""

from collections.abc import Iterator

import numpy as np

from ...findings import refuse
from ...model import Alias, Conflict, Connection, Crosswalk, Phase, Plan, SignalGroup
from ..importing.accounting import shown
from .access import lane_permit
from .area import Area
from .network import Net, NetPhase, NetProgram
from .rings import sequence
from .vocabulary import SHOWS

MAX_GROUPS = 255  # of an intersection: a group is one byte in MAP and SPaT
KINDS = {
    "vehicle": "vehicle",
    "bus": "vehicle",
    "tram": "tram",
    "bike": "bike",
    "pedestrian": "pedestrian",
}  # of a group, by the use of its lanes


def groups(net: Net, area: Area) -> tuple[tuple[SignalGroup, ...], dict[int, int]]:
    """Return signal groups, and the group of each column: columns that always show the same to the same kind of user."""
    kinds = _kinds(net, area)
    if not kinds:
        return (), {}
    states = [phase.state for program in net.programs.get(area.signal, []) for phase in program.phases]
    if not states:
        net.accounts.enter("guessed", "tlLogic", "no signal programme: every column is a group of its own", area.signal)
    found: dict[tuple[str, str], list[int]] = {}
    for column in sorted(kinds):
        shown = "".join(state[column] if column < len(state) else "-" for state in states) or str(column)
        if "-" in shown:
            net.accounts.enter(
                "unknown",
                "tlLogic/phase@state",
                "has no letter for a connection: taken as dark",
                f"column {column} of {area.signal}",
            )
        found.setdefault((kinds[column], shown), []).append(column)
    if len(found) > MAX_GROUPS:
        rule = f"an intersection has at most {MAX_GROUPS} signal groups"
        raise refuse(
            area.signal, area.signal, "linkIndex", f"{len(found)} groups", rule, "split the signal in the network"
        )
    made = tuple(SignalGroup(k, kind, tuple(columns)) for k, ((kind, _), columns) in enumerate(found.items(), 1))
    return made, {column: group.id for group in made for column in group.channels}


def _kinds(net: Net, area: Area) -> dict[int, str]:
    """Return the kind of user of each column of a signal. One that lets vehicles and others go is for vehicles."""
    order = ("vehicle", "tram", "bike", "pedestrian")
    kinds: dict[int, str] = {}
    for c in net.signalled.get(area.signal, ()) if area.signal else ():
        start = net.edges.get(c.from_edge)
        if start is None or c.to_edge not in net.edges:
            kind = "pedestrian"
        else:
            lane = start.lanes[c.from_lane]
            kind = KINDS[lane_permit(lane.may, lane.stated).use]
        kinds[c.column] = min(kind, kinds.get(c.column, kind), key=order.index)
    return kinds


def plans(
    net: Net, area: Area, found: tuple[SignalGroup, ...], conns: tuple[Connection, ...], met: tuple[Conflict, ...]
) -> tuple[Plan, ...]:
    """Return the programmes; a green that must yield to another of the same phase is permissive, whatever its letter."""
    group_of = {c.id: c.group for c in conns}
    yields = {(group_of[c.a], group_of[c.b]) for c in met if c.a_yields} | {
        (group_of[c.b], group_of[c.a]) for c in met if c.b_yields
    }
    named: dict[str, Plan] = {}
    for program in net.programs.get(area.signal, []) if area.signal and found else ():
        named[program.id] = _plan(net, area, program, found, yields)
    return tuple(named.values())


def _plan(
    net: Net, area: Area, program: NetProgram, found: tuple[SignalGroup, ...], yields: set[tuple[int, int]]
) -> Plan:
    phases = []
    for phase in _in_sequence(net, area, program):
        state = phase.state
        shown = {g.id: SHOWS.get(state[g.channels[0]], "D") if g.channels[0] < len(state) else "D" for g in found}
        for a, b in sorted(yields):
            if shown.get(a) == "G" and shown.get(b) == "G" and a != b:
                shown[a] = "g"
                detail = "a green of priority that must yield to another of its phase: permissive"
                net.accounts.enter("repaired", "phase", detail, f"group {a} to group {b} of {area.signal}")
        bounds = [
            round(value * 1000) if program.actuated and value is not None else None
            for value in (phase.shortest, phase.longest)
        ]
        phases.append(Phase(round(phase.duration * 1000), "".join(shown[g.id] for g in found), bounds[0], bounds[1]))
    return Plan(program.id, tuple(phases), round(program.offset * 1000), program.actuated)


def _in_sequence(net: Net, area: Area, program: NetProgram) -> list[NetPhase]:
    """Return the phases of a programme as they follow each other."""
    rings = sequence(program) if program.kind == "NEMA" else None
    if rings is not None:
        detail = (
            "a ring-barrier programme as its sequence when every phase lasts its longest: traffic may end each sooner"
        )
        net.accounts.enter("guessed", "tlLogic", detail, f"programme {program.id} of {area.signal}")
        return rings
    if program.kind == "NEMA":
        detail = "rings and barriers that cannot be made out: phases are taken in the order of the file"
        net.accounts.enter(
            "guessed", "tlLogic", detail, f"{shown(program.keys)}, programme {program.id} of {area.signal}"
        )
    count = len(program.phases)
    for k, phase in enumerate(program.phases):
        if phase.following and phase.following != ((k + 1) % count,):
            detail = "phases that need not be followed by the next in order (next): a plan has one order"
            net.accounts.enter("dropped", "tlLogic/phase@next", detail, f"phase {k} of {area.signal}")
    return program.phases


def crosswalks(
    net: Net, area: Area, own: list[str], group_of: dict[int, int], found: tuple[SignalGroup, ...]
) -> Iterator[Crosswalk]:
    """Yield the crossings of the intersection's junctions."""
    entries = (
        {c.to_edge: c for c in net.signalled.get(area.signal, ()) if c.from_edge.startswith(":")} if area.signal else {}
    )
    kinds = {group.id: group.kind for group in found}
    for number, (edge, lane) in enumerate([row for node in own for row in net.crossings.get(node, ())], 1):
        if len(lane.shape) > 2 and _bent(lane.shape):
            net.accounts.enter("dropped", "crossing", "bends: the axis of the crosswalk is taken straight", edge)
        group = group_of.get(entries[edge].column, 0) if edge in entries else 0
        if group and kinds[group] not in ("pedestrian", "bike"):
            net.accounts.enter("dropped", "crossing", "shares a signal group with vehicles: left without a group", edge)
            group = 0
        yield Crosswalk(
            f"X{number}", net.points(lane.shape[[0, -1]]), round(lane.width * 100), group, alias=(Alias("sumo", edge),)
        )


def _bent(shape: np.ndarray) -> bool:
    whole = shape[-1] - shape[0]
    off = np.abs(whole[0] * (shape[:, 1] - shape[0, 1]) - whole[1] * (shape[:, 0] - shape[0, 0])) / max(
        float(np.hypot(*whole)), 1e-9
    )
    return bool(off.max() > 0.5)
