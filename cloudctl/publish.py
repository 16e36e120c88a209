"""Digital codes out of a running node: retained over MQTT, and new revisions in from the node's folder while it runs."""

import sys
from collections.abc import Callable
from pathlib import Path

from . import codes
from .config import ConfigError, NodeConfig, code_files
from .egress import Egress
from .engine import Answer, Engine
from .faults import Faults
from .schema import Datum
from .topics import OPERATOR, MqttTopics

Submit = Callable[[list[Datum]], list[Answer]]


class Publisher:
    """Keeps the broker's retained codes those in force and announced, and takes in files that appear in the node's folder.

    `submit`, where given, takes a step of the node with an operator's input; without it the engine takes one by itself.
    """

    def __init__(
        self, config: NodeConfig, engine: Engine, egress: Egress, submit: Submit | None = None, faults: Faults | None = None
    ) -> None:
        self.config = config
        self._engine, self._egress, self._submit = engine, egress, submit
        self._faults = faults or engine.faults
        self._seen = {path: _stamp(path) for path in code_files(config)}
        self._announced: dict[str, int] = {}
        self._refused: dict[Path, str] = {}

    def publish(self, t: int, names: list[str] | None = None) -> None:
        """Publish, retained, what is in force at `t` ns and what is announced, of some intersections or all."""
        versions = self._engine.versions
        for name in versions.ids() if names is None else names:
            code, later = versions.current(name, t), versions.announced(name, t)
            self._egress.retain(MqttTopics.codes(name), codes.compact(code) if code else b"")
            if later is not None or name in self._announced:
                self._egress.retain(MqttTopics.next_code(name), codes.compact(later) if later else b"")
            if later is not None:
                self._announced[name] = later.revision

    def watch(self, t: int) -> list[str]:
        """Take in what is new under [node] codes; return the intersections that have a new announcement."""
        out = []
        try:
            found = code_files(self.config)
        except ConfigError:
            return []  # all files gone: what is loaded stays in force
        for path in found:
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
                out.append(name)
        if out:
            self.publish(t, out)
        return out

    def _take_in(self, path: Path, t: int) -> str | None:
        """Give the engine a file's code as an input of a step; return its intersection, None where it was refused."""
        answer = self._given(path, t)
        if answer.refusal is None:
            self._refused.pop(path, None)
            self._engine.metrics.count("code.announced", answer.name)
            return answer.name
        if self._refused.get(path) != answer.refusal:
            self._refused[path] = answer.refusal
            self._engine.metrics.count("code.refused", str(path))
            print(f"cloudctl: {path} is not taken in: {answer.refusal}", file=sys.stderr, flush=True)
        return None

    def _given(self, path: Path, t: int) -> Answer:
        try:
            datum = Datum("code", OPERATOR, codes.dump(codes.load(path)))
        except (codes.CodeError, OSError) as error:
            return Answer(Datum("code", OPERATOR, b""), "", str(error))
        answers = self._engine.step(t, [datum]).answers if self._submit is None else self._submit([datum])
        return answers[0] if answers else Answer(datum, "", "the step that it was given to failed")


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size
