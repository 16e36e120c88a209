"""The scans of one step for the trackers: the frames of roadside units, then the reports of connected vehicles."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .faults import Faults
from .fusion import DETECTION, Fusion, update_batch
from .ingest.frames import Frames


class ReportedScan(NamedTuple):
    """A vehicle's own report, a scan of one row."""

    fusion: Fusion
    t: int  # ns
    source: int
    detection: tuple[float, ...]  # a row of DETECTION


class Scans:
    """Scans in order, each for one tracker: one call gives the trackers those of frames, one those of vehicles."""

    def __init__(self, frames: Frames | None) -> None:
        """`fusions` must get the tracker of each frame, in their order."""
        self.fusions: list[Fusion] = []
        self._frames = frames
        self.reports: list[ReportedScan] = []

    def report(self, fusion: Fusion, t: int, source: int, detection: tuple[float, ...]) -> None:
        """Add a vehicle's own report of `t` ns."""
        self.reports.append(ReportedScan(fusion, t, source, detection))

    def fold(self, faults: Faults) -> None:
        """Update the trackers with all scans; where that fails, with each scan alone, without those that fail."""
        if self._frames is not None:
            frames = self._frames
            _fold(self.fusions, frames.t, frames.sources, frames.rows, frames.offsets, faults)

        if self.reports:
            fusions, times, sources, detections = zip(*self.reports, strict=True)
            _fold(
                fusions=fusions,
                times=np.array(times, np.int64),
                sources=np.array(sources, np.int32),
                rows=np.array(list(detections), DETECTION),
                offsets=np.arange(len(fusions) + 1),
                faults=faults,
            )


def _fold(fusions: Sequence[Fusion], times: Any, sources: Any, rows: Any, offsets: Any, faults: Faults) -> None:
    if not fusions:
        return

    try:
        update_batch(fusions, times, sources, rows, offsets)
    except Exception as error:
        faults.note("fuse", "", error)
        for index, fusion in enumerate(fusions):
            own_rows = rows[offsets[index] : offsets[index + 1]]
            try:
                bounds = np.array([0, len(own_rows)], np.int64)
                update_batch([fusion], times[index : index + 1], sources[index : index + 1], own_rows, bounds)
            except Exception as error_alone:
                faults.note("fuse", "", error_alone)
