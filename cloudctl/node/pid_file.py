"""The process of the node that runs from a file: how `cloudctl reload` finds it."""

import contextlib
import fcntl
import logging
import os
import signal
from pathlib import Path

from ..errors import CloudctlError

log = logging.getLogger("cloudctl.node")


class ReloadError(CloudctlError, RuntimeError):
    """A node that cannot be reloaded; the text says what to do."""


class PidFile:
    """Holds the number of this process beside the node's file, locked while the process lives: a stale file is known by its missing lock."""

    def __init__(self, config: Path) -> None:
        self._path = path_beside(config)
        self._handle: int | None = None
        try:
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            log.info(
                "%s is not written (%s): reload this node by kill -HUP %d", self._path, error.strerror, os.getpid()
            )
            return
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle

    def remove(self) -> None:
        """Remove the file, where this process wrote it."""
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._handle)
            self._handle = None


def path_beside(config: Path) -> Path:
    """Return the file that holds the process number of the node that runs from `config`."""
    return config.with_suffix(".pid")


def send_hangup(config: Path) -> int:
    """Have the node that runs from `config` read it again; return its process number. Raises ReloadError where none runs."""
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


def _require_lock(handle: int, path: Path) -> None:
    """Raise ReloadError unless another process holds the lock."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return
    raise ReloadError(f"no node runs: {path} is left of one that was killed. Start it with: cloudctl serve")
