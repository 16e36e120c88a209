"""The Foxglove channels of a run that is recorded: `[record] foxglove = true`."""

from ..engine import Engine, Output
from ..io.recording.writer import Recorder
from .budget import Budget
from .channels import ViewChannels, is_line


class RecordedViews:
    """Writes what each step shows into the recording. `observe` after every step that was recorded."""

    def __init__(self, recorder: Recorder, engine: Engine) -> None:
        self._recorder, self._metrics = recorder, engine.metrics
        self._budget = Budget()
        self._channels = ViewChannels(engine)
        self._path = recorder.path

    def observe(self, time_ns: int, output: Output) -> None:
        """Record what the step at `time_ns` shows. Each file begins with the drawing: it can be looked at alone."""
        if self._recorder.path != self._path:
            self._path = self._recorder.path
            self._channels.renew()

        is_affordable = self._budget.begin()
        if not is_affordable and output.planned:
            self._metrics.count("drop.view", "recording", len(output.planned))
        for view in self._channels.messages(time_ns, output, (lambda _: True) if is_affordable else is_line):
            self._recorder.view(time_ns, view.kind, view.data, view.t)
        self._budget.end()
