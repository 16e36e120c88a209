"""Perception frames: the newest of each source, decoded together, in order of event time. What is refused of them is named row by row."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..fusion import FrameFaults, decode_batch
from ..metrics import Metrics
from ..schema import Perception, RawMessage
from .rejections import RejectedMessage
from .sources import Source

PER_BATCH = 8  # perception frames of one source in one batch; older ones are dropped first


class Pending(NamedTuple):
    """A frame whose header was accepted; `t` is its event time, ns."""

    t: int
    datum: RawMessage
    body: Perception
    source: Source


class Frames(NamedTuple):
    """The perception frames of one batch, decoded, in order of event time."""

    intersections: list[str]
    t: NDArray[np.int64]
    sources: NDArray[np.int32]
    rows: NDArray[Any]
    offsets: NDArray[np.int64]


Refuse = Callable[[Pending, RejectedMessage], None]
Confine = Callable[[Pending, Exception], None]


def newest(pending: list[Pending], metrics: Metrics) -> list[Pending]:
    """Keep the newest PER_BATCH frames of each source, in order of event time."""
    if len(pending) > PER_BATCH:
        seen: dict[int, int] = {}
        kept = []
        for item in reversed(pending):
            n = seen[id(item.source)] = seen.get(id(item.source), 0) + 1
            if n <= PER_BATCH:
                kept.append(item)
            else:
                metrics.count("drop.queue", f"{item.body.rsu}/{item.body.sensor}")
        pending = kept[::-1]
    return sorted(pending, key=lambda item: item.t)


def read_frames(pending: list[Pending], metrics: Metrics, refuse: Refuse, confine: Confine) -> Frames:
    """Decode what is pending. A frame none of whose rows can be used is refused whole: it is no proof that there is nothing to see.

    `refuse(frame, why)` answers for what is wrong with its objects, `confine(frame, error)` takes a fault of the node's own.
    """
    pending, (rows, offsets, faults) = _decoded(pending, confine)
    kept = []
    for k, (item, fault) in enumerate(zip(pending, faults, strict=True)):
        some = bool(offsets[k + 1] > offsets[k])
        if fault is not None:
            _refuse_rows(item, fault, some, metrics, refuse)
        if fault is None or fault.refused == 0 or some:
            metrics.count("accept.perception", item.body.rsu)
            kept.append(k)
    used = [pending[k] for k in kept]
    return Frames(
        [item.source.intersection for item in used],
        np.array([item.t for item in used], np.int64),
        np.array([item.source.index for item in used], np.int32),
        rows,
        offsets[[*kept, len(pending)]],  # a frame that is left out has no rows
    )


def _decoded(pending: list[Pending], confine: Confine) -> tuple[list[Pending], Any]:
    """Decode the objects of frames together; where that fails, each alone, without those that fail."""
    try:
        return pending, _objects(pending)
    except Exception:
        whole = [item for item in pending if _decodes(item, confine)]
        return whole, _objects(whole)


def _decodes(item: Pending, confine: Confine) -> bool:
    try:
        _objects([item])
    except Exception as error:
        confine(item, error)
        return False
    return True


def _objects(pending: list[Pending]) -> Any:
    """Return rows, offsets and faults of the objects of frames, as `decode_batch` does."""
    shifts = np.array([item.source.shift for item in pending]).reshape(-1, 2)
    return decode_batch([bytes(item.body.objects) for item in pending], shifts)


def _refuse_rows(item: Pending, fault: FrameFaults, some: bool, metrics: Metrics, refuse: Refuse) -> None:
    """Count and answer what is wrong with the objects of a frame, of which `some` can be used or none."""
    name = f"{item.body.rsu}/{item.body.sensor}"
    if fault.unmeasured:
        metrics.count("perception.not_available", name, fault.unmeasured)
    if fault.refused > 0:
        metrics.count("reject.row", name, fault.refused)
    if fault.refused and not some:
        metrics.count("reject.perception", item.datum.sender)
    for row, column, value, rule, remedy in fault.first:
        where = f"o[{row}].{column}" if row >= 0 else f"o.{column}"
        shown = "a name that is no class" if column == "class" and value == "nan" else value
        refuse(item, RejectedMessage(where, shown, rule, remedy))
