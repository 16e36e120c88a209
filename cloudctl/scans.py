"""The scans of one step for the trackers: the frames of roadside units, then the reports of connected vehicles."""

from typing import Any

import numpy as np

from .faults import Faults
from .fusion import DETECTION, Fusion, update_batch
from .ingest.frames import Frames


class Scans:
    """Scans in order, each for one tracker, given to the trackers by one call."""

    def __init__(self, frames: Frames | None) -> None:
        """`fusions` must get the tracker of each frame, in their order, before any report is added."""
        self.fusions: list[Fusion] = []
        self._frames = frames
        self._reports: list[tuple[float, ...]] = []  # rows of DETECTION

        if frames is None:
            self._times: list[int] = []
            self._sources: list[int] = []
            self._offsets: list[int] = [0]
        else:
            self._times = frames.t.tolist()
            self._sources = frames.sources.tolist()
            self._offsets = frames.offsets.tolist()

    def report(self, fusion: Fusion, t: int, source: int, detection: tuple[float, ...]) -> None:
        """Add a vehicle's own report of `t` ns, a scan of one row."""
        self.fusions.append(fusion)
        self._times.append(t)
        self._sources.append(source)
        self._reports.append(detection)
        self._offsets.append(self._offsets[-1] + 1)

    def fold(self, faults: Faults) -> None:
        """Update the trackers with all scans; where that fails, with each scan alone, without those that fail."""
        if not self.fusions:
            return

        try:
            self._update(0, len(self.fusions))
        except Exception as error:
            faults.note("fuse", "", error)
            for index in range(len(self.fusions)):
                try:
                    self._update(index, index + 1)
                except Exception as error_alone:
                    faults.note("fuse", "", error_alone)

    def _update(self, begin: int, end: int) -> None:
        """Update the trackers with the scans `begin`..`end`."""
        offsets = np.array(self._offsets[begin : end + 1], np.int64)
        rows = self._rows(int(offsets[0]), int(offsets[-1]))
        times = np.array(self._times[begin:end], np.int64)
        sources = np.array(self._sources[begin:end], np.int32)
        update_batch(self.fusions[begin:end], times, sources, rows, offsets - offsets[0])

    def _rows(self, begin: int, end: int) -> Any:
        """Return the rows `begin`..`end`: those of the frames, then the vehicles' own."""
        first_report = self._offsets[-1] - len(self._reports)
        if self._frames is not None and end <= first_report:
            return self._frames.rows[begin:end]  # they need no copy

        rows = np.zeros(end - begin, DETECTION)
        from_frames = max(first_report - begin, 0)
        if self._frames is not None:
            rows[:from_frames] = self._frames.rows[begin : begin + from_frames]

        rows[from_frames:] = self._reports[begin + from_frames - first_report : end - first_report]
        return rows
