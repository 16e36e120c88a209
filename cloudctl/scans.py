"""What one step has for the trackers: the frames of roadside units, then the reports of connected vehicles."""

from typing import Any

import numpy as np

from .faults import Faults
from .fusion import DETECTION, Fusion, update_batch
from .ingest.frames import Frames


class Scans:
    """Scans in order, each for one tracker; folded in by one call."""

    def __init__(self, frames: Frames | None) -> None:
        self.fusions: list[Fusion] = []
        self._frames = frames
        self._times: list[int] = [] if frames is None else frames.t.tolist()
        self._sources: list[int] = [] if frames is None else frames.sources.tolist()
        self._offsets: list[int] = [0] if frames is None else frames.offsets.tolist()
        self._reports: list[tuple[float, ...]] = []

    def report(self, fusion: Fusion, t: int, source: int, detection: tuple[float, ...]) -> None:
        """Add what a vehicle said of itself at `t` ns, after the frames' trackers are in `fusions`."""
        self.fusions.append(fusion)
        self._times.append(t)
        self._sources.append(source)
        self._reports.append(detection)
        self._offsets.append(self._offsets[-1] + 1)

    def fold(self, faults: Faults) -> None:
        """Fold all in; where that fails, each alone, without those that fail."""
        if not self.fusions:
            return
        try:
            self._fold(0, len(self.fusions))
        except Exception as error:
            faults.note("fuse", "", error)
            for k in range(len(self.fusions)):
                try:
                    self._fold(k, k + 1)
                except Exception as alone:
                    faults.note("fuse", "", alone)

    def _fold(self, begin: int, end: int) -> None:
        offsets = np.array(self._offsets[begin : end + 1], np.int64)
        times = np.array(self._times[begin:end], np.int64)
        sources = np.array(self._sources[begin:end], np.int32)
        update_batch(
            self.fusions[begin:end], times, sources, self._rows(int(offsets[0]), int(offsets[-1])), offsets - offsets[0]
        )

    def _rows(self, begin: int, end: int) -> Any:
        """Return the rows `begin`..`end`, the vehicles' own after the frames'."""
        first = self._offsets[-1] - len(self._reports)
        rows = np.zeros(end - begin, DETECTION)
        if self._frames is not None and begin < first:
            rows[: min(end, first) - begin] = self._frames.rows[begin : min(end, first)]
        for k in range(max(begin, first), end):
            rows[k - begin] = self._reports[k - first]
        return rows
