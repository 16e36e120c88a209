"""Fusion against the truth while a run goes: what the node knew at each moment, beside the road users that were
there."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ...engine import Engine
from ...schema import ObjectClass
from ..common.score import score
from ..scenario.scenario import Scenario
from .traffic import Truth

RADIUS = 80.0  # m around an intersection within which tracks are scored
RIM = 2.0  # m; what stands on the rim counts neither for nor against
MATCH = 2.0  # m; a track further than this from everyone is false
EVERY = 2  # of the 10 Hz moments that are scored


class Frame(NamedTuple):
    """One scored moment of one intersection."""

    truth_ids: np.ndarray
    truth_xy: np.ndarray
    track_ids: np.ndarray
    track_xy: np.ndarray


class Watch:
    """Collects moments of every intersection of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.frames: dict[str, list[Frame]] = {junction.id: [] for junction in scenario.junctions}
        self._moment = 0

    def note(self, truth: Truth, engine: Engine) -> None:
        """Put what the engine knows now beside what is so now."""
        self._moment += 1
        if self._moment % EVERY:
            return

        moving = truth.kind != ObjectClass.UNKNOWN
        for junction in self.scenario.junctions:
            tracks = engine.intersections[junction.id].fusion.tracks(truth.t)
            self.frames[junction.id].append(
                frame(
                    truth.numbers[moving],
                    junction.local(truth.xy[moving]),
                    tracks["id"].astype(np.int64),
                    np.c_[tracks["x"], tracks["y"]],
                )
            )

    def figures(self, skip: int = 10) -> dict[str, object]:
        """Return MOTA, IDF1, ... over all intersections, and of each."""
        return figures(self.frames, skip)


def figures(frames: dict[str, list[Frame]], skip: int = 10) -> dict[str, object]:
    """Return the figures of all intersections together, and of each; the first `skip` moments of each are left out."""
    each = {name: score(series[skip:], MATCH) for name, series in frames.items() if len(series) > skip}
    together = score(list(_joined(list(frames.values()), skip)), MATCH) if each else {}
    return {**together, "intersections": each}


def frame(truth_ids: np.ndarray, truth_xy: np.ndarray, track_ids: np.ndarray, track_xy: np.ndarray) -> Frame:
    """Return one moment cut to RADIUS, the rim forgiven on both sides."""
    truth_r, track_r = np.hypot(*truth_xy.T), np.hypot(*track_xy.T)
    far = np.hypot(truth_xy[:, None, 0] - track_xy[None, :, 0], truth_xy[:, None, 1] - track_xy[None, :, 1])
    alone_truth = far.min(axis=1, initial=np.inf) > MATCH
    alone_track = np.where(truth_r[:, None] < RADIUS, far, np.inf).min(axis=0, initial=np.inf) > MATCH
    keep_truth = (truth_r < RADIUS) & ~(alone_truth & (truth_r > RADIUS - RIM))
    keep_track = (track_r < RADIUS + RIM) & ~(alone_track & (track_r > RADIUS - RIM))

    return Frame(
        truth_ids=truth_ids[keep_truth],
        truth_xy=truth_xy[keep_truth],
        track_ids=track_ids[keep_track],
        track_xy=track_xy[keep_track],
    )


def _joined(series: list[list[Frame]], skip: int) -> Iterable[Frame]:
    """Yield the moments of several intersections as one sequence; ids of different intersections never meet."""
    for index, frames in enumerate(series):
        for moment in frames[skip:]:
            yield Frame(
                truth_ids=moment.truth_ids + index * 10_000_000,
                truth_xy=moment.truth_xy,
                track_ids=moment.track_ids + index * 10_000_000,
                track_xy=moment.track_xy,
            )
