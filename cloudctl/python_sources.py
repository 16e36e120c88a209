"""The Python files of a package, as digests of its code read them."""

import os
from collections.abc import Iterator


def content_of(file: str) -> bytes:
    """Return what is in a file. Raises OSError."""
    with open(file, "rb", buffering=0) as opened:
        return opened.read()


def python_sources(folder: str, inside: str = "") -> Iterator[tuple[str, bytes]]:
    """Yield path (from `folder`, which `inside` stands for) and content of each Python file of a folder, in one order
    on every machine. Raises OSError."""
    with os.scandir(folder) as entries:
        inner = sorted(entries, key=lambda entry: entry.name)
    for entry in inner:
        path = f"{inside}/{entry.name}"
        if entry.name.endswith(".py"):
            yield path, content_of(entry.path)
        elif entry.name.isidentifier() and entry.name != "__pycache__" and entry.is_dir():
            yield from python_sources(entry.path, path)
