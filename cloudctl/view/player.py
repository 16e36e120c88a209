"""A recording as the page's source: the same engine, driven as fast as the page plays it, and shown by the same
observer.

A jump makes a fresh engine and lets it see WARM_UP of what came before: the picture is then within centimetres of the
run's own, though tracks and
advisories have other ids, so that the advisories shown are the recorded ones. In frame-exact mode the run is repeated
from its first step: every id is the
run's own, and each advisory is compared with the recorded one, byte by byte.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..clock import MS, SECOND, stopwatch
from ..engine import Engine, Output
from ..io.recording.chunks import IndexedRun
from ..io.recording.reader import Step
from ..io.recording.setup import setup_of
from ..payloads import encode
from ..schema import Advisory
from .columns import FrameKind, json_frame
from .errors import ViewError
from .events import advisory_event
from .observer import Observer
from .viewers import Request, Viewer

WARM_UP = 10 * SECOND  # of the recording that a fresh engine sees before a picture is shown
EARLIER = ("hello", "code", "config")  # kinds of messages that still count long after they came
MAX_EARLIER = 200  # chunks that are searched for those
# The end of WARM_UP, in which every plan is made; before it, one in WARM_UP_PERIOD is enough for the tracks.
PLANNED = 1500 * MS
WARM_UP_PERIOD = SECOND
REPORT_INTERVAL = 200 * MS  # between two reports of where the recording stands
SPEEDS = (0.1, 20.0)  # times real time
PLAN_AHEAD = 2 * SECOND  # within which one plan on is looked for


class Player:
    """Plays one recorded run for all pages together. Call `tick` often; `ask` takes a page's request."""

    def __init__(self, path: Path, debug: bool = False) -> None:
        """Raises RecordingError where there is no run at `path`."""
        self.run = IndexedRun(path)
        self._debug = debug
        self._config, self._codes = setup_of(self.run)
        self.engine = self._fresh()
        self.observer = Observer(
            self.engine, "recording", {"title": path.name, "begin": self.run.begin / MS, "end": self.run.end / MS}
        )
        self.t = self.run.begin
        self.playing, self.speed, self.exact = True, 1.0, False
        self._epoch = 0
        self._goal: int | None = None  # ns, up to which steps are taken without being shown
        self._repeated = False  # whether the engine has taken every step of the run so far
        self._steps: Iterator[Step] = iter(())
        self._next: Step | None = None
        self._in_force: dict[str, Advisory] = {}
        self._position = float(self.t)  # ns, where the picture should be
        self._ticked = self._reported = 0  # by the stopwatch
        self._compared, self._difference = 0, ""
        self._decode = msgspec.json.Decoder(Advisory).decode
        self._go_to(self.run.begin)

    # --- what pages ask for ---

    def ask(self, viewer: Viewer, request: Request) -> None:
        """Take in what a page asks of the recording. Raises ViewError, and changes nothing then."""
        low, high = SPEEDS
        if request.speed is not None and not low <= request.speed <= high:
            raise ViewError(
                field="speed",
                value=request.speed,
                rule=f"must be within {low:g} .. {high:g}",
                remedy="choose another speed",
            )

        if request.seek is not None and not self.run.begin / MS - 1 <= request.seek <= self.run.end / MS + 1:
            raise ViewError(
                field="seek",
                value=request.seek,
                rule=f"the run is from {self.run.begin / MS:.0f} to {self.run.end / MS:.0f} ms",
                remedy="choose a time of the run",
            )

        self.speed = self.speed if request.speed is None else request.speed
        if request.exact is not None and request.exact != self.exact:
            self.exact = request.exact
            self._go_to(self.t)

        if request.seek is not None:
            self._go_to(min(max(int(request.seek * MS), self.run.begin), self.run.end))

        if request.step is not None:
            self.playing = False
            self._step_on()

        if request.play is not None:
            self.playing = request.play
            if request.play and self.t >= self.run.end:
                self._go_to(self.run.begin)

        self._report(at_once=True)

    def greet(self, viewer: Viewer) -> None:
        """Tell a new page where the recording stands."""
        viewer.put((FrameKind.PLAYER, 0), self._state())

    # --- time ---

    def tick(self, budget: int) -> bool:
        """Go on for at most `budget` ns of work; return whether there is more to do at once."""
        now = stopwatch()
        elapsed, self._ticked = now - self._ticked, now

        if self._goal is not None:
            self._approach(now + budget)
        elif self.playing:
            self._position = min(self._position + min(elapsed, SECOND) * self.speed, float(self.run.end))
            self._play(now + budget)

        self._report(at_once=False)
        return self._goal is not None

    def _go_to(self, time_ns: int) -> None:
        """Show the run as it was at `time_ns` as soon as the engine is there."""
        self._goal, self._position = time_ns, float(time_ns)
        forwards = self.exact and self._repeated and time_ns >= self.t
        if not forwards:
            self._begin_at(time_ns)
        self._epoch += 1
        for viewer in self.observer.viewers:
            viewer.clear()

    def _begin_at(self, time_ns: int) -> None:
        """Make a fresh engine that goes on from before `time_ns`; in frame-exact mode from the run's beginning."""
        self.engine = self._fresh()
        self.observer.bind(self.engine)
        self._in_force.clear()
        self._repeated, self._compared, self._difference = self.exact, 0, ""
        start = self.run.begin if self.exact else max(time_ns - WARM_UP, self.run.begin)

        if not self.exact:
            for earlier, batch in self.run.earlier(EARLIER, start, MAX_EARLIER):
                self.engine.step(earlier, batch)

        self._steps = self.run.steps(start)
        self._next = next(self._steps, None)
        self.t = min(self.t, start) if self.exact else start

    def _approach(self, deadline: int) -> None:
        """Take steps without showing them, until the goal is reached or the time is up."""
        assert self._goal is not None
        while self._next is not None and self._next.t <= self._goal:
            warming = not self.exact and self._next.t < self._goal - PLANNED
            self.engine.scheduler.period = WARM_UP_PERIOD if warming else self.engine.config.period_ms * MS
            self._take(shown=False)
            if stopwatch() > deadline:
                return

        self.engine.scheduler.period = self.engine.config.period_ms * MS
        self.t, self._goal = max(self.t, self._goal), None
        self._position = float(self.t)

        for advisory in self._in_force.values():
            if advisory.t <= self.t < advisory.valid_until and advisory.intersection in self.observer.index:
                index = self.observer.index[advisory.intersection]
                self.observer.announce(advisory_event(index, advisory), self.observer.watching(index))

        self.observer.refresh()
        self._report(at_once=True)

    def _play(self, deadline: int) -> None:
        while self._next is not None and self._next.t <= self._position:
            self._take(shown=True)
            if stopwatch() > deadline:
                # The machine is slower than the speed that was asked for
                self._position = float(self.t)
                return

        self.t = max(self.t, min(int(self._position), self.run.end))
        if self._next is None:
            self.playing = False

    def _step_on(self) -> None:
        """Take steps until one has planned something."""
        last = self.t + PLAN_AHEAD
        while self._goal is None and self._next is not None and self._next.t <= last:
            if self._take(shown=True).planned:
                break
        self._position = float(self.t)

    def _take(self, shown: bool) -> Output:
        """Take the next recorded step."""
        step = self._next
        assert step is not None

        try:
            output = self.engine.step(step.t, step.batch)
        except Exception as error:
            if self._debug:
                raise
            output = Output(events=[f"a fault of the node in this step: {type(error).__name__}: {error}"])

        if self.exact:
            self._compare(step, output)
        else:
            output.advisories = [self._decode(payload) for payload in step.advisories]

        if shown:
            self.observer.observe(step.t, step.batch, output)
        else:
            for advisory in output.advisories:
                self._in_force[f"{advisory.target} {advisory.kind}"] = advisory

        self.t = max(self.t, step.t) if shown or not self.exact else step.t
        self._next = next(self._steps, None)
        return output

    def _compare(self, step: Step, output: Output) -> None:
        payloads = tuple(encode(advisory) for advisory in output.advisories)
        self._compared += len(payloads)

        if payloads != step.advisories and not self._difference:
            self._difference = (
                f"differs from the recording at {step.t} ns: {len(payloads)} advisories, recorded"
                f" {len(step.advisories)}"
            )

    # --- what pages get ---

    def _report(self, at_once: bool) -> None:
        now = stopwatch()
        if not at_once and now - self._reported < REPORT_INTERVAL:
            return

        self._reported = now
        state = self._state()
        for viewer in self.observer.viewers:
            viewer.put((FrameKind.PLAYER, 0), state)

    def _state(self) -> bytes:
        body: dict[str, Any] = {
            "t": (self.t if self._goal is None else self._goal) / MS,
            "begin": self.run.begin / MS,
            "end": self.run.end / MS,
            "playing": self.playing,
            "speed": self.speed,
            "exact": self.exact,
            "epoch": self._epoch,
            "busy": self._goal is not None,
            "words": self._words(),
            "trouble": bool(self._difference or self.run.fault),
        }

        return json_frame(FrameKind.PLAYER, body)

    def _words(self) -> str:
        if self._difference:
            return self._difference

        if self._goal is not None and self.exact:
            span = max(self._goal - self.run.begin, 1)
            return f"repeating the run: {min(max((self.t - self.run.begin) / span, 0.0), 1.0):.0%}"

        if self.exact:
            return f"byte-identical so far: {self._compared} advisories"

        return self.run.fault or ""

    def _fresh(self) -> Engine:
        return Engine(self._codes, self._config, debug=self._debug)
