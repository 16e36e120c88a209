"""The process of the node that runs from a file: how `cloudctl reload` finds it, and what the node answers."""

import contextlib
import fcntl
import logging
import os
import signal
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..clock import MS, SECOND, WallClock, sleep_until, stopwatch
from ..errors import CloudctlError

ANSWER_TIMEOUT = 30 * SECOND  # ns; a node that reads a thousand codes again needs some seconds
ANSWER_POLL = 50 * MS
ANSWER_SUFFIX = ".reloaded"
log = logging.getLogger("cloudctl.node")


class ReloadError(CloudctlError, RuntimeError):
    """A node that cannot be reloaded; the text says what to do."""


class ReloadAnswer(NamedTuple):
    """What became of one reload. `number`: of the reload in the life of the node's process."""

    process: int
    number: int
    refusal: str | None  # None: the file was taken over
    notes: list[str]  # what waits for a restart, and what else the operator should know


class PidFile:
    """Holds the number of this process beside the node's file, locked while the process lives: a stale file is known
    by its missing lock.
    """

    def __init__(self, config: Path) -> None:
        self._path = path_beside(config)
        self._handle: int | None = None
        handle: int | None = None
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(handle, 0)
            os.write(handle, f"{os.getpid()}\n".encode())
        except OSError as error:
            if handle is not None:
                os.close(handle)
            log.info(
                "%s is not written (%s): reload this node by kill -HUP %d", self._path, error.strerror, os.getpid()
            )
            return

        self._handle = handle

    def remove(self) -> None:
        """Remove the file, where this process wrote it."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
                self._path.with_suffix(ANSWER_SUFFIX).unlink()
            os.close(self._handle)
            self._handle = None


def path_beside(config: Path) -> Path:
    """Return the file that holds the process number of the node that runs from `config`."""
    return config.with_suffix(".pid")


def is_running_from(config: Path) -> bool:
    """Return whether a node runs from `config`."""
    try:
        require_none_running(config)
    except ReloadError:
        return True
    return False


def require_none_running(config: Path) -> None:
    """Raise ReloadError where a node runs from `config` already."""
    path = path_beside(config)
    try:
        with path.open() as file:
            _require_lock(file.fileno(), path)
            number = file.read().strip()
    except (OSError, ReloadError):
        return

    raise ReloadError(
        f"a node (process {number}) runs from {config} already, says {path}. Have it read its file again with: "
        f"cloudctl reload {config}; or stop it first: kill {number}"
    )


def send_hangup(config: Path) -> int:
    """Have the node that runs from `config` read it again; return its process number. Raises ReloadError where none
    runs.
    """
    path = path_beside(config)
    try:
        with path.open() as file:
            _require_lock(file.fileno(), path)
            number = int(file.read())
    except (OSError, ValueError):
        raise ReloadError(
            f"no node runs from {config}: {path} does not exist. Start it with: cloudctl serve {config}"
        ) from None

    try:
        os.kill(number, signal.SIGHUP)
    except OSError as error:
        raise ReloadError(
            f"process {number} of the node cannot be reached: {error.strerror}. Run this as its user"
        ) from None

    return number


def write_answer(config: Path, answer: ReloadAnswer) -> None:
    """Leave what became of a reload for the command that asked for it, where the folder can be written."""
    path = config.with_suffix(ANSWER_SUFFIX)
    partial = path.with_suffix(f"{ANSWER_SUFFIX}.part")
    try:
        partial.write_bytes(msgspec.json.encode(answer))
        os.replace(partial, path)
    except OSError as error:
        log.info("%s is not written (%s): cloudctl reload cannot say what became of it", path, error.strerror)


def reload_node(config: Path, timeout: int = ANSWER_TIMEOUT) -> ReloadAnswer:
    """Have the node that runs from `config` read it again; return what it answers. Raises ReloadError where none runs,
    where it refuses, and where it does not answer within `timeout` ns.
    """
    before = _read_answer(config)
    process = send_hangup(config)
    deadline = stopwatch() + timeout

    while stopwatch() < deadline:
        answer = _read_answer(config)
        if answer is None or answer == before or answer.process != process:
            sleep_until(WallClock().now() + ANSWER_POLL)
        elif answer.refusal is not None:
            raise ReloadError(f"the node (process {process}) takes nothing over, what runs stays: {answer.refusal}")
        else:
            return answer

    raise ReloadError(
        f"the node (process {process}) was asked to read {config} again, and has not answered for {timeout // SECOND}"
        " s. Its log says what stands in the way"
    )


def _read_answer(config: Path) -> ReloadAnswer | None:
    try:
        return msgspec.json.decode(config.with_suffix(ANSWER_SUFFIX).read_bytes(), type=ReloadAnswer)
    except (OSError, msgspec.DecodeError):
        return None


def _require_lock(handle: int, path: Path) -> None:
    """Raise ReloadError unless another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return
    raise ReloadError(f"no node runs: {path} is left of one that was killed. Start it with: cloudctl serve")
