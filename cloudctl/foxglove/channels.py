"""What is made of each step, channel by channel: `ViewChannels.messages` after every step of the engine.

Each intersection has its own channels, `foxglove/<id>/...`: those that stay as they are (its place, its drawing) once
and when its code changes, the others with every plan. Only what a viewer or the recording wants is made.
"""

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import NamedTuple

from ..clock import MS, SECOND
from ..codes import CompiledCode
from ..codes.formats.geojson import write_geojson
from ..engine import Engine, Output
from ..geo import Origin
from ..intersection import IntersectionState
from ..io.recording.container import ChannelKind, MessageSchema
from .drawing import StopBar, log_line, map_scene, signal_states, signals_scene, stop_bars, tracks_scene
from .schemas import (
    ENCODING,
    NAMES,
    SCHEMA_ENCODING,
    FrameTransform,
    GeoJSON,
    LocationFix,
    Log,
    SceneUpdate,
    SignalStates,
    Vector3,
    encode,
    json_schema,
    time_of,
)

ROOT = "foxglove"
ROOT_FRAME = "world"  # that every intersection's frame stands in
SIGNAL_INTERVAL = 500 * MS  # between two messages of signals that show the same
# Between two messages of what stays as it is: a reader may begin anywhere
RENEW_INTERVAL = 60 * SECOND


class Leaf(StrEnum):
    """The channels of one intersection."""

    FRAME = "frame"
    LOCATION = "location"
    GEOJSON = "geojson"
    MAP = "map"
    TRACKS = "tracks"
    SIGNALS = "signals"
    SIGNAL_STATES = "signal_states"
    ADVISORIES = "advisories"


BODIES: dict[Leaf, type] = {
    Leaf.FRAME: FrameTransform,
    Leaf.LOCATION: LocationFix,
    Leaf.GEOJSON: GeoJSON,
    Leaf.MAP: SceneUpdate,
    Leaf.TRACKS: SceneUpdate,
    Leaf.SIGNALS: SceneUpdate,
    Leaf.SIGNAL_STATES: SignalStates,
    Leaf.ADVISORIES: Log,
}
STANDING = (Leaf.FRAME, Leaf.LOCATION, Leaf.GEOJSON, Leaf.MAP)


class ViewMessage(NamedTuple):
    """One message for viewers; `t` is ns of what it shows."""

    kind: ChannelKind
    t: int
    data: bytes


def is_line(topic: str) -> bool:
    """Return whether a topic's messages are lines of a log: each counts, where others are replaced by the next."""
    return topic.endswith(f"/{Leaf.ADVISORIES}")


def topic_of(intersection: str, leaf: Leaf) -> str:
    """Return the topic of a channel."""
    return f"{ROOT}/{intersection}/{leaf}"


def kind_of(intersection: str, leaf: Leaf) -> ChannelKind:
    """Return what a channel is."""
    body = BODIES[leaf]
    schema = MessageSchema(NAMES[body], SCHEMA_ENCODING, json_schema(body))
    return ChannelKind(topic_of(intersection, leaf), ENCODING, schema)


class ViewChannels:
    """The channels of one engine. `kinds` are those of the intersections that it has now."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kinds: dict[tuple[str, Leaf], ChannelKind] = {}
        # revision and time of what stays, as it was last made
        self._standing: dict[str, tuple[int, int]] = {}
        self._signals: dict[str, tuple[bytes, int]] = {}  # states and time of the signals last made
        self._bars: dict[str, tuple[int, list[StopBar]]] = {}  # stop lines, of a revision

    @property
    def kinds(self) -> list[ChannelKind]:
        """Return every channel."""
        return [self._kind(name, leaf) for name in self._engine.intersections for leaf in Leaf]

    def renew(self) -> None:
        """Make what stays as it is again with the next step: a new file begins, or a viewer connects."""
        self._standing.clear()
        self._signals.clear()

    def standing(self, time_ns: int, wanted: Callable[[str], bool]) -> Iterator[ViewMessage]:
        """Yield, at `time_ns`, what stays as it is of every intersection and is wanted."""
        # Read on later, when others may be served
        for intersection in list(self._engine.intersections.values()):
            yield from self._of_code(time_ns, intersection, wanted)

    def messages(self, time_ns: int, output: Output, wanted: Callable[[str], bool]) -> Iterator[ViewMessage]:
        """Yield what a step at `time_ns` has shown, of the topics that are wanted."""
        for intersection in output.planned:
            name = intersection.code.code.id
            if self._is_due(time_ns, intersection) and any(wanted(topic_of(name, leaf)) for leaf in STANDING):
                self._standing[name] = (intersection.code.code.revision, time_ns)
                yield from self._of_code(time_ns, intersection, wanted)
            yield from self._of_plan(name, intersection, wanted)

        for advisory in output.advisories:
            kind = self._kind(advisory.intersection, Leaf.ADVISORIES)
            if wanted(kind.topic):
                yield ViewMessage(kind, advisory.t, encode(log_line(advisory)))

    def _is_due(self, time_ns: int, intersection: IntersectionState) -> bool:
        """Return whether what stays as it is has to be made again."""
        standing = self._standing.get(intersection.code.code.id)
        if standing is None or standing[0] != intersection.code.code.revision:
            return True
        return not 0 <= time_ns - standing[1] < RENEW_INTERVAL

    def _of_code(
        self, time_ns: int, intersection: IntersectionState, wanted: Callable[[str], bool]
    ) -> Iterator[ViewMessage]:
        code = intersection.code
        name, origin = code.code.id, code.origin

        for leaf in STANDING:
            kind = self._kind(name, leaf)
            if not wanted(kind.topic):
                continue

            if leaf is Leaf.FRAME:
                body: object = FrameTransform(
                    timestamp=time_of(time_ns),
                    parent_frame_id=ROOT_FRAME,
                    child_frame_id=name,
                    translation=self._offset(origin),
                )
            elif leaf is Leaf.LOCATION:
                body = LocationFix(timestamp=time_of(time_ns), frame_id=name, latitude=origin.lat, longitude=origin.lon)
            elif leaf is Leaf.GEOJSON:
                body = GeoJSON(write_geojson(code.code).decode())
            else:
                body = map_scene(code, time_ns)

            yield ViewMessage(kind, time_ns, encode(body))

    def _of_plan(
        self, name: str, intersection: IntersectionState, wanted: Callable[[str], bool]
    ) -> Iterator[ViewMessage]:
        world = intersection.latest
        if world is None:
            return

        tracks = self._kind(name, Leaf.TRACKS)
        if wanted(tracks.topic):
            yield ViewMessage(tracks, world.t, encode(tracks_scene(world)))

        signals = intersection.signals
        states = signals.state.tobytes()
        last, last_t = self._signals.get(name, (b"", -SIGNAL_INTERVAL))
        if states == last and 0 <= world.t - last_t < SIGNAL_INTERVAL:
            return

        self._signals[name] = (states, world.t)
        kind = self._kind(name, Leaf.SIGNALS)
        if wanted(kind.topic):
            yield ViewMessage(kind, world.t, encode(signals_scene(world, signals, self._bars_of(world.code))))
        kind = self._kind(name, Leaf.SIGNAL_STATES)
        if wanted(kind.topic):
            yield ViewMessage(kind, world.t, encode(signal_states(world, signals)))

    def _bars_of(self, code: CompiledCode) -> list[StopBar]:
        bars = self._bars.get(code.code.id)
        if bars is None or bars[0] != code.code.revision:
            bars = self._bars[code.code.id] = (code.code.revision, stop_bars(code))
        return bars[1]

    def _offset(self, origin: Origin) -> Vector3:
        """Return where an intersection is in the root frame: that of the first intersection, by its axes."""
        root = next(iter(self._engine.intersections.values())).code.origin
        east, north = root.to_local(origin.lat, origin.lon)
        return Vector3(float(east), float(north))

    def _kind(self, name: str, leaf: Leaf) -> ChannelKind:
        kind = self._kinds.get((name, leaf))
        if kind is None:
            kind = self._kinds[name, leaf] = kind_of(name, leaf)
        return kind
