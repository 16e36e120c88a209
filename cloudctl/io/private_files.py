"""Files that hold secrets: written with mode 0600, refused where others can read them."""

import os
import stat
from pathlib import Path

from ..errors import CloudctlError

PRIVATE_MODE = 0o600
OTHERS = stat.S_IRWXG | stat.S_IRWXO  # the rights of everyone but the owner


class PrivateFileError(CloudctlError, RuntimeError):
    """A file with a secret that is missing, exists already, or can be read by others; the text says what to do."""


def write_private(path: Path, data: bytes, replace: bool = False) -> None:
    """Write a file that only its owner can read, and the folders above it. Raises PrivateFileError where it exists,
    unless `replace`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if replace:
        path.unlink(missing_ok=True)

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
    except FileExistsError:
        raise PrivateFileError(
            f"{path} exists; keys are never overwritten. Choose another name, or remove it first"
        ) from None

    with os.fdopen(handle, "wb") as file:
        file.write(data)


def check_private(path: Path) -> None:
    """Raise PrivateFileError where a file with a secret is missing, or has rights for others than its owner."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise PrivateFileError(f"{path} cannot be read: {error.strerror}. Correct its name, or make it anew") from None

    if os.name == "posix" and mode & OTHERS:
        raise PrivateFileError(
            f"{path} holds a secret and has mode {mode:04o}: others than its owner can use it. "
            f"Take their rights away: chmod 600 {path}"
        )
