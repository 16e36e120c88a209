"""Recordings that tests write and read."""

import os
from pathlib import Path

import pytest

from cloudctl.clock import SECOND, stopwatch
from cloudctl.io.recording.reader import Recorder, Recording
from cloudctl.schema import RawMessage
from cloudctl.settings import RecordingLimits


def fill(recorder: Recorder, first: int, steps: int, size: int = 700) -> None:
    """Record steps of bytes that do not compress."""
    for k in range(first, first + steps):
        recorder.step(1000 + k, [RawMessage("perception", "g", os.urandom(size))], [b'{"n":%d}' % k])


def times(path: Path) -> list[int]:
    return [step.t for step in Recording(path).steps()]


class Stopwatch:
    """The recorder's stopwatch, which a test may put on by some seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        monkeypatch.setattr("cloudctl.io.recording.writer.stopwatch", lambda: stopwatch() + self.ahead)

    def put_on(self, seconds: int) -> None:
        self.ahead += seconds * SECOND


def begun(path: Path, limits: RecordingLimits | None = None) -> Recorder:
    recorder = Recorder(path, limits)
    recorder.meta("config", b"{}")
    return recorder
