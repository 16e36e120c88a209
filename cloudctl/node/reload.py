"""Reading the node's file again while it runs: what takes effect at once, and what only a restart can change."""

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from .. import codes
from ..city.fixed import Worker
from ..io.zeromq import KeyPair
from ..settings import BrokerSection
from .config import ConfigError, NodeConfig, code_files, load
from .workers import for_worker

# What a running node takes over; every other key needs a restart.
CHANGEABLE = {
    ("node", "key"),
    ("node", "codes"),
    ("node", "calendar"),
    ("node", "status"),
    ("broker", "host"),
    ("broker", "port"),
    ("broker", "username"),
    ("broker", "password"),
    ("broker", "tls_ca"),
    ("broker", "tls_cert"),
    ("broker", "tls_key"),
    ("broker", "server_crl"),
    ("record", "part_mb"),
    ("record", "part_minutes"),
    ("record", "keep_mb"),
    ("record", "keep_days"),
    ("plan", "period_ms"),
    ("plan", "refresh"),
}
OF_EXTERNAL_BROKER = {("broker", "host"), ("broker", "port")}  # an embedded broker stays where it listens


class Reread(NamedTuple):
    """What a running node takes over from its file, and a line for each key that waits for a restart."""

    config: NodeConfig
    keys: KeyPair | None
    files: list[Path]  # of digital codes
    waiting: list[str]


class Credentials:
    """How the node logs in to its broker: notices other settings, and other contents of the same files."""

    def __init__(self, section: BrokerSection) -> None:
        self._known = _fingerprint(section)

    def changed(self, section: BrokerSection) -> bool:
        """Return whether the credentials are others than at the last call, or than at the start."""
        before, self._known = self._known, _fingerprint(section)
        return before != self._known


def read_again(running: NodeConfig, file: Path, intersections: dict[Path, str], worker: Worker | None = None) -> Reread:
    """Return what a node that runs with `running` takes over from its file. `intersections`: by the file of its code,
    as far as known; `worker`: that the node is, of several.

    Raises ConfigError, ZeroMqError or PrivateFileError for a file that cannot be used: nothing of it is taken over
    then.
    """
    wanted = load(file) if worker is None else for_worker(load(file), worker)
    keys = wanted.keys()
    files = code_files(wanted)
    _check_bindings(wanted, files, intersections)

    waiting = []
    sections = {}

    for section in ("node", "city", "broker", "http", "live", "record", "plan"):
        now, then = getattr(running, section), getattr(wanted, section)
        kept = {}
        for key in now.__struct_fields__:
            if getattr(now, key) != getattr(then, key) and not _is_changeable(section, key, running):
                kept[key] = getattr(now, key)
                waiting.append(
                    f"[{section}] {key} has changed in {file}, and takes effect when the node is started again"
                )

        sections[section] = replace(then, **kept)

    return Reread(replace(wanted, **sections), keys, files, waiting)


def _is_changeable(section: str, key: str, running: NodeConfig) -> bool:
    if running.broker.embedded and (section, key) in OF_EXTERNAL_BROKER:
        return False
    return (section, key) in CHANGEABLE


def _check_bindings(wanted: NodeConfig, files: list[Path], intersections: dict[Path, str]) -> None:
    """Raise ConfigError for a roadside unit that is bound to an intersection of which no file holds a code."""
    present = set()
    for file in files:
        present.add(intersections[file] if file in intersections else _readable_intersection(file))

    for gateway in wanted.gateway:
        for rsu, intersection in gateway.rsus.items():
            if intersection not in present:
                raise ConfigError(
                    f"[[gateway]] {gateway.name!r}: rsus: {rsu!r} is at {intersection!r}, whose digital code is gone or"
                    " was never there: no file under [node] codes that can be used is of it. Take the unit out, or put"
                    " the code back"
                )


def _readable_intersection(file: Path) -> str | None:
    """Return which intersection a file is of that the node has not taken in: the code may have been renamed; None
    where the node could not take it in either.
    """
    try:
        return codes.load(file).id
    except (codes.CodeError, OSError):
        return None


def _fingerprint(section: BrokerSection) -> tuple[object, ...]:
    """Return what differs when the node would log in to its broker in another way."""
    files = tuple(
        Path(name).read_bytes() if name and Path(name).exists() else b""
        for name in (section.tls_ca, section.tls_cert, section.tls_key)
    )
    return section.host, section.port, section.username, section.password, files
