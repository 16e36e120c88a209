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
        yield Finding(lane, "stop line", "none", "a lane with a signal has a stop line", "error", "add its stop line")
    for line in code.stop_lines:
        if role[line.lane] != "ingress":
            yield Finding(
                f"stop line {line.lane}",
                "lane",
                line.lane,
                f"is on a lane of an {role[line.lane]} link",
                "error",
                "put stop lines on ingress lanes",
            )


def _ingresses(code: IntersectionCode, role: dict[str, str]) -> Iterator[Finding]:
    if not any(kind == "ingress" for kind in role.values()):
        yield Finding(
            "code",
            "links",
            "no ingress",
            "an intersection has a lane that leads to it",
            "error",
            "give its approaches the role ingress",
        )
    left = {c.from_lane for c in code.connections if c.inner}
    for link in code.links:
        lanes = [lane for lane in code.lanes if lane.link == link.id and lane.use != "pedestrian"]
        if not any(lane.link == link.id for lane in code.lanes):
            yield Finding(link.id, "lanes", "none", "a link has lanes", "error", "add its lanes, or drop it")
        if link.role == "ingress" and lanes and not any(lane.id in left for lane in lanes):
            yield Finding(
                link.id,
                "connections",
                "none",
                "an ingress leads through the intersection",
                "error",
                "add its connections, or drop it",
            )
        elif link.role == "ingress":
            for lane in lanes:
                if lane.id not in left:
                    yield Finding(
                        lane.id,
                        "connections",
                        "none",
                        "an ingress lane leads somewhere",
                        "warning",
                        "add its connections, or drop it",
                    )


def _directions(code: IntersectionCode, role: dict[str, str]) -> Iterator[Finding]:
    for c in code.connections:
        if c.inner and role[c.from_lane] != "ingress":
            yield Finding(
                c.id,
                "from_lane",
                c.from_lane,
                f"leaves a lane of an {role[c.from_lane]} link",
                "error",
                "let movements through the intersection leave ingress lanes",
            )
        if not c.inner and c.group:
            yield Finding(
                c.id,
                "group",
                str(c.group),
                "a joint of the road before the intersection has no signal of it",
                "error",
                "set group 0, or inner",
            )
        if c.from_lane == c.to_lane:
            yield Finding(
                c.id, "to_lane", c.to_lane, "leads back into its own lane", "error", "correct the lane it leads to"
            )


def _numbers(code: IntersectionCode) -> Iterator[Finding]:
    of: dict[str, list[int]] = {}
    for lane in code.lanes:
        of.setdefault(lane.link, []).append(lane.number)
    for link, numbers in of.items():
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield Finding(
                link,
                "lanes.number",
                ", ".join(map(str, numbers)),
                "lanes are numbered 1, 2, ... from the left, each once",
                "error",
                "number them anew",
            )
