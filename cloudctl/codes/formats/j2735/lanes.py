"""Lanes of a J2735 MAP: their line, width, stop line and limits, from the nodes and what stands at each of them.

Nodes are listed from the intersection outwards. The first node of a lane that leads in is its stop line, unless a node further out
is marked `stopLine`. Limits at a node hold from there outwards, until another node changes them.
"""

from collections.abc import Iterator
from math import inf
from typing import NamedTuple

import numpy as np

from cloudctl.geo import Origin

from ...findings import CodeError, Loss
from ...polylines import F8, arc
from ...rule import Rule, Target
from ..importing.accounting import JsonRecord
from ..importing.build import RawCode
from ..messages.limit_rules import limit_rule
from ..messages.speed_limits import CAR, DEFAULT_SPEED, read_limits
from ..messages.tree import DELTAS

TRAJECTORY = "ConnectionTrajectory-addGrpC"
Limits = dict[str, float]  # by type, m/s


class Span(NamedTuple):
    """Limits of a part of a lane, m in driving direction."""

    s_from: float
    s_to: float
    limits: Limits


class NodeLine(NamedTuple):
    """A lane as its nodes give it, in the message's order: m of the reference point, what `dWidth` adds, stop lines, limits at nodes."""

    xy: F8
    wider_cm: int
    stops: list[int]
    limits: list[Limits]


def read_nodes(lane: JsonRecord, origin: Origin) -> NodeLine | None:
    """Return the nodes of a lane; None where it is computed from another. Raises CodeError for what is no list of nodes."""
    choice = lane.child("nodeList")
    if "computed" in choice and "nodes" not in choice:
        return None
    return _read_line(lane, choice.rows("nodes"), origin)


def _read_line(owner: JsonRecord, nodes: list[JsonRecord], origin: Origin) -> NodeLine:
    """Return a line from its nodes: the first from the reference point, each further one from the one before. Raises CodeError."""
    if len(nodes) < 2:
        raise owner.refuse("nodes", f"{len(nodes)} nodes", "a line has two nodes at least", "correct the sender")
    here, xy, stops, limits = np.zeros(2), list[F8](), list[int](), list[Limits]()
    wider = 0
    for k, node in enumerate(nodes):
        name, delta = node.child("delta").one()
        if name not in DELTAS or not isinstance(delta, JsonRecord):
            raise node.refuse("delta", name, f"must be one of {', '.join(DELTAS)}", "correct the sender")
        if name == "node-LatLon":
            here = np.array([float(v) for v in origin.to_local(delta.number("lat") / 1e7, delta.number("long") / 1e7)])
        else:
            here = here + np.array([delta.number("x"), delta.number("y")]) / 100
        xy.append(here)
        attributes = node.child("attributes")
        if k == 0:
            wider = round(attributes.number("dWidth", 0))
        if _marks_stop(attributes):
            stops.append(k)
        limits.append(
            read_limits([row for data in attributes.rows("data") for row in data.rows("speedLimits")])
        )  # in one, so that doubles are found
    return NodeLine(np.array(xy), wider, stops, limits)


class Trajectory(NamedTuple):
    """The path of a connection, m of the reference point in driving direction, and its lowest limit, m/s; None where it has none."""

    xy: F8
    speed: float | None


def read_trajectories(lane: JsonRecord, origin: Origin) -> dict[int, Trajectory]:
    """Return the paths of a lane's connections by their connectionID: the extension of ISO 19091 (addGrpC); others are left for the report."""
    out: dict[int, Trajectory] = {}
    for extension in lane.rows("regional"):
        value = extension.values.get("regExtValue")
        if not isinstance(value, JsonRecord) or TRAJECTORY not in value:
            continue
        extension.get("regExtValue")
        found = value.child(TRAJECTORY)
        try:
            line = _read_line(found, found.rows("nodes"), origin)
            speeds = [limits[CAR] for limits in line.limits if CAR in limits]
            out[round(found.number("connectionID"))] = Trajectory(line.xy, min(speeds, default=None))
        except CodeError as error:
            found.leave_out(f"left out: {error.findings[0]}")
    return out


def _marks_stop(attributes: JsonRecord) -> bool:
    """Return whether a node is a stop line; other marks are reported."""
    words = attributes.get("localNode") or []
    for word in words:
        if word != "stopLine":
            attributes.unknown("localNode", word, "left out")
    return "stopLine" in words


def computed_line(lane: JsonRecord, lines: dict[int, NodeLine]) -> NodeLine | None:
    """Return the line of a lane that is another's, moved aside; None where it is turned or scaled, or the other one is not there."""
    computed = lane.child("nodeList").child("computed")
    base = lines.get(int(computed.number("referenceLaneId", -1)))
    if base is None or any(computed.get(name) for name in ("rotateXY", "scaleXaxis", "scaleYaxis")):
        return None
    aside = [_offset(computed.child(name)) for name in ("offsetXaxis", "offsetYaxis")]
    return base._replace(xy=base.xy + aside)


def _offset(choice: JsonRecord) -> float:
    """Return an offset of a computed lane, m: small or large, in cm."""
    name, _ = choice.one()
    return choice.number(name) / 100


def spans_of(line: NodeLine, ingress: bool, whole: Limits) -> list[Span]:
    """Return the limits along a lane; `whole` are those of the intersection."""
    along = arc(line.xy)
    out: list[Span] = []
    running = whole
    for k in range(len(along) - 1):
        running = running | line.limits[k]
        begin, end = float(along[k]), float(along[k + 1])
        if ingress:
            begin, end = float(along[-1]) - end, float(along[-1]) - begin
        if out and out[-1].limits == running:
            out[-1] = Span(min(out[-1].s_from, begin), max(out[-1].s_to, end), running)
        else:
            out.append(Span(begin, end, running))
    return sorted(out, key=lambda span: span.s_from)


def stop_of(lane: JsonRecord, line: NodeLine) -> float:
    """Return m along an incoming lane of its stop line; inf: at its end."""
    if len(line.stops) > 1:
        lane.unknown("localNode", f"stopLine at {len(line.stops)} nodes", "the one next to the intersection is taken")
    if not line.stops or line.stops[0] == 0:
        return inf
    along = arc(line.xy)
    return round(float(along[-1] - along[line.stops[0]]), 2)


def car_speed(raw: RawCode, name: str, spans: list[Span]) -> float:
    """Return the limit of a lane: the highest along it, where parts have lower ones of their own."""
    speeds = [span.limits[CAR] for span in spans if CAR in span.limits]
    if len(speeds) < len(spans):
        raw.losses.add(Loss("guessed", raw.name, "no speed limit in the MAP: 50 km/h"))
        speeds.append(DEFAULT_SPEED)
    return max(speeds)


def limit_rules(raw: RawCode, key: str, spans: list[Span]) -> Iterator[Rule]:
    """Yield the rules that limits other than the lane's own speed make."""
    names = dict.fromkeys(name for span in spans for name in span.limits)
    fastest = max((span.limits.get(CAR, DEFAULT_SPEED) for span in spans), default=0.0)
    end = spans[-1].s_to
    for name in names:
        for span in _joined([span for span in spans if name in span.limits], name):
            value = span.limits[name]
            place = Target(
                key,
                None if span.s_from <= 0 else round(span.s_from, 2),
                None if span.s_to >= end else round(span.s_to, 2),
            )
            if name == CAR:
                if value < fastest:
                    yield Rule("", "speed_max", (place,), value)
            elif (
                "Min" in name
                or value != span.limits.get(CAR)
                or all(other.limits.get(name, value) == value for other in spans)
            ):
                yield from limit_rule(raw, name, place, value)  # else it is how a part of a lane ends such a limit


def _joined(spans: list[Span], name: str) -> list[Span]:
    """Return spans with those that follow one another at the same limit made one."""
    out: list[Span] = []
    for span in spans:
        if out and out[-1].s_to >= span.s_from - 1e-6 and out[-1].limits[name] == span.limits[name]:
            out[-1] = Span(out[-1].s_from, span.s_to, span.limits)
        else:
            out.append(span)
    return out
