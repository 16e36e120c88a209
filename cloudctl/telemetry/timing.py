"""How long the stages of a step take, and how old data are on their way from the sensor to the advisory."""

from collections.abc import Iterable

from ..clock import stopwatch
from ..metrics import Metrics
from ..schema import Advisory

PREFIX = "hop."  # of the histograms of hops among the node's
HOPS = ("sensor_to_node", "node_to_advisory", "sensor_to_advisory")


class StepTimer:
    """The stages of the steps of one node, and each step whole."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._step_begin = self._stage_begin = 0  # by `stopwatch`, ns

    def begin(self) -> None:
        """Begin a step."""
        self._step_begin = self._stage_begin = stopwatch()

    def pause(self) -> None:
        """Begin a stage now: what was done since the last one is no stage."""
        self._stage_begin = stopwatch()

    def stage(self, name: str) -> None:
        """End a stage."""
        now = stopwatch()
        self._metrics.time(name, (now - self._stage_begin) / 1000)
        self._stage_begin = now

    def end(self) -> None:
        """End a step."""
        self._metrics.time("step", (stopwatch() - self._step_begin) / 1000)


def time_hops(metrics: Metrics, now: int, advisories: Iterable[Advisory]) -> None:
    """Note the age of the newest datum of each advisory that was sent at `now` ns, by the clocks of both ends; a clock
    that is ahead makes no age less than 0.
    """
    for advisory in advisories:
        inputs = advisory.inputs
        if inputs.t_sensor:
            metrics.time("hop.sensor_to_node", max(inputs.t_rx - inputs.t_sensor, 0) / 1000)
            metrics.time("hop.node_to_advisory", max(now - inputs.t_rx, 0) / 1000)
            metrics.time("hop.sensor_to_advisory", max(now - inputs.t_sensor, 0) / 1000)
