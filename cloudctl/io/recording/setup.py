"""What a recorded run began with: its configuration and its digital codes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ...codes import IntersectionCode
from ...codes.canon import parse
from ...ownership_messages import AddIntersection
from ...schema import RawMessage
from ...settings import EngineConfig
from ...topics import OPERATOR
from .parts import RecordingError

STANDING_INPUTS = ("add", "neighbour")  # kinds, as they stand in `meta` and as the engine takes them


class RecordedRun(Protocol):
    """A run as either reader gives it: `meta` as its first part begins with it, `fault` of its files."""

    path: Path
    meta: list[tuple[str, bytes]]
    fault: str | None


def setup_of(run: RecordedRun, *, with_added: bool = True) -> tuple[EngineConfig, Sequence[IntersectionCode]]:
    """Return the configuration and the codes that a run began with; `with_added`: also those of intersections that were
    added before a later part of a run began, which is all that is there. Raises RecordingError where it names none, or
    they cannot be read."""
    try:
        config, codes = _setup(run, with_added=with_added)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise RecordingError(
            f"{run.path}: the configuration or a code at the beginning of the run cannot be read ({error}). "
            "Replay another part's copy of the run, or record it anew"
        ) from None

    if config is None:
        raise RecordingError(
            f"{run.path} holds no run that can be replayed. {run.fault or 'Record one with [record] path = ...'}"
        )

    return config, codes


def _setup(run: RecordedRun, *, with_added: bool) -> tuple[EngineConfig | None, Sequence[IntersectionCode]]:
    config, codes = None, []
    for name, data in run.meta:
        if name == "config":
            config = msgspec.json.decode(data, type=EngineConfig)
        elif name == "code":
            # not validated: it was when the run was made, by the rules of that time
            codes.append(parse(data, str(run.path)))
        elif name == "add" and with_added:
            addition = msgspec.json.decode(data, type=AddIntersection)
            codes += [parse(bytes(revision), str(run.path)) for revision in addition.revisions]

    return config, codes


def standing_inputs(meta: Iterable[tuple[str, bytes]]) -> tuple[RawMessage, ...]:
    """Return the inputs that had come before a later part of a run began, and still counted: the intersections that
    were added, with their epochs, and the codes of neighbours. A whole run has them among its steps."""
    return tuple(RawMessage(name, OPERATOR, data) for name, data in meta if name in STANDING_INPUTS)
