"""The truth beside a recording: written while SUMO runs, read to score what the recording's replay knew at each
moment.
"""

from pathlib import Path

import msgspec
import numpy as np

from ...io.recording.reader import Recorder, Recording, truths
from ...replay import engine_of
from ..scenario.scenario import Scenario
from .traffic import Truth
from .watch import EVERY, Frame, figures, frame


class TruthFile:
    """Writes where everyone was, in each intersection's frame, to an MCAP file."""

    def __init__(self, path: Path, scenario: Scenario) -> None:
        self._scenario = scenario
        self._out = Recorder(path)
        self.path = self._out.first

    def note(self, truth: Truth) -> None:
        """Write the truth of one step."""
        self._out.truth(truth.t, pack(truth, self._scenario))

    def close(self) -> None:
        """End the file."""
        self._out.close()


def pack(truth: Truth, scenario: Scenario) -> bytes:
    """Return a truth record: ids and classes, and positions (m) in the frame of each intersection."""
    places = {junction.id: junction.local(truth.xy).round(3).tolist() for junction in scenario.junctions}
    return msgspec.msgpack.encode({"id": truth.numbers.tolist(), "class": truth.kind.tolist(), "places": places})


def fusion_figures(recording: Path, truth: Path) -> dict[str, object]:
    """Replay a recording and score its tracks at each moment of truth; the figures of `sim.score.score`, over all and
    each intersection.
    """
    return figures(moments(recording, truth))


def moments(recording: Path, truth: Path) -> dict[str, list[Frame]]:
    """Return the scored moments of each intersection: what was known at a moment of truth, from what had arrived by
    then.
    """
    reader = Recording(recording)
    engine = engine_of(reader)
    coming = iter(enumerate(truths(truth)))
    _, (time_ns, data) = next(coming, (0, (2**63, b"")))
    frames_of: dict[str, list[Frame]] = {name: [] for name in engine.intersections}

    for step in reader.steps():
        while time_ns <= step.t:
            record = msgspec.msgpack.decode(data)
            for name, intersection in engine.intersections.items():
                tracks = intersection.fusion.tracks(time_ns)
                frames_of[name].append(
                    frame(
                        np.array(record["id"], np.int64),
                        np.array(record["places"][name]).reshape(-1, 2),
                        tracks["id"].astype(np.int64),
                        np.c_[tracks["x"], tracks["y"]],
                    )
                )

            channel, (time_ns, data) = next(coming, (0, (2**63, b"")))
            while channel % EVERY and data:
                channel, (time_ns, data) = next(coming, (0, (2**63, b"")))

        engine.step(step.t, step.batch)

    return frames_of
