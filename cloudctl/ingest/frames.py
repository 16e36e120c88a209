"""Perception frames, decoded together, in order of event time. Each refused object is named by its row."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from .. import _core
from ..fusion import FrameFaults, decode_batch
from ..metrics import Metrics
from ..schema import MAX_BODY, RawMessage
from ..topics import TOPICS
from .gateways import Gateway
from .rejections import MAX_FUTURE, RejectedMessage
from .sources import Source

PERCEPTION_AGE = TOPICS["perception"].max_age


class Route(NamedTuple):
    """Where the frames of a sensor come from: authorised once, then known by the bytes that name them."""

    gateway: Gateway
    source: Source
    rsu: str
    sensor: str

    @property
    def name(self) -> str:
        return f"{self.rsu}/{self.sensor}"


class Pending(Struct, frozen=True):
    """A frame whose header was accepted; `t` is its event time, ns."""

    t: int
    seq: int
    route: Route
    shift: tuple[float, float]  # m (east, north) of its origin, which the next frame may replace
    objects: bytes
    raw: RawMessage


class Routes:
    """The routes of a node's sensors.

    A sender can add no more than two entries for each of its sources: `frame_identity` knows one way to write a header,
    with its last field or without.
    """

    def __init__(self) -> None:
        self._by_identity: dict[tuple[str, bytes], Route] = {}  # by sender, and the bytes that name unit and sensor
        self._by_name: dict[tuple[str, str, str], Route] = {}  # by sender, unit and sensor

    def __len__(self) -> int:
        """Return how many ways to name a sensor are known."""
        return len(self._by_identity)

    def clear(self) -> None:
        """Forget every route: the authorisation of gateways has changed."""
        self._by_identity.clear()
        self._by_name.clear()

    def of(self, sender: str, rsu: str, sensor: str) -> Route | None:
        """Return the route of a sender's sensor; None where it was not authorised yet."""
        return self._by_name.get((sender, rsu, sensor))

    def add(self, sender: str, route: Route) -> None:
        """Keep a route that was authorised."""
        self._by_name[sender, route.rsu, route.sensor] = route

    def recognise(self, raw: RawMessage, route: Route) -> None:
        """Know the frames that begin as an accepted one of this route does."""
        identity = _core.frame_identity(raw.body)
        if identity is not None:
            self._by_identity[raw.sender, identity] = route

    def take_frames(self, t_rx: int, messages: Sequence[RawMessage], begin: int, pending: list[Pending]) -> int:
        """Accept the frames from one message on that go on from the ones before, as nearly all do; return the index of
        the first message that is another: it must be read in full, and nothing of it has changed."""
        return _core.next_frames(
            messages, begin, self._by_identity, Pending, pending, t_rx, PERCEPTION_AGE, MAX_FUTURE, MAX_BODY
        )


class Frames(NamedTuple):
    """The perception frames of one batch, decoded, in order of event time."""

    intersections: list[str]
    t: NDArray[np.int64]
    sources: NDArray[np.int32]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]  # of each frame's first row, and the number of rows at the end


Refuse = Callable[[Pending, RejectedMessage], None]
Confine = Callable[[Pending, Exception], None]


def read_frames(pending: list[Pending], metrics: Metrics, refuse: Refuse, confine: Confine) -> Frames:
    """Return frames with their objects decoded.

    A frame without any usable object is refused whole: it does not prove that there is nothing to see.
    `refuse(frame, rejection)` is called for what is wrong with its objects, `confine(frame, error)` for a fault of the
    node's own.
    """
    pending, (rows, offsets, faults) = _decoded(pending, confine)
    accepted = list(range(len(pending)))
    if any(faults):
        accepted = []
        for index, (frame, fault) in enumerate(zip(pending, faults, strict=True)):
            has_rows = bool(offsets[index + 1] > offsets[index])
            if fault is not None:
                _refuse_rows(frame, fault, has_rows, metrics, refuse)
            if fault is None or fault.refused == 0 or has_rows:
                accepted.append(index)

    frames = pending if len(accepted) == len(pending) else [pending[index] for index in accepted]
    metrics.count_each("accept.perception", [frame.route.rsu for frame in frames])

    return Frames(
        intersections=[frame.route.source.intersection for frame in frames],
        t=np.array([frame.t for frame in frames], np.int64),
        sources=np.array([frame.route.source.index for frame in frames], np.int32),
        rows=rows,
        offsets=offsets[[*accepted, len(pending)]],  # a frame that is left out has no rows
    )


def _decoded(pending: list[Pending], confine: Confine) -> tuple[list[Pending], Any]:
    """Return frames and their decoded objects; where decoding fails, each is tried alone and those that fail are left
    out."""
    try:
        return pending, _objects(pending)
    except Exception:
        decodable = [frame for frame in pending if _decodes(frame, confine)]
        return decodable, _objects(decodable)


def _decodes(frame: Pending, confine: Confine) -> bool:
    try:
        _objects([frame])
    except Exception as error:
        confine(frame, error)
        return False
    return True


def _objects(pending: list[Pending]) -> Any:
    """Return rows, offsets and faults of the objects of frames, as `decode_batch` does."""
    shifts = np.array([frame.shift for frame in pending]).reshape(-1, 2)
    return decode_batch([frame.objects for frame in pending], shifts)


def _refuse_rows(frame: Pending, fault: FrameFaults, has_rows: bool, metrics: Metrics, refuse: Refuse) -> None:
    """Count and refuse what is wrong with the objects of a frame; `has_rows`: some of them are usable."""
    name = frame.route.name
    if fault.unmeasured:
        metrics.count("perception.not_available", name, fault.unmeasured)

    if fault.refused > 0:
        metrics.count("reject.row", name, fault.refused)

    if fault.refused and not has_rows:
        metrics.count("reject.perception", frame.raw.sender)

    for row, column, value, rule, remedy in fault.first:
        field = f"o[{row}].{column}" if row >= 0 else f"o.{column}"
        # the decoder makes a class of a name, and NaN where it is none
        if column == "class" and value == "nan":
            value = "a name that is no class"
        refuse(frame, RejectedMessage(field, value, rule, remedy))
