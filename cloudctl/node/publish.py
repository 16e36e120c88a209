"""Digital codes out of a running node: retained over MQTT, and new revisions in from the node's folder while it
runs.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from .. import codes
from ..clock import SECOND
from ..codes.days import NO_DAYS, dump_days
from ..engine import Answer, Engine
from ..faults import Faults
from ..io.egress import Egress
from ..schema import RawMessage
from ..topics import OPERATOR, MqttTopics
from .calendars import MAKE_ONE, NodeDays, asking, node_days, uncovered
from .config import ConfigError, NodeConfig, code_files
from .operator_inputs import add_input, drop_input
from .share import Share
from .upward import UpwardReport

MINUTE = 60 * SECOND
log = logging.getLogger("cloudctl.node.publish")
Submit = Callable[[list[RawMessage]], list[Answer]]


class Publisher:
    """Keeps the broker's retained codes those in force and announced, and takes in files that appear in the node's
    folder.

    `submit`, where given, takes a step of the node with an operator's input; without it the engine takes one by itself.
    """

    def __init__(
        self,
        config: NodeConfig,
        engine: Engine,
        egress: Egress,
        submit: Submit | None = None,
        faults: Faults | None = None,
        share: Share | None = None,
    ) -> None:
        self.config = config
        self._engine, self._egress, self._submit, self._share = engine, egress, submit, share
        self._faults = faults or engine.faults
        self._upward = UpwardReport(engine, egress)
        self._seen = {path: _stamp(path) for path in code_files(config)}
        self._days_seen = _days_stamp(config)
        self._last_notice = ""
        self._announced: dict[str, int] = {}
        self._refused: dict[Path, str] = {}
        self._looked = 0  # the minute in which the days were last compared with today
        self._with_days: set[str] = set()  # intersections whose calendar is retained
        self.known_files: dict[Path, str] = {}  # the intersection of each file of a code
        self._missing: set[Path] = set()  # known files that are gone, while the node has not been reloaded

    def know(self, intersections: dict[Path, str]) -> None:
        """Take in which intersection each file of a code is of."""
        self.known_files.update(intersections)

    def retire(self, files: list[Path], t: int) -> list[str]:
        """Serve no longer the intersections that none of `files` is of any more, and clear what is retained of them;
        return them. A code that comes back is in force at once, from its file.
        """
        gone = [file for file in self.known_files if file not in set(files)]
        intersections = {self.known_files.pop(file) for file in gone} - set(self.known_files.values())
        for file in gone:
            self._seen.pop(file, None)
            self._missing.discard(file)

        for name in sorted(intersections):
            if self._share is not None:
                self._share.forget(name)

            if name in self._engine.intersections:
                self.submit(drop_input(name), t)
            elif self._engine.config.shared:
                continue  # the node that serves it clears what is retained

            self._announced.pop(name, None)
            self._with_days.discard(name)
            for topic in MqttTopics.retained(name):
                self._egress.retain(topic, b"")

        return sorted(intersections)

    def publish(self, t: int, names: list[str] | None = None) -> None:
        """Publish, retained, what is in force at `t` ns and what is announced, of some intersections or all."""
        versions = self._engine.versions
        for name in self._engine.versions.ids() if names is None else names:
            code, later = versions.current(name, t), versions.announced(name, t)
            self._egress.retain(MqttTopics.codes(name), codes.compact(code) if code else b"")
            if later is not None or name in self._announced:
                self._egress.retain(MqttTopics.next_code(name), codes.compact(later) if later else b"")
            if later is not None:
                self._announced[name] = later.revision

        self.publish_days(t, names)

    # --- holidays and make-up days ---

    def publish_days(self, t: int, names: list[str] | None = None) -> None:
        """Publish, retained, the days that rules are answered with, of the intersections whose rules ask for them."""
        days = dump_days(self._engine.config.days)
        for name in self._engine.versions.ids() if names is None else names:
            if asking(self._standing(name, t)):
                self._egress.retain(MqttTopics.calendar(name), days)
                self._with_days.add(name)
            elif name in self._with_days:
                self._egress.retain(MqttTopics.calendar(name), b"")
                self._with_days.remove(name)

    def wanted_days(self, config: NodeConfig, t: int) -> NodeDays:
        """Return the days that a configuration and the codes in force and announced ask for. Raises CodeError for a
        faulty calendar.
        """
        known = [code for name in self._engine.versions.ids() for code in self._standing(name, t)]
        return node_days(config.node.calendar, known, t)

    def _standing(self, name: str, t: int) -> list[codes.IntersectionCode]:
        """Return the revisions of an intersection in force and announced at `t` ns."""
        versions = self._engine.versions
        return [code for code in (versions.current(name, t), versions.announced(name, t)) if code is not None]

    def notice_days(self, notice: str) -> None:
        """Tell the operator, once each, of what the days that rules are answered with come from, or lack."""
        if notice and notice != self._last_notice:
            self._last_notice = notice
            log.warning("%s", notice)

    def _watch_days(self, t: int, has_new_codes: bool) -> None:
        """Take in another calendar where its file has changed, or new codes ask for days."""
        stamp = _days_stamp(self.config)
        if stamp != self._days_seen or (has_new_codes and self.config.node.calendar is None):
            self._days_seen = stamp
            try:
                wanted = self.wanted_days(self.config, t)
            except codes.CodeError as error:
                self._engine.metrics.count("calendar.refused")
                self.notice_days(f"the calendar is not taken in, what runs stays: {error}")
                return

            if wanted.days != self._engine.config.days:
                self._take_days_in(wanted, t)

        if t // MINUTE != self._looked:  # once a minute: it goes through every rule
            self._looked = t // MINUTE
            self._notice_uncovered_day(t)

    def _take_days_in(self, wanted: NodeDays, t: int) -> None:
        """Give the engine other days as an operator's input."""
        body = msgspec.json.encode(replace(self._engine.config, days=wanted.days))
        refusal = self.submit(RawMessage("config", OPERATOR, body), t).refusal
        self._looked = -1  # whether they cover today is asked at once

        if refusal:
            self._engine.metrics.count("calendar.refused")
            self.notice_days(f"the calendar is not taken in, what runs stays: {refusal}")
        else:
            self._engine.metrics.count("calendar.taken")
            self.notice_days(wanted.notice or f"{self.config.node.calendar} was read again")

        self.publish_days(t)

    def _notice_uncovered_day(self, t: int) -> None:
        """Tell the operator where the calendar says nothing of today."""
        days, versions = self._engine.config.days, self._engine.versions
        if days == NO_DAYS:
            day = ""
        else:
            in_force = [code for name in versions.ids() if (code := versions.current(name, t)) is not None]
            day = uncovered(days, in_force, t)

        self._engine.metrics.put("calendar.uncovered", "", int(bool(day)))
        if day:
            self.notice_days(
                f"the calendar says nothing of {day}: it is taken as its weekday, no holiday. "
                f"Its last day is {days.last}; {MAKE_ONE}"
            )

    # --- new revisions ---

    def watch(self, t: int) -> list[str]:
        """Take in what is new under [node] codes; return the intersections that have a new announcement."""
        try:
            files = code_files(self.config)
        except ConfigError:
            # a pattern matches nothing any more: what is loaded stays in force
            self._notice_missing({path for path in self.known_files if path.exists()})
            return []

        self._notice_missing(set(files))
        self._upward.look(t, self.config.broker, self.config.city)
        announced = self.take_in(files, t)
        self._watch_days(t, bool(announced))

        return announced

    def take_in(self, files: list[Path], t: int) -> list[str]:
        """Take in those of `files` that are new or have changed; return the intersections that are new, or have a new
        announcement."""
        announced = []
        for path in files:
            stamp = _stamp(path)
            if self._seen.get(path) == stamp:
                continue

            self._seen[path] = stamp
            try:
                name = self._take_in(path, t)
            except Exception as error:
                self._faults.note("codes", str(path), error)
                continue

            if name is not None:
                announced.append(name)

        if announced:
            self.publish(t, announced)

        return announced

    def _notice_missing(self, files: set[Path]) -> None:
        """Log each known file that is gone, and that is back."""
        for path, name in self.known_files.items():
            if path not in files and path not in self._missing:
                self._missing.add(path)
                log.warning("%s is gone: the code of %s stays in force until the node is reloaded", path, name)
            elif path in files and path in self._missing:
                self._missing.discard(path)
                log.info("%s is back, with the code of %s", path, name)

    def _take_in(self, path: Path, t: int) -> str | None:
        """Give the engine a file's code as an input of a step; return its intersection, None where it was refused."""
        answer = self._given(path, t)
        if answer.refusal is None:
            self._refused.pop(path, None)
            self.known_files[path] = answer.name
            if answer.name not in self._engine.intersections:
                return None

            self._engine.metrics.count("code.announced", answer.name)
            if answer.datum.kind == "add":
                log.info("%s: %s is served from now on", path, answer.name)

            return answer.name

        if self._refused.get(path) != answer.refusal:
            self._refused[path] = answer.refusal
            self._engine.metrics.count("code.refused", str(path))
            log.warning("%s is not taken in: %s", path, answer.refusal)

        return None

    def _given(self, path: Path, t: int) -> Answer:
        try:
            code = codes.load(path)
        except (codes.CodeError, OSError) as error:
            return Answer(RawMessage("code", OPERATOR, b""), "", str(error))

        if self._share is not None:
            self._share.know(code)
            if self._engine.config.shared and code.id not in self._engine.intersections:
                return Answer(RawMessage("code", OPERATOR, b""), code.id, None)  # another node's, or taken up below

        if code.id in self._engine.intersections:
            return self.submit(RawMessage("code", OPERATOR, codes.dump(code)), t)

        return self.submit(add_input(code.id, [code]), t)

    def submit(self, datum: RawMessage, t: int) -> Answer:
        """Give the engine an operator's input in a step of `t` ns; return what became of it."""
        answers = self._engine.step(t, [datum]).answers if self._submit is None else self._submit([datum])
        return answers[0] if answers else Answer(datum, "", "the step that it was given to failed")


def _days_stamp(config: NodeConfig) -> tuple[str | None, tuple[int, int]]:
    return config.node.calendar, _stamp(Path(config.node.calendar)) if config.node.calendar else (0, 0)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size
