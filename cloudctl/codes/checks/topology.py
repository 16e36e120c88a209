"""Checks of what leads where: ingresses connect, groups control something, lanes of a link are numbered without
gaps."""

from collections.abc import Iterator

from ..findings import Finding, Severity, fault
from ..model import IntersectionCode
from ..terms import LaneUse, LinkRole


def topology_faults(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of connections; references must hold."""
    role_of_link = {link.id: link.role for link in code.links}
    role_of_lane = {lane.id: role_of_link[lane.link] for lane in code.lanes}
    yield from _ingresses(code, role_of_lane)
    yield from _directions(code, role_of_lane)
    yield from _numbers(code)
    lanes_with_stop_line = {line.lane for line in code.stop_lines}
    signalled_lanes = {connection.from_lane for connection in code.connections if connection.group and connection.inner}

    # Pedestrians wait at the kerb: no line stands there
    pedestrian_lanes = {lane.id for lane in code.lanes if lane.use == LaneUse.PEDESTRIAN}

    for lane in sorted(signalled_lanes - lanes_with_stop_line - pedestrian_lanes):
        yield fault(
            entity=lane,
            field="stop line",
            value="none",
            rule="a lane with a signal has a stop line",
            remedy="add its stop line",
        )

    for line in code.stop_lines:
        if role_of_lane[line.lane] != LinkRole.INGRESS:
            yield fault(
                entity=f"stop line {line.lane}",
                field="lane",
                value=line.lane,
                rule=f"is on a lane of an {role_of_lane[line.lane]} link",
                remedy="put stop lines on ingress lanes",
            )


def _ingresses(code: IntersectionCode, role_of_lane: dict[str, str]) -> Iterator[Finding]:
    if not any(role == LinkRole.INGRESS for role in role_of_lane.values()):
        yield fault(
            entity="code",
            field="links",
            value="no ingress",
            rule="an intersection has a lane that leads to it",
            remedy="give its approaches the role ingress",
        )

    lanes_with_movements = {connection.from_lane for connection in code.connections if connection.inner}
    for link in code.links:
        lanes = [lane for lane in code.lanes if lane.link == link.id and lane.use != LaneUse.PEDESTRIAN]
        if not any(lane.link == link.id for lane in code.lanes):
            yield fault(
                entity=link.id,
                field="lanes",
                value="none",
                rule="a link has lanes",
                remedy="add its lanes, or drop it",
            )

        if link.role == LinkRole.INGRESS and lanes and not any(lane.id in lanes_with_movements for lane in lanes):
            yield fault(
                entity=link.id,
                field="connections",
                value="none",
                rule="an ingress leads through the intersection",
                remedy="add its connections, or drop it",
            )
        # One lane without a movement may be a bay for parking or a lane that ends: doubtful, not wrong
        elif link.role == LinkRole.INGRESS:
            for lane in lanes:
                if lane.id not in lanes_with_movements:
                    yield fault(
                        entity=lane.id,
                        field="connections",
                        value="none",
                        rule="an ingress lane leads somewhere",
                        severity=Severity.WARNING,
                        remedy="add its connections, or drop it",
                    )


def _directions(code: IntersectionCode, role_of_lane: dict[str, str]) -> Iterator[Finding]:
    for connection in code.connections:
        if connection.inner and role_of_lane[connection.from_lane] != LinkRole.INGRESS:
            yield fault(
                entity=connection.id,
                field="from_lane",
                value=connection.from_lane,
                rule=f"leaves a lane of an {role_of_lane[connection.from_lane]} link",
                remedy="let movements through the intersection leave ingress lanes",
            )

        if not connection.inner and connection.group:
            yield fault(
                entity=connection.id,
                field="group",
                value=connection.group,
                rule="a joint of the road before the intersection has no signal of it",
                remedy="set group 0, or inner",
            )

        if connection.from_lane == connection.to_lane:
            yield fault(
                entity=connection.id,
                field="to_lane",
                value=connection.to_lane,
                rule="leads back into its own lane",
                remedy="correct the lane it leads to",
            )


def _numbers(code: IntersectionCode) -> Iterator[Finding]:
    numbers_of_link: dict[str, list[int]] = {}
    for lane in code.lanes:
        numbers_of_link.setdefault(lane.link, []).append(lane.number)

    for link, numbers in numbers_of_link.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield fault(
                entity=link,
                field="lanes.number",
                value=", ".join(map(str, numbers)),
                rule="lanes are numbered 1, 2, ... from the left, each once",
                remedy="number them anew",
            )
