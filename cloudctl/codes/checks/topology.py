"""Checks of what leads where: ingresses connect, groups control something, lanes of a link are numbered without gaps."""

from collections.abc import Iterator

from ..findings import Finding
from ..model import IntersectionCode


def topology(code: IntersectionCode) -> Iterator[Finding]:
    """Yield the faults of connections; references must hold."""
    roles = {link.id: link.role for link in code.links}
    role = {lane.id: roles[lane.link] for lane in code.lanes}
    yield from _ingresses(code, role)
    yield from _directions(code, role)
    yield from _numbers(code)
    stopped = {line.lane for line in code.stop_lines}
    signalled = {c.from_lane for c in code.connections if c.group and c.inner}
    walked = {
        lane.id for lane in code.lanes if lane.use == "pedestrian"
    }  # pedestrians wait at the kerb: no line stands there

    for lane in sorted(signalled - stopped - walked):
        yield Finding(
            entity=lane,
            field="stop line",
            value="none",
            rule="a lane with a signal has a stop line",
            severity="error",
            remedy="add its stop line",
        )

    for line in code.stop_lines:
        if role[line.lane] != "ingress":
            yield Finding(
                entity=f"stop line {line.lane}",
                field="lane",
                value=line.lane,
                rule=f"is on a lane of an {role[line.lane]} link",
                severity="error",
                remedy="put stop lines on ingress lanes",
            )


def _ingresses(code: IntersectionCode, role: dict[str, str]) -> Iterator[Finding]:
    if not any(kind == "ingress" for kind in role.values()):
        yield Finding(
            entity="code",
            field="links",
            value="no ingress",
            rule="an intersection has a lane that leads to it",
            severity="error",
            remedy="give its approaches the role ingress",
        )

    left = {c.from_lane for c in code.connections if c.inner}
    for link in code.links:
        lanes = [lane for lane in code.lanes if lane.link == link.id and lane.use != "pedestrian"]
        if not any(lane.link == link.id for lane in code.lanes):
            yield Finding(
                entity=link.id,
                field="lanes",
                value="none",
                rule="a link has lanes",
                severity="error",
                remedy="add its lanes, or drop it",
            )

        if link.role == "ingress" and lanes and not any(lane.id in left for lane in lanes):
            yield Finding(
                entity=link.id,
                field="connections",
                value="none",
                rule="an ingress leads through the intersection",
                severity="error",
                remedy="add its connections, or drop it",
            )
        elif link.role == "ingress":
            for lane in lanes:
                if lane.id not in left:
                    yield Finding(
                        entity=lane.id,
                        field="connections",
                        value="none",
                        rule="an ingress lane leads somewhere",
                        severity="warning",
                        remedy="add its connections, or drop it",
                    )


def _directions(code: IntersectionCode, role: dict[str, str]) -> Iterator[Finding]:
    for c in code.connections:
        if c.inner and role[c.from_lane] != "ingress":
            yield Finding(
                entity=c.id,
                field="from_lane",
                value=c.from_lane,
                rule=f"leaves a lane of an {role[c.from_lane]} link",
                severity="error",
                remedy="let movements through the intersection leave ingress lanes",
            )

        if not c.inner and c.group:
            yield Finding(
                entity=c.id,
                field="group",
                value=str(c.group),
                rule="a joint of the road before the intersection has no signal of it",
                severity="error",
                remedy="set group 0, or inner",
            )

        if c.from_lane == c.to_lane:
            yield Finding(
                entity=c.id,
                field="to_lane",
                value=c.to_lane,
                rule="leads back into its own lane",
                severity="error",
                remedy="correct the lane it leads to",
            )


def _numbers(code: IntersectionCode) -> Iterator[Finding]:
    of: dict[str, list[int]] = {}
    for lane in code.lanes:
        of.setdefault(lane.link, []).append(lane.number)

    for link, numbers in of.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield Finding(
                entity=link,
                field="lanes.number",
                value=", ".join(map(str, numbers)),
                rule="lanes are numbered 1, 2, ... from the left, each once",
                severity="error",
                remedy="number them anew",
            )
