"""What a machine has and lacks, and the command that mends it."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ..io.broker import mosquitto

NEEDED = ("numpy", "numba", "msgspec", "pyzmq", "gmqtt", "aiomqtt", "mcap", "lz4", "scipy", "pyproj")
EXTRAS = {"aiohttp": "http", "asn1tools": "messages", "pycrate": "messages"}  # of digital codes: HTTP; UPER
SIMULATION = ("eclipse-sumo", "libsumo", "amqtt", "matplotlib", "trackeval")


class Item(NamedTuple):
    """One thing looked at."""

    name: str
    good: bool
    found: str
    remedy: str
    needed: bool = True


def examine() -> Iterator[Item]:
    """Yield one item for each thing a node, the simulator or the tests need."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Item("Python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")
    built = importlib.util.find_spec("cloudctl._core") is not None
    yield Item(
        "compiled core",
        built,
        "built" if built else "cloudctl._core is missing",
        "pip install --editable . (needs a C compiler)",
    )
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    yield Item(
        "C compiler",
        compiler is not None,
        compiler or "none on PATH",
        "apt-get install gcc libc6-dev",
        needed=not built,
    )
    for name in NEEDED:
        yield _package(name, True, f"pip install {name}")
    for name, extra in EXTRAS.items():
        yield _package(name, False, f"pip install 'cloudctl[{extra}]'")
    for name in SIMULATION:
        yield _package(name, False, "pip install 'cloudctl[sim]'")
    program = mosquitto()
    yield Item(
        "MQTT broker",
        program is not None,
        program or "no mosquitto; the slower built-in amqtt is used for trials",
        "apt-get install mosquitto",
        needed=False,
    )
    cores = os.cpu_count() or 1
    yield Item("cores", cores >= 2, str(cores), "a node and a broker want a core each", needed=False)
    for folder in (os.getcwd(), os.environ.get("TMPDIR", "/tmp")):
        free = shutil.disk_usage(folder).free / 1e9
        yield Item(
            f"disk at {folder}",
            free > 1 and os.access(folder, os.W_OK),
            f"{free:.1f} GB free",
            "free some space, or choose another folder",
        )


def _package(name: str, needed: bool, remedy: str) -> Item:
    try:
        return Item(name, True, importlib.metadata.version(name), remedy, needed)
    except importlib.metadata.PackageNotFoundError:
        return Item(name, False, "not installed", remedy, needed)
