"""The Foxglove schemas that are used, as structures, and their JSON Schema. Names and meaning of the fields:
https://docs.foxglove.dev/docs/visualization/message-schemas.

Positions are m in the frame that is named, angles quaternions, colours 0..1. A message of a known name in JSON is shown
by every viewer of the schemas; the JSON Schema in the file is for those that do not know the name.
"""

import types
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from ..clock import SECOND

ENCODING = "json"
SCHEMA_ENCODING = "jsonschema"


class Time(Struct, frozen=True, gc=False):
    """A time, since 1970."""

    sec: int
    nsec: int


class Duration(Struct, frozen=True, gc=False):
    """A length of time."""

    sec: int
    nsec: int


class Vector3(Struct, frozen=True, gc=False):
    """A vector or a point, m."""

    x: float
    y: float
    z: float = 0.0


class Quaternion(Struct, frozen=True, gc=False):
    """A rotation."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0


class Pose(Struct, frozen=True, gc=False):
    """A place and a rotation."""

    position: Vector3 = Vector3(x=0.0, y=0.0)
    orientation: Quaternion = Quaternion()


class Color(Struct, frozen=True, gc=False):
    """A colour."""

    r: float
    g: float
    b: float
    a: float = 1.0


class KeyValuePair(Struct, frozen=True, gc=False):
    """One line of what a viewer shows of an entity that is clicked."""

    key: str
    value: str


class ArrowPrimitive(Struct, frozen=True):
    """An arrow along x of its pose."""

    pose: Pose
    shaft_length: float
    shaft_diameter: float
    head_length: float
    head_diameter: float
    color: Color


class CubePrimitive(Struct, frozen=True):
    """A box around its pose."""

    pose: Pose
    size: Vector3
    color: Color


class LinePrimitive(Struct, frozen=True):
    """A line through points: 0 a strip, 1 a loop, 2 pairs."""

    type: int
    pose: Pose
    thickness: float
    scale_invariant: bool
    points: tuple[Vector3, ...]
    color: Color
    colors: tuple[Color, ...] = ()
    indices: tuple[int, ...] = ()


class TextPrimitive(Struct, frozen=True):
    """A text at its pose; `billboard`: it faces the camera."""

    pose: Pose
    billboard: bool
    font_size: float
    scale_invariant: bool
    color: Color
    text: str


class Undrawn(Struct, frozen=True):
    """A shape that is never drawn; the field for it is part of an entity."""


class SceneEntity(Struct, frozen=True, kw_only=True):
    """Something drawn: it replaces the entity of the same id, and goes after its lifetime (0: stays)."""

    timestamp: Time
    frame_id: str
    id: str
    lifetime: Duration = Duration(sec=0, nsec=0)
    frame_locked: bool = True
    metadata: tuple[KeyValuePair, ...] = ()
    arrows: tuple[ArrowPrimitive, ...] = ()
    cubes: tuple[CubePrimitive, ...] = ()
    spheres: tuple[Undrawn, ...] = ()
    cylinders: tuple[Undrawn, ...] = ()
    lines: tuple[LinePrimitive, ...] = ()
    triangles: tuple[Undrawn, ...] = ()
    texts: tuple[TextPrimitive, ...] = ()
    models: tuple[Undrawn, ...] = ()


class SceneEntityDeletion(Struct, frozen=True):
    """An entity goes: 0 the one of that id, 1 all."""

    timestamp: Time
    type: int
    id: str


class SceneUpdate(Struct, frozen=True):
    """Changes of what is drawn."""

    deletions: tuple[SceneEntityDeletion, ...]
    entities: tuple[SceneEntity, ...]


class FrameTransform(Struct, frozen=True):
    """Where a frame stands in another."""

    timestamp: Time
    parent_frame_id: str
    child_frame_id: str
    translation: Vector3
    rotation: Quaternion = Quaternion()


class LocationFix(Struct, frozen=True):
    """A place on the earth, degrees and m."""

    timestamp: Time
    frame_id: str
    latitude: float
    longitude: float
    altitude: float = 0.0
    position_covariance: tuple[float, ...] = (0.0,) * 9
    position_covariance_type: int = 0  # not known


class Log(Struct, frozen=True):
    """A line of a log: level 2 information, 3 warning, 4 error."""

    timestamp: Time
    level: int
    message: str
    name: str
    file: str = ""
    line: int = 0


class GeoJSON(Struct, frozen=True):
    """Shapes for a map, as text."""

    geojson: str


class GroupState(Struct, frozen=True, omit_defaults=True):
    """One signal group: its state, and s until its end as far as it may be believed; what is not known is left out."""

    group: int
    state: str
    min_end: float | None = None
    max_end: float | None = None
    likely_end: float | None = None


class SignalStates(Struct, frozen=True):
    """The signal groups of an intersection: a schema of our own, for plots and tables."""

    timestamp: Time
    intersection: str
    revision: int
    groups: tuple[GroupState, ...]


NAMES: dict[type, str] = {
    SceneUpdate: "foxglove.SceneUpdate",
    FrameTransform: "foxglove.FrameTransform",
    LocationFix: "foxglove.LocationFix",
    Log: "foxglove.Log",
    GeoJSON: "foxglove.GeoJSON",
    SignalStates: "cloudctl.SignalStates",
}
TITLES: dict[type, str] = {Time: "time", Duration: "duration"}
SIMPLE: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
}
encode = msgspec.json.Encoder().encode


def time_of(time_ns: int) -> Time:
    """Return a time of ns."""
    return Time(time_ns // SECOND, time_ns % SECOND)


@cache
def json_schema(body: type) -> bytes:
    """Return the JSON Schema of a message, without references: viewers do not follow them."""
    return msgspec.json.encode({"title": NAMES[body], **_schema_of(body)})


def _schema_of(kind: Any) -> dict[str, Any]:
    if kind in SIMPLE:
        return SIMPLE[kind]

    origin = get_origin(kind)
    if origin is tuple:
        return {"type": "array", "items": _schema_of(get_args(kind)[0])}

    if origin in (Union, types.UnionType):
        (inner,) = [part for part in get_args(kind) if part is not type(None)]
        # One that is left out where it is None: viewers know no "or null"
        return _schema_of(inner)

    properties = {name: _schema_of(hint) for name, hint in get_type_hints(kind).items()}
    # the title is how the schemas mark a time: any other object has none
    title = {"title": TITLES[kind]} if kind in TITLES else {}
    return {"type": "object", **title, "properties": properties}
