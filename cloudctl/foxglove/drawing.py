"""Intersections, tracks and signals as Foxglove scenes. Every frame is an intersection's own: m east and north of its
origin."""

from collections.abc import Iterator
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..clock import MS, SECOND
from ..codes import CompiledCode
from ..schema import Advisory, ObjectClass, Severity, SignalState
from ..signals.states import NEVER, Signals
from ..view.scene import scene_of
from ..world import World
from .schemas import (
    ArrowPrimitive,
    Color,
    CubePrimitive,
    Duration,
    GroupState,
    KeyValuePair,
    LinePrimitive,
    Log,
    Pose,
    Quaternion,
    SceneEntity,
    SceneUpdate,
    SignalStates,
    TextPrimitive,
    Time,
    Vector3,
    time_of,
)

# Longer than a plan's period: a track that is gone fades
TRACK_LIFETIME = Duration(sec=0, nsec=500 * MS)
LANE_COLOR = Color(r=0.55, g=0.58, b=0.62, a=0.9)
CONNECTION_COLOR = Color(r=0.4, g=0.44, b=0.5, a=0.5)
CROSSWALK_COLOR = Color(r=0.9, g=0.9, b=0.9, a=0.6)
ZONE_COLOR = Color(r=0.9, g=0.7, b=0.2, a=0.5)
TEXT_COLOR = Color(r=1.0, g=1.0, b=1.0, a=0.9)
LINE_WIDTH = 0.15  # m
BAR_WIDTH = 0.5  # m, of a stop line
BAR_HEIGHT = 0.1  # m above the road, so that it is not hidden in it
LABEL_HEIGHT = 1.0  # m above the road
FONT_SIZE = 1.5  # m
# m
HEIGHTS = {ObjectClass.TRUCK: 3.2, ObjectClass.BUS: 3.2, ObjectClass.PEDESTRIAN: 1.7, ObjectClass.BICYCLE: 1.7}
CAR_HEIGHT = 1.5  # m, of all others
MIN_ARROW_SPEED = 0.5  # m/s: below it no arrow shows a direction
CLASS_COLORS = {
    ObjectClass.CAR: Color(r=0.25, g=0.55, b=0.95),
    ObjectClass.TRUCK: Color(r=0.55, g=0.4, b=0.9),
    ObjectClass.BUS: Color(r=0.15, g=0.7, b=0.7),
    ObjectClass.MOTORCYCLE: Color(r=0.95, g=0.6, b=0.2),
    ObjectClass.BICYCLE: Color(r=0.95, g=0.75, b=0.2),
    ObjectClass.PEDESTRIAN: Color(r=0.95, g=0.35, b=0.5),
}
OTHER_COLOR = Color(r=0.6, g=0.6, b=0.6)
RED, YELLOW, GREEN = Color(r=0.9, g=0.15, b=0.15), Color(r=0.95, g=0.8, b=0.1), Color(r=0.15, g=0.8, b=0.3)
DARK_COLOR = Color(r=0.35, g=0.35, b=0.35)
SIGNAL_COLORS = {
    SignalState.RED: RED,
    SignalState.RED_FLASH: RED,
    SignalState.PRE_MOVEMENT: YELLOW,
    SignalState.GREEN_PERMISSIVE: GREEN,
    SignalState.GREEN_PROTECTED: GREEN,
    SignalState.GREEN_FLASH: GREEN,
    SignalState.YELLOW_PERMISSIVE: YELLOW,
    SignalState.YELLOW_PROTECTED: YELLOW,
    SignalState.YELLOW_FLASH: YELLOW,
}
LOG_LEVELS = {Severity.ACT_NOW: 4, Severity.SOON: 3, Severity.INFORMATION: 2}
STRIP, LOOP = 0, 1
MILLIMETRE = 3  # digits of a metre
TURN_DIGITS = 5  # of a quaternion: 0.001 degrees


def map_scene(code: CompiledCode, time_ns: int) -> SceneUpdate:
    """Return the drawing of a code at `time_ns`: lanes, connections, stop lines, crosswalks, zones."""
    drawing = scene_of(code, index=0)
    frame = code.code.id
    entities = []

    for name, rows, color in (
        ("lane", drawing["lanes"], LANE_COLOR),
        ("connection", drawing["connections"], CONNECTION_COLOR),
    ):
        for row in rows:
            facts = {key: row[key] for key in ("use", "role", "width", "speed", "turn") if key in row}
            line = _line(_points(row["xy"]), color)
            entities.append(_entity(frame, f"{name} {row['id']}", time_ns, facts, lines=(line,)))

    for row in drawing["crosswalks"]:
        line = _line(_points(row["xy"]), CROSSWALK_COLOR, LOOP)
        entities.append(_entity(frame, f"crosswalk {row['id']}", time_ns, {"width": row["width"]}, lines=(line,)))

    for row in drawing["zones"]:
        line = _line(_points(row["xy"]), ZONE_COLOR, LOOP)
        entities.append(_entity(frame, f"zone {row['id']}", time_ns, {"kind": row["kind"]}, lines=(line,)))

    return SceneUpdate((), tuple(entities))


class TrackDrawing(NamedTuple):
    """What is drawn of one track: numbers rounded to MILLIMETRE, for a message is text."""

    x: float
    y: float
    heading: Quaternion
    course: Quaternion  # of its velocity
    speed: float
    length: float
    width: float
    height: float
    existence: float
    number: int
    object_class: ObjectClass
    vehicle: str | None


def tracks_scene(world: World) -> SceneUpdate:
    """Return the tracks of a world as boxes, with an arrow where they go and their facts."""
    stamp, frame = time_of(world.t), world.code.code.id
    return SceneUpdate((), tuple(_track(stamp, frame, drawing) for drawing in _drawings(world)))


def _drawings(world: World) -> Iterator[TrackDrawing]:
    tracks = world.tracks
    rounded = {
        name: np.round(tracks[name].astype(np.float64), MILLIMETRE).tolist()
        for name in ("x", "y", "length", "width", "height", "existence")
    }
    vx, vy = tracks["vx"].astype(np.float64), tracks["vy"].astype(np.float64)

    columns = (
        rounded["x"],
        rounded["y"],
        _turns(np.nan_to_num(tracks["heading"].astype(np.float64))),
        _turns(np.arctan2(vy, vx)),
        np.round(np.hypot(vx, vy), MILLIMETRE).tolist(),
        rounded["length"],
        rounded["width"],
        rounded["height"],
        rounded["existence"],
        tracks["id"].tolist(),
        map(ObjectClass, tracks["class"].tolist()),
        (world.vehicles[vehicle].id if vehicle >= 0 else None for vehicle in world.report.tolist()),
    )

    return map(TrackDrawing._make, zip(*columns, strict=True))


def _turns(angles: NDArray[np.float64]) -> list[Quaternion]:
    """Return rotations about the vertical axis."""
    sines, cosines = np.round(np.sin(angles / 2), TURN_DIGITS), np.round(np.cos(angles / 2), TURN_DIGITS)
    return [Quaternion(x=0.0, y=0.0, z=z, w=cosine) for z, cosine in zip(sines.tolist(), cosines.tolist(), strict=True)]


def _track(stamp: Time, frame: str, drawing: TrackDrawing) -> SceneEntity:
    kind = drawing.object_class
    height = HEIGHTS.get(kind, CAR_HEIGHT) if isnan(drawing.height) else drawing.height
    color = CLASS_COLORS.get(kind, OTHER_COLOR)
    box = CubePrimitive(
        Pose(Vector3(drawing.x, drawing.y, height / 2), drawing.heading),
        Vector3(_size(drawing.length), _size(drawing.width), height),
        Color(r=color.r, g=color.g, b=color.b, a=round(0.35 + 0.6 * drawing.existence, 2)),
    )

    arrows: tuple[ArrowPrimitive, ...] = ()
    if drawing.speed >= MIN_ARROW_SPEED:
        pose = Pose(Vector3(drawing.x, drawing.y, height), drawing.course)
        arrows = (
            ArrowPrimitive(
                pose=pose,
                shaft_length=drawing.speed,
                shaft_diameter=0.2,
                head_length=0.6,
                head_diameter=0.5,
                color=color,
            ),
        )

    facts = [
        KeyValuePair("class", kind.name.lower()),
        KeyValuePair("speed", f"{drawing.speed:.1f} m/s"),
        KeyValuePair("existence", f"{drawing.existence:.2f}"),
    ]
    if drawing.vehicle is not None:
        facts.append(KeyValuePair("vehicle", drawing.vehicle))
    return SceneEntity(
        timestamp=stamp,
        frame_id=frame,
        id=f"track {drawing.number}",
        lifetime=TRACK_LIFETIME,
        metadata=tuple(facts),
        cubes=(box,),
        arrows=arrows,
    )


class StopBar(NamedTuple):
    """The stop line of a lane, and the signal groups (by index) of the movements from it."""

    lane: str
    left: Vector3
    right: Vector3
    groups: tuple[int, ...]


def stop_bars(code: CompiledCode) -> list[StopBar]:
    """Return the stop lines of a code that signals hold."""
    drawing = scene_of(code, index=0)
    groups_of: dict[int, dict[int, None]] = {}

    for connection in drawing["connections"]:
        if connection["group"] >= 0 and connection["inner"]:
            groups_of.setdefault(connection["from"], {})[connection["group"]] = None

    bars = []
    for lane, groups in groups_of.items():
        line = drawing["lanes"][lane]["stop"]
        if line is not None:
            left, right = Vector3(line[0], line[1], BAR_HEIGHT), Vector3(line[2], line[3], BAR_HEIGHT)
            bars.append(StopBar(lane=drawing["lanes"][lane]["id"], left=left, right=right, groups=tuple(groups)))

    return bars


def signals_scene(world: World, shown: Signals, bars: list[StopBar]) -> SceneUpdate:
    """Return the stop lines in the colours of their signal groups, with s to the end of the state where it may be
    believed; a lane whose movements have several groups has the colours one after the other."""
    stamp, frame = time_of(world.t), world.code.code.id
    entities = []

    for bar in bars:
        share = 1.0 / len(bar.groups)
        lines, words = [], []

        for slot, group in enumerate(bar.groups):
            ends = tuple(_between(bar.left, bar.right, (slot + side) * share) for side in (0, 1))
            lines.append(_line(ends, _signal_color(shown, group), STRIP, BAR_WIDTH))
            seconds = _seconds(world.t, int(world.signals.likely_end[group]))
            words.append("" if seconds is None else f"{seconds:.0f}")

        label = " ".join(words).strip()
        pose = Pose(Vector3(bar.left.x, bar.left.y, LABEL_HEIGHT))
        text = TextPrimitive(
            pose=pose, billboard=True, font_size=FONT_SIZE, scale_invariant=False, color=TEXT_COLOR, text=label
        )

        entities.append(
            SceneEntity(
                timestamp=stamp,
                frame_id=frame,
                id=f"stop line {bar.lane}",
                lines=tuple(lines),
                texts=(text,) if label else (),
            )
        )

    return SceneUpdate((), tuple(entities))


def signal_states(world: World, shown: Signals) -> SignalStates:
    """Return the signal groups as they are displayed, their ends as far as they may be believed."""
    believed = world.signals
    return SignalStates(
        timestamp=time_of(world.t),
        intersection=world.code.code.id,
        revision=world.code.code.revision,
        groups=tuple(
            GroupState(
                group=int(group),
                state=SignalState(int(shown.state[index])).name,
                min_end=_seconds(world.t, int(believed.min_end[index])),
                max_end=_seconds(world.t, int(believed.max_end[index])),
                likely_end=_seconds(world.t, int(believed.likely_end[index])),
            )
            for index, group in enumerate(world.code.group_ids)
        ),
    )


def log_line(advisory: Advisory) -> Log:
    """Return an advisory as a line of a log: its level by its severity."""
    return Log(
        timestamp=time_of(advisory.t),
        level=LOG_LEVELS[Severity(advisory.severity)] if advisory.severity in tuple(Severity) else 2,
        message=f"{advisory.kind}: {advisory.reason} [{advisory.target}, until {advisory.valid_until}]",
        name=advisory.target,
        file=advisory.id,
    )


def _entity(
    frame: str, name: str, time_ns: int, facts: dict[str, Any], lines: tuple[LinePrimitive, ...]
) -> SceneEntity:
    metadata = tuple(KeyValuePair(key, str(value)) for key, value in facts.items())
    return SceneEntity(timestamp=time_of(time_ns), frame_id=frame, id=name, metadata=metadata, lines=lines)


def _points(flat: list[float]) -> tuple[Vector3, ...]:
    return tuple(Vector3(x, y) for x, y in zip(flat[::2], flat[1::2], strict=True))


def _line(points: tuple[Vector3, ...], color: Color, kind: int = STRIP, width: float = LINE_WIDTH) -> LinePrimitive:
    return LinePrimitive(type=kind, pose=Pose(), thickness=width, scale_invariant=False, points=points, color=color)


def _between(left: Vector3, right: Vector3, share: float) -> Vector3:
    return Vector3(left.x + (right.x - left.x) * share, left.y + (right.y - left.y) * share, left.z)


def _size(value: float) -> float:
    return 0.5 if isnan(value) else value


def _signal_color(signals: Signals, group: int) -> Color:
    return SIGNAL_COLORS.get(SignalState(int(signals.state[group])), DARK_COLOR)


def _seconds(time_ns: int, time: int) -> float | None:
    """Return s from `time_ns` to a time, None where that is not known."""
    return None if time == NEVER else round((time - time_ns) / SECOND, 3)
