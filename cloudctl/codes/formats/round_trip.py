"""What an export changed: a code beside what our own reader makes of its export, field by field.

Every target has one table of the differences that may be, each with its reason; they are printed as losses. Any other
difference is a refusal: a limit raised, a connection cut, a stop line moved, a lane opened to others cannot pass
unseen, whatever part of an exporter fails."""

from collections.abc import Iterator

import numpy as np

from ..compiled.code import local_lines
from ..model import IntersectionCode, Lane
from ..polylines import arc_lengths, points_along
from ..terms import LaneUse, LinkRole
from .comparison import STOP_TOLERANCE, Comparison
from .differences import Difference, Pairing, lost_aliases, speed_difference
from .held_limits import highest_plain_limit
from .limit_differences import limit_differences
from .messages.kept_out import CLASSES_OF_USE
from .rule_differences import rule_differences


def differences(code: IntersectionCode, back: IntersectionCode, pairing: Pairing) -> list[Difference]:
    """Return every difference, in a fixed order."""
    return sorted(set(_all_differences(Comparison(code, back, pairing))))


def _all_differences(compared: Comparison) -> Iterator[Difference]:
    yield from _head_differences(compared)
    yield from _lane_differences(compared)
    yield from limit_differences(compared)
    yield from _connection_differences(compared)
    yield from _conflict_differences(compared)
    yield from _group_differences(compared)
    yield from _stop_line_differences(compared)
    yield from _crosswalk_differences(compared)
    yield from rule_differences(compared)


def _head_differences(compared: Comparison) -> Iterator[Difference]:
    """Yield what differs of the code itself: reference point, name, revision, control, validity."""
    first, second = compared.code, compared.back
    if (first.ref_lat_e7, first.ref_lon_e7) != (second.ref_lat_e7, second.ref_lon_e7):
        yield Difference(
            field="ref",
            what="changed",
            entity="code",
            before=f"{first.ref_lat_e7}, {first.ref_lon_e7}",
            after=f"{second.ref_lat_e7}, {second.ref_lon_e7}",
        )

    for name in ("id", "name", "revision", "control", "accuracy_cm", "valid_from", "valid_to"):
        if getattr(first, name) != getattr(second, name):
            yield Difference(
                field=name,
                what="changed",
                entity="code",
                before=str(getattr(first, name)),
                after=str(getattr(second, name)),
            )

    yield from lost_aliases("alias", "code", first.alias, second.alias)
    yield from _lost_tables(compared)


def _lost_tables(compared: Comparison) -> Iterator[Difference]:
    """Yield the parts for which a message has no place: nodes, plans, zones, devices, exceptions, names of links."""
    first, second = compared.code, compared.back
    for node in first.nodes:
        if not any(
            (node.lat_e7, node.lon_e7, node.control, node.alias)
            == (other.lat_e7, other.lon_e7, other.control, other.alias)
            for other in second.nodes
        ):
            yield Difference(field="nodes", what="lost", entity=node.id)

    for plan in first.plans:
        yield Difference(field="plans", what="lost", entity=plan.id)

    for zone in first.zones:
        yield Difference(field="zones", what="lost", entity=zone.id)

    for device in first.devices:
        yield Difference(field="devices", what="lost", entity=device.id)

    for excepted in first.signal_exceptions:
        yield Difference(field="signal_exceptions", what="lost", entity=f"{excepted.a}/{excepted.b}")

    used = {lane.link for lane in first.lanes if lane.id in compared.pairing.lanes}
    for link in first.links:
        if link.id in used:
            yield from lost_aliases("links.alias", link.id, link.alias, ())
            if {link.upstream, link.downstream} - {"", "N0"}:
                yield Difference(
                    field="links.nodes", what="lost", entity=link.id, before=f"{link.upstream} > {link.downstream}"
                )


def _lane_differences(compared: Comparison) -> Iterator[Difference]:
    led = {connection.to_lane for connection in compared.code.connections if connection.inner}
    for lane in compared.code.lanes:
        link = compared.roles[0][lane.link]
        other = compared.back_lanes.get(compared.pairing.lanes.get(lane.id, ""))
        if other is None:
            yield Difference(
                field="lanes.upstream" if link.role == LinkRole.UPSTREAM and lane.id not in led else "lanes",
                what="lost",
                entity=lane.id,
            )
            continue

        role = compared.roles[1][other.link].role
        if link.role != role:
            yield Difference(
                field="links.role",
                what="changed" if link.role == LinkRole.UPSTREAM and role == LinkRole.EGRESS else "turned",
                entity=lane.id,
                before=link.role,
                after=role,
            )

        yield from _lane_changes(compared, lane, other)

    expected = {*compared.pairing.lanes.values()}
    for name in sorted(compared.back_lanes.keys() - expected):
        yield Difference(
            field="lanes", what="doubled" if name in compared.pairing.exits.values() else "added", entity=name
        )


def _lane_changes(compared: Comparison, lane: Lane, other: Lane) -> Iterator[Difference]:
    for name in ("number", "width_cm", "use", "revocable"):
        before, after = getattr(lane, name), getattr(other, name)
        if before != after:
            change = "closed" if name == "use" and not compared.let_in[1][other.id] else "changed"
            yield Difference(field=f"lanes.{name}", what=change, entity=lane.id, before=str(before), after=str(after))

    yield from _access_differences(compared, lane, other)
    for use in sorted({*lane.shared} - {*other.shared, lane.use}):
        closed = not compared.let_in[1][other.id] or not compared.refused[lane.id].isdisjoint(CLASSES_OF_USE[use])
        yield Difference(field="lanes.shared", what="closed" if closed else "lost", entity=lane.id, before=use)

    for use in sorted({*other.shared} - {*lane.shared, lane.use}):
        yield Difference(field="lanes.shared", what="opened", entity=lane.id, before=use)

    if (
        lane.speed + 1e-9 < other.speed <= highest_plain_limit(compared.code, compared.places[0][lane.id], lane.speed)
    ):  # of parts, which `_limits` compares
        yield Difference(
            field="lanes.speed", what="restated", entity=lane.id, before=f"{lane.speed:g}", after=f"{other.speed:g}"
        )
    else:
        yield from speed_difference("lanes.speed", lane.id, lane.speed, other.speed)

    yield from lost_aliases("lanes.alias", lane.id, lane.alias, other.alias)
    stop = next((line.s for line in compared.code.stop_lines if line.lane == lane.id), None)

    change = compared.line_change(lane.points, other.points, stop)
    if change:
        yield Difference(
            field="lanes.points",
            what=change,
            entity=lane.id,
            before=f"{len(lane.points)} points",
            after=f"{len(other.points)} points",
        )


def _access_differences(compared: Comparison, lane: Lane, other: Lane) -> Iterator[Difference]:
    """Yield the classes that were let in, or no longer are: those that may use a lane always and all along it."""
    before, after = compared.let_in[0][lane.id], compared.let_in[1][other.id]
    for kind in after:
        if kind not in before:
            yield Difference(field="lanes.access", what="opened", entity=lane.id, before=kind)

    for kind in before:
        if kind not in after:
            yield Difference(field="lanes.access", what="closed", entity=lane.id, before=kind)


def _connection_differences(compared: Comparison) -> Iterator[Difference]:
    for connection in compared.code.connections:
        other = compared.connections.get(connection.id)
        if not connection.inner:
            yield Difference(field="connections.joints", what="lost", entity=connection.id)
        elif other is None:
            yield Difference(
                field="connections",
                what="cut",
                entity=connection.id,
                before=f"{connection.from_lane} > {connection.to_lane}",
            )
        else:
            for name in ("turn", "group"):
                if getattr(connection, name) != getattr(other, name):
                    yield Difference(
                        field=f"connections.{name}",
                        what="changed",
                        entity=connection.id,
                        before=str(getattr(connection, name)),
                        after=str(getattr(other, name)),
                    )

            if connection.waits != other.waits:
                yield Difference(
                    field="connections.waits",
                    what="changed",
                    entity=connection.id,
                    before=str(connection.waits),
                    after=str(other.waits),
                )

            yield from lost_aliases("connections.alias", connection.id, connection.alias, other.alias)
            change = compared.line_change(connection.points, other.points)
            if change:
                yield Difference(
                    field="connections.points", what="redrawn" if change == "moved" else change, entity=connection.id
                )

    for connection in compared.further:
        yield Difference(
            field="connections",
            what="added",
            entity=connection.id,
            before=f"{connection.from_lane} > {connection.to_lane}",
        )


def _conflict_differences(compared: Comparison) -> Iterator[Difference]:
    def rows(code: IntersectionCode, names: dict[str, str]) -> dict[tuple[str, str], tuple[object, ...]]:
        rows_of_pair: dict[tuple[str, str], tuple[object, ...]] = {}
        for conflict in code.conflicts:
            first, second = names.get(conflict.a, ""), names.get(conflict.b, "")
            row = (conflict.kind, round(conflict.s_a), round(conflict.s_b), conflict.a_yields, conflict.b_yields)
            rows_of_pair[min((first, second), (second, first))] = (
                row if first <= second else (conflict.kind, row[2], row[1], row[4], row[3])
            )

        return rows_of_pair

    before, after = (
        rows(compared.code, {conflict.id: conflict.id for conflict in compared.code.connections}),
        rows(compared.back, {connection.id: name for name, connection in compared.connections.items()}),
    )
    for pair, row in before.items():
        if after.get(pair) != row:
            yield Difference(
                field="conflicts",
                what="lost" if pair not in after else "changed",
                entity="/".join(pair),
                before=str(row),
                after=str(after.get(pair, "")),
            )

    for pair in after.keys() - before.keys():
        yield Difference(field="conflicts", what="added", entity="/".join(pair))


def _group_differences(compared: Comparison) -> Iterator[Difference]:
    others = {group.id: group for group in compared.back.signal_groups}
    used = {connection.group for connection in compared.code.connections} | {
        walk.group for walk in compared.code.crosswalks
    }

    for group in compared.code.signal_groups:
        other = others.pop(group.id, None)
        if other is None:
            yield Difference(
                field="signal_groups" if group.id in used else "signal_groups.unused",
                what="lost",
                entity=str(group.id),
            )
        else:
            for name in ("kind", "channels"):
                if getattr(group, name) != getattr(other, name):
                    yield Difference(
                        field=f"signal_groups.{name}",
                        what="changed",
                        entity=str(group.id),
                        before=str(getattr(group, name)),
                        after=str(getattr(other, name)),
                    )

    for number in others:
        yield Difference(field="signal_groups", what="added", entity=str(number))


def _stop_line_differences(compared: Comparison) -> Iterator[Difference]:
    lanes, others = (
        {lane.id: lane for lane in compared.code.lanes},
        {line.lane: line.s for line in compared.back.stop_lines},
    )
    for line in compared.code.stop_lines:
        name = compared.pairing.lanes.get(line.lane, "")
        s = others.pop(name, None)
        if s is None:
            yield Difference(
                field="stop_lines.pedestrian" if lanes[line.lane].use == LaneUse.PEDESTRIAN else "stop_lines",
                what="lost",
                entity=line.lane,
                before=f"{line.s}",
            )
        else:
            first, second = local_lines(compared.origin, [lanes[line.lane].points, compared.back_lanes[name].points])
            off = float(
                np.hypot(
                    *(points_along(first, arc_lengths(first), line.s) - points_along(second, arc_lengths(second), s))
                )
            )
            if off > STOP_TOLERANCE:
                yield Difference(
                    field="stop_lines", what="moved", entity=line.lane, before=f"{line.s}", after=f"{off:.2f} m off"
                )

    for name in others:
        yield Difference(field="stop_lines", what="added", entity=name)


def _crosswalk_differences(compared: Comparison) -> Iterator[Difference]:
    for walk, other in zip(
        compared.code.crosswalks, [*compared.back.crosswalks, *[None] * len(compared.code.crosswalks)], strict=False
    ):
        if other is None:
            yield Difference(field="crosswalks", what="lost", entity=walk.id)
            continue

        for name in ("width_cm", "group"):
            if getattr(walk, name) != getattr(other, name):
                yield Difference(
                    field=f"crosswalks.{name}",
                    what="changed",
                    entity=walk.id,
                    before=str(getattr(walk, name)),
                    after=str(getattr(other, name)),
                )

        change = compared.line_change(walk.axis, other.axis)
        if change:
            yield Difference(field="crosswalks.axis", what=change, entity=walk.id)

        if walk.polygon:
            yield Difference(field="crosswalks.polygon", what="lost", entity=walk.id)

        yield from lost_aliases("crosswalks.alias", walk.id, walk.alias, other.alias)

    for walk in compared.back.crosswalks[len(compared.code.crosswalks) :]:
        yield Difference(field="crosswalks", what="added", entity=walk.id)
