"""Perception frames: each intersection they are of gets a scan for its tracker, and a plan."""

from collections.abc import Mapping

from ..ingest.frames import Frames
from ..ingest.sources import Sources
from ..intersection import IntersectionState
from ..scans import Scans
from ..scheduling import PlanScheduler


class PerceptionHandler:
    """Assigns the frames of a batch to the intersections they are of."""

    def __init__(
        self, *, intersections: Mapping[str, IntersectionState], sources: Sources, scheduler: PlanScheduler
    ) -> None:
        self._intersections = intersections
        self._sources = sources
        self._scheduler = scheduler

    def handle(self, t: int, frames: Frames | None, scans: Scans) -> list[IntersectionState]:
        """Take in the frames received at `t` ns: `scans` gets the tracker of each. Return the intersections that had
        one."""
        if frames is None:
            return []

        with_frames: dict[str, IntersectionState] = {}
        times, indexes = frames.t.tolist(), frames.sources.tolist()
        for name, t_sensed, source_index in zip(frames.intersections, times, indexes, strict=True):
            intersection = self._intersections[name]
            if not intersection.sensing.counted(t, t_sensed, source_index):
                intersection.sensing.frame(t, t_sensed, source_index, self._sources.of_intersection(name))

            scans.fusions.append(intersection.fusion)

            if t_sensed > intersection.t_sensor:
                intersection.t_sensor = t_sensed

            if name not in with_frames:
                intersection.t_rx = t
                self._scheduler.schedule_plan(t, intersection)
                with_frames[name] = intersection

        return list(with_frames.values())
