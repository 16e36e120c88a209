"""What a recorded run began with: its configuration and its digital codes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ...codes import IntersectionCode
from ...codes.canon import parse
from ...ownership_messages import AddIntersection
from ...settings import EngineConfig
from .parts import RecordingError


class RecordedRun(Protocol):
    """A run as either reader gives it: `meta` as its first part begins with it, `fault` of its files."""

    path: Path
    meta: list[tuple[str, bytes]]
    fault: str | None


def setup_of(run: RecordedRun) -> tuple[EngineConfig, Sequence[IntersectionCode]]:
    """Return the configuration and the codes that a run began with. Raises RecordingError where it names none, or they
    cannot be read."""
    try:
        config, codes = _setup(run)
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


def _setup(run: RecordedRun) -> tuple[EngineConfig | None, Sequence[IntersectionCode]]:
    config, codes = None, []
    for name, data in run.meta:
        if name == "config":
            config = msgspec.json.decode(data, type=EngineConfig)
        elif name == "code":
            # not validated: it was when the run was made, by the rules of that time
            codes.append(parse(data, str(run.path)))
        elif name == "add":
            addition = msgspec.json.decode(data, type=AddIntersection)
            codes += [parse(bytes(revision), str(run.path)) for revision in addition.revisions]

    return config, codes
