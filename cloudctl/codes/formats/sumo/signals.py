"""Signals of a SUMO network: groups from the columns of tlLogic, plans from its phases, crosswalks from its
crossings."""

from collections.abc import Iterator

import numpy as np

from ...findings import LossKind, refuse
from ...model import Alias, Conflict, Connection, Crosswalk, Phase, Plan, SignalGroup
from ...terms import NON_MOTOR_USES, LaneUse
from ..importing.accounting import shown
from .access import lane_permit
from .area import IntersectionArea
from .network import Net, NetPhase, NetProgram
from .rings import sequence
from .vocabulary import LETTER_OF_STATE

MAX_GROUPS = 255  # of an intersection: a group is one byte in MAP and SPaT
# Of a group, by the use of its lanes
GROUP_KIND_OF_USE = {
    "vehicle": "vehicle",
    "bus": "vehicle",
    "tram": "tram",
    "bike": "bike",
    "pedestrian": "pedestrian",
}


def signal_groups_of(net: Net, area: IntersectionArea) -> tuple[tuple[SignalGroup, ...], dict[int, int]]:
    """Return signal groups, and the group of each column: columns that always show the same to the same kind of
    user."""
    kind_of_column = _kinds(net, area)
    if not kind_of_column:
        return (), {}

    states = [phase.state for program in net.programs.get(area.signal, []) for phase in program.phases]
    if not states:
        net.accounts.enter(
            LossKind.GUESSED, "tlLogic", "no signal programme: every column is a group of its own", area.signal
        )

    columns_of: dict[tuple[str, str], list[int]] = {}
    for column in sorted(kind_of_column):
        letters = "".join(state[column] if column < len(state) else "-" for state in states) or str(column)
        if "-" in letters:
            net.accounts.enter(
                LossKind.UNKNOWN,
                "tlLogic/phase@state",
                "has no letter for a connection: taken as dark",
                f"column {column} of {area.signal}",
            )

        # Columns that agree in every phase of every programme are one lamp; a walker's is never one with a vehicle's
        columns_of.setdefault((kind_of_column[column], letters), []).append(column)

    if len(columns_of) > MAX_GROUPS:
        rule = f"an intersection has at most {MAX_GROUPS} signal groups"
        raise refuse(
            where=area.signal,
            entity=area.signal,
            field="linkIndex",
            value=f"{len(columns_of)} groups",
            rule=rule,
            remedy="split the signal in the network",
        )

    signal_groups = tuple(
        SignalGroup(number, kind, tuple(columns)) for number, ((kind, _), columns) in enumerate(columns_of.items(), 1)
    )
    return signal_groups, {column: group.id for group in signal_groups for column in group.channels}


def _kinds(net: Net, area: IntersectionArea) -> dict[int, str]:
    """Return the kind of user of each column of a signal. One that lets vehicles and others go is for vehicles."""
    precedence = (LaneUse.VEHICLE, LaneUse.TRAM, LaneUse.BIKE, LaneUse.PEDESTRIAN)
    kinds: dict[int, str] = {}

    for connection in net.signalled.get(area.signal, ()) if area.signal else ():
        start = net.edges.get(connection.from_edge)
        if start is None or connection.to_edge not in net.edges:
            kind: str = LaneUse.PEDESTRIAN
        else:
            lane = start.lanes[connection.from_lane]
            kind = GROUP_KIND_OF_USE[lane_permit(lane.may, lane.stated).use]

        kinds[connection.column] = min(kind, kinds.get(connection.column, kind), key=precedence.index)

    return kinds


def plans_of(
    net: Net,
    area: IntersectionArea,
    signal_groups: tuple[SignalGroup, ...],
    connections: tuple[Connection, ...],
    found_conflicts: tuple[Conflict, ...],
) -> tuple[Plan, ...]:
    """Return the programmes; a green that must yield to another of the same phase is permissive, whatever its
    letter."""
    group_of = {conflict.id: conflict.group for conflict in connections}
    yields = {(group_of[conflict.a], group_of[conflict.b]) for conflict in found_conflicts if conflict.a_yields} | {
        (group_of[conflict.b], group_of[conflict.a]) for conflict in found_conflicts if conflict.b_yields
    }
    plan_of_name: dict[str, Plan] = {}

    for program in net.programs.get(area.signal, []) if area.signal and signal_groups else ():
        plan_of_name[program.id] = _plan(net, area, program, signal_groups, yields)

    return tuple(plan_of_name.values())


def _plan(
    net: Net,
    area: IntersectionArea,
    program: NetProgram,
    signal_groups: tuple[SignalGroup, ...],
    yields: set[tuple[int, int]],
) -> Plan:
    phases = []
    for phase in _in_sequence(net, area, program):
        state = phase.state
        letter_of_group = {
            group.id: LETTER_OF_STATE.get(state[group.channels[0]], "D") if group.channels[0] < len(state) else "D"
            for group in signal_groups
        }

        for yielding, other in sorted(yields):
            if letter_of_group.get(yielding) == "G" and letter_of_group.get(other) == "G" and yielding != other:
                letter_of_group[yielding] = "g"
                detail = "a green of priority that must yield to another of its phase: permissive"
                net.accounts.enter(
                    LossKind.REPAIRED, "phase", detail, f"group {yielding} to group {other} of {area.signal}"
                )

        bounds = [
            round(value * 1000) if program.actuated and value is not None else None
            for value in (phase.shortest, phase.longest)
        ]
        phases.append(
            Phase(
                ms=round(phase.duration * 1000),
                shows="".join(letter_of_group[group.id] for group in signal_groups),
                min_ms=bounds[0],
                max_ms=bounds[1],
            )
        )

    return Plan(id=program.id, phases=tuple(phases), offset_ms=round(program.offset * 1000), actuated=program.actuated)


def _in_sequence(net: Net, area: IntersectionArea, program: NetProgram) -> list[NetPhase]:
    """Return the phases of a programme as they follow each other."""
    rings = sequence(program) if program.kind == "NEMA" else None
    if rings is not None:
        detail = (
            "a ring-barrier programme as its sequence when every phase lasts its longest: traffic may end each sooner"
        )
        net.accounts.enter(LossKind.GUESSED, "tlLogic", detail, f"programme {program.id} of {area.signal}")
        return rings

    if program.kind == "NEMA":
        detail = "rings and barriers that cannot be made out: phases are taken in the order of the file"
        net.accounts.enter(
            LossKind.GUESSED, "tlLogic", detail, f"{shown(program.keys)}, programme {program.id} of {area.signal}"
        )

    count = len(program.phases)
    for index, phase in enumerate(program.phases):
        if phase.following and phase.following != ((index + 1) % count,):
            detail = "phases that need not be followed by the next in order (next): a plan has one order"
            net.accounts.enter(LossKind.DROPPED, "tlLogic/phase@next", detail, f"phase {index} of {area.signal}")

    return program.phases


def crosswalks(
    net: Net,
    area: IntersectionArea,
    junctions: list[str],
    group_of: dict[int, int],
    signal_groups: tuple[SignalGroup, ...],
) -> Iterator[Crosswalk]:
    """Yield the crossings of the intersection's junctions."""
    if area.signal:
        entries = {
            connection.to_edge: connection
            for connection in net.signalled.get(area.signal, ())
            if connection.from_edge.startswith(":")
        }
    else:
        entries = {}

    kind_of_group = {group.id: group.kind for group in signal_groups}
    for number, (edge, lane) in enumerate([row for node in junctions for row in net.crossings.get(node, ())], 1):
        if len(lane.shape) > 2 and _is_bent(lane.shape):
            net.accounts.enter(LossKind.DROPPED, "crossing", "bends: the axis of the crosswalk is taken straight", edge)

        group = group_of.get(entries[edge].column, 0) if edge in entries else 0
        if group and kind_of_group[group] not in NON_MOTOR_USES:
            net.accounts.enter(
                LossKind.DROPPED, "crossing", "shares a signal group with vehicles: left without a group", edge
            )
            group = 0

        yield Crosswalk(
            id=f"X{number}",
            axis=net.points(lane.shape[[0, -1]]),
            width_cm=round(lane.width * 100),
            group=group,
            alias=(Alias("sumo", edge),),
        )


def _is_bent(shape: np.ndarray) -> bool:
    chord = shape[-1] - shape[0]
    offsets = np.abs(chord[0] * (shape[:, 1] - shape[0, 1]) - chord[1] * (shape[:, 0] - shape[0, 0])) / max(
        float(np.hypot(*chord)), 1e-9
    )
    return bool(offsets.max() > 0.5)
