"""Lanes of a J2735 MAP: their line, width, stop line and limits, from the nodes and what stands at each of them.

Nodes are listed from the intersection outwards. The first node of a lane that leads in is its stop line, unless a node
further out is marked `stopLine`. Limits at a node hold from there outwards, until another node changes them."""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

import numpy as np

from cloudctl.geo import Origin

from ...findings import CodeError, Loss, LossKind
from ...polylines import F8, arc_lengths
from ...rule import Rule, Target
from ...terms import DEFAULT_SPEED
from ..importing.accounting import JsonRecord
from ..importing.raw import RawCode
from ..messages.limit_rules import limit_rule
from ..messages.names import DELTA_CHOICES
from ..messages.speed_limits import CAR_LIMIT, read_limits

TRAJECTORY_EXTENSION = "ConnectionTrajectory-addGrpC"
Limits = dict[str, float]  # by type, m/s


class Span(NamedTuple):
    """Limits of a part of a lane, m in driving direction."""

    s_from: float
    s_to: float
    limits: Limits


class NodeLine(NamedTuple):
    """A lane as its nodes give it, in the message's order: m of the reference point, what `dWidth` adds, stop lines,
    limits at nodes."""

    xy: F8
    wider_cm: int
    stops: list[int]
    limits: list[Limits]


def read_nodes(lane: JsonRecord, origin: Origin) -> NodeLine | None:
    """Return the nodes of a lane; None where it is computed from another. Raises CodeError for what is no list of
    nodes."""
    choice = lane.child("nodeList")
    if "computed" in choice and "nodes" not in choice:
        return None
    return _read_line(lane, choice.rows("nodes"), origin)


def _read_line(owner: JsonRecord, nodes: list[JsonRecord], origin: Origin) -> NodeLine:
    """Return a line from its nodes: the first from the reference point, each further one from the one before. Raises
    CodeError."""
    if len(nodes) < 2:
        raise owner.refuse("nodes", f"{len(nodes)} nodes", "a line has two nodes at least", "correct the sender")

    position, points, stops, limits = np.zeros(2), list[F8](), list[int](), list[Limits]()
    width_difference = 0

    for index, node in enumerate(nodes):
        name, delta = node.child("delta").one()
        if name not in DELTA_CHOICES or not isinstance(delta, JsonRecord):
            raise node.refuse("delta", name, f"must be one of {', '.join(DELTA_CHOICES)}", "correct the sender")

        if name == "node-LatLon":
            position = np.array(
                [float(value) for value in origin.to_local(delta.number("lat") / 1e7, delta.number("long") / 1e7)]
            )
        else:
            position = position + np.array([delta.number("x"), delta.number("y")]) / 100

        points.append(position)
        attributes = node.child("attributes")
        if index == 0:
            width_difference = round(attributes.number("dWidth", 0))

        if _marks_stop(attributes):
            stops.append(index)

        # In one, so that doubles are found
        limits.append(read_limits([row for data in attributes.rows("data") for row in data.rows("speedLimits")]))

    return NodeLine(xy=np.array(points), wider_cm=width_difference, stops=stops, limits=limits)


class Trajectory(NamedTuple):
    """The path of a connection, m of the reference point in driving direction, and its lowest limit, m/s; None where it
    has none."""

    xy: F8
    speed: float | None


def read_trajectories(lane: JsonRecord, origin: Origin) -> dict[int, Trajectory]:
    """Return the paths of a lane's connections by their connectionID: the extension of ISO 19091 (addGrpC); others are
    left for the report."""
    trajectories: dict[int, Trajectory] = {}
    for extension in lane.rows("regional"):
        value = extension.values.get("regExtValue")
        if not isinstance(value, JsonRecord) or TRAJECTORY_EXTENSION not in value:
            continue

        extension.get("regExtValue")
        trajectory = value.child(TRAJECTORY_EXTENSION)
        try:
            line = _read_line(trajectory, trajectory.rows("nodes"), origin)
            speeds = [limits[CAR_LIMIT] for limits in line.limits if CAR_LIMIT in limits]
            trajectories[round(trajectory.number("connectionID"))] = Trajectory(line.xy, min(speeds, default=None))
        except CodeError as error:
            trajectory.leave_out(f"left out: {error.findings[0]}")

    return trajectories


def _marks_stop(attributes: JsonRecord) -> bool:
    """Return whether a node is a stop line; other marks are reported."""
    words = attributes.get("localNode") or []
    for word in words:
        if word != "stopLine":
            attributes.unknown("localNode", word, "left out")
    return "stopLine" in words


def computed_line(lane: JsonRecord, lines: dict[int, NodeLine]) -> NodeLine | None:
    """Return the line of a lane that is another's, moved aside; None where it is turned or scaled, or the other one is
    not there."""
    computed = lane.child("nodeList").child("computed")
    base = lines.get(int(computed.number("referenceLaneId", -1)))
    if base is None or any(computed.get(name) for name in ("rotateXY", "scaleXaxis", "scaleYaxis")):
        return None

    shift = [_offset(computed.child(name)) for name in ("offsetXaxis", "offsetYaxis")]
    return base._replace(xy=base.xy + shift)


def _offset(choice: JsonRecord) -> float:
    """Return an offset of a computed lane, m: small or large, in cm."""
    name, _ = choice.one()
    return choice.number(name) / 100


def spans_of(line: NodeLine, ingress: bool, intersection_limits: Limits) -> list[Span]:
    """Return the limits along a lane; `intersection_limits` are those of the intersection."""
    lengths = arc_lengths(line.xy)
    spans: list[Span] = []
    running = intersection_limits

    for index in range(len(lengths) - 1):
        running = running | line.limits[index]
        start, end = float(lengths[index]), float(lengths[index + 1])
        if ingress:
            start, end = float(lengths[-1]) - end, float(lengths[-1]) - start

        if spans and spans[-1].limits == running:
            spans[-1] = Span(min(spans[-1].s_from, start), max(spans[-1].s_to, end), running)
        else:
            spans.append(Span(start, end, running))

    return sorted(spans, key=lambda span: span.s_from)


def stop_of(lane: JsonRecord, line: NodeLine) -> float:
    """Return m along an incoming lane of its stop line; inf: at its end."""
    if len(line.stops) > 1:
        lane.unknown("localNode", f"stopLine at {len(line.stops)} nodes", "the one next to the intersection is taken")
    if not line.stops or line.stops[0] == 0:
        return inf

    lengths = arc_lengths(line.xy)
    return round(float(lengths[-1] - lengths[line.stops[0]]), 2)


def car_speed(raw: RawCode, name: str, spans: list[Span]) -> float:
    """Return the limit of a lane: the highest along it, where parts have lower ones of their own."""
    speeds = [span.limits[CAR_LIMIT] for span in spans if CAR_LIMIT in span.limits]
    if len(speeds) < len(spans):
        raw.losses.add(Loss(what=LossKind.GUESSED, entity=raw.name, detail="no speed limit in the MAP: 50 km/h"))
        speeds.append(DEFAULT_SPEED)
    return max(speeds)


def limit_rules(raw: RawCode, key: str, spans: list[Span]) -> Iterator[Rule]:
    """Yield the rules that limits other than the lane's own speed make."""
    names = dict.fromkeys(name for span in spans for name in span.limits)
    highest_limit = max((span.limits.get(CAR_LIMIT, DEFAULT_SPEED) for span in spans), default=0.0)
    end = spans[-1].s_to

    for name in names:
        for span in _merged_spans([span for span in spans if name in span.limits], name):
            value = span.limits[name]
            target = Target(
                key,
                None if span.s_from <= 0 else round(span.s_from, 2),
                None if span.s_to >= end else round(span.s_to, 2),
            )

            if name == CAR_LIMIT:
                if value < highest_limit:
                    yield Rule(id="", kind="speed_max", targets=(target,), value=value)
            elif (
                "Min" in name
                or value != span.limits.get(CAR_LIMIT)
                or all(other.limits.get(name, value) == value for other in spans)
            ):
                # Else it is how a part of a lane ends such a limit
                yield from limit_rule(raw, name, target, value)


def _merged_spans(spans: list[Span], name: str) -> list[Span]:
    """Return spans with those that follow one another at the same limit made one."""
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1].s_to >= span.s_from - 1e-6 and merged[-1].limits[name] == span.limits[name]:
            merged[-1] = Span(merged[-1].s_from, span.s_to, span.limits)
        else:
            merged.append(span)

    return merged
