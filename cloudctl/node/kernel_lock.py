"""Several processes that start for the first time on a machine compile the kernels once between them.

Each would compile all of them, at the same time: three nodes on two cores took four minutes instead of one and a half.
Where everything is compiled already, nobody waits for anybody.
"""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from numba.core import event


class _Turn(event.Listener):  # type: ignore[misc]  # numba has no types
    """Waits, before this process compiles its first kernel, until no other compiles any; what that one has compiled is
    then found in the cache. The turn lasts until `close`, or the end of the process."""

    def __init__(self, file: Path) -> None:
        self._path = file
        self._file: IO[bytes] | None = None

    def on_start(self, event: Any) -> None:
        if self._file is None:
            self._file = self._path.open("rb")
            with contextlib.suppress(OSError):  # a file system without locks: as if each were alone
                fcntl.flock(self._file, fcntl.LOCK_EX)

    def on_end(self, event: Any) -> None:
        pass

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@contextlib.contextmanager
def compiling_in_turn(file: Path) -> Iterator[None]:
    """Compile what is compiled within it while no other process does that within the same `file`'s turn. The file is
    only opened, never written."""
    turn = _Turn(file)
    with event.install_listener("numba:compile", turn), contextlib.closing(turn):
        yield
