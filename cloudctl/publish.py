"""Digital codes out of a running node: retained over MQTT, and new revisions in from the node's folder while it runs."""

import sys
from pathlib import Path

from . import codes
from .config import ConfigError, NodeConfig, code_files
from .egress import Egress
from .engine import Engine
from .log import Recorder
from .topics import MqttTopics


class Publisher:
    """Keeps the broker's retained codes those in force and announced, and takes in files that appear in the node's folder."""

    def __init__(self, config: NodeConfig, engine: Engine, egress: Egress, recorder: Recorder | None) -> None:
        self._config, self._engine, self._egress, self._recorder = config, engine, egress, recorder
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
            found = code_files(self._config)
        except ConfigError:
            return []  # all files gone: what is loaded stays in force
        for path in found:
            stamp = _stamp(path)
            if self._seen.get(path) == stamp:
                continue
            self._seen[path] = stamp
            try:
                code = codes.load(path)
                self._engine.announce(code, t)
            except codes.CodeError as error:
                if self._refused.get(path) == str(error):
                    continue
                self._refused[path] = str(error)
                self._engine.metrics.count("code.refused", str(path))
                print(f"cloudctl: {path} is not taken in: {error}", file=sys.stderr, flush=True)
                continue
            self._refused.pop(path, None)
            self._engine.metrics.count("code.announced", code.id)
            if self._recorder:
                self._recorder.meta("code", codes.dump(code))
            out.append(code.id)
        if out:
            self.publish(t, out)
        return out


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return stat.st_mtime_ns, stat.st_size
