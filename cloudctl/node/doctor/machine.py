"""What a machine has and lacks: Python, packages, programs, processor, memory."""

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from ...io.broker import mosquitto
from .finding import Finding, Status, finding

NEEDED = ("cryptography", "numpy", "numba", "msgspec", "pyzmq", "gmqtt", "aiomqtt", "mcap", "lz4", "scipy", "pyproj")
EXTRAS = {"aiohttp": "http", "asn1tools": "messages", "pycrate": "messages"}  # of digital codes: HTTP; UPER
SIMULATION = ("eclipse-sumo", "libsumo", "amqtt", "matplotlib", "trackeval")
MIN_FREE = 1.0  # GB of a disk
MIN_MEMORY = 1.0  # GB that is available: a node of a hundred intersections takes half of it
FAST_FEATURES = ("avx2", "asimd")  # of a processor: vectors of x86-64 and ARM that compiled kernels use
GOOD_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page", "xen")
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CPU_INFO, MEMORY_INFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def machine_findings() -> Iterator[Finding]:
    """Yield one finding for each thing a node, the simulator or the tests need of a machine."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield finding("Python", sys.version_info >= (3, 11), version, "3.11 or newer", "install Python 3.11 or newer")
    built = importlib.util.find_spec("cloudctl._core") is not None

    yield finding(
        "compiled core",
        built,
        "built" if built else "cloudctl._core is missing",
        "must be built",
        "pip install --editable . (needs a C compiler)",
    )
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

    yield finding(
        "C compiler",
        compiler is not None,
        compiler or "none on PATH",
        "needed where the compiled core is not built",
        "apt-get install gcc libc6-dev",
        Status.WARN if built else Status.FAIL,
    )
    for name in NEEDED:
        yield _package(name, "needed", f"pip install {name}", Status.FAIL)

    for name, extra in EXTRAS.items():
        yield _package(name, f"for the extra {extra}", f"pip install 'cloudctl[{extra}]'", Status.WARN)

    for name in SIMULATION:
        yield _package(name, "for simulation", "pip install 'cloudctl[sim]'", Status.WARN)

    program = mosquitto()
    yield finding(
        "MQTT broker",
        program is not None,
        program or "no mosquitto",
        "a closed broker needs it; open trials use the slower built-in amqtt",
        "apt-get install mosquitto",
        Status.WARN,
    )

    yield from _hardware()
    for folder in (os.getcwd(), os.environ.get("TMPDIR", "/tmp")):
        yield disk_finding(f"disk at {folder}", Path(folder), MIN_FREE)


def disk_finding(name: str, folder: Path, min_free: float) -> Finding:
    """Return whether a folder (or the nearest above it that exists) can be written to and has `min_free` GB."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent

    free = shutil.disk_usage(folder).free / 1e9
    writable = os.access(folder, os.W_OK)
    value = f"{free:.1f} GB free" if writable else "not to be written to"

    return finding(
        name,
        free >= min_free and writable,
        value,
        f"at least {min_free:.1f} GB free, and writable",
        "free some space, or choose another folder",
    )


def _hardware() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    rule = "a node and a broker want a core each"
    yield finding("cores", cores >= 2, str(cores), rule, "give it a second core", Status.WARN)

    features = _lines(CPU_INFO, ("flags", "Features"))

    if features:
        known = [name for name in FAST_FEATURES if name in features[0].split()]
        yield finding(
            "CPU features",
            bool(known),
            ", ".join(known) or "no vectors",
            f"one of {', '.join(FAST_FEATURES)}: else planning is slower",
            "take a processor of the last ten years, or a virtual machine that shows its features",
            Status.WARN,
        )

    memory = _lines(MEMORY_INFO, ("MemAvailable",))
    if memory:
        available = int(memory[0].split()[0]) * 1024 / 1e9
        rule, remedy = f"at least {MIN_MEMORY:.1f} GB available", "end other programs, or add memory"
        yield finding("memory", available >= MIN_MEMORY, f"{available:.1f} GB available", rule, remedy, Status.WARN)

    if CLOCK_SOURCE.exists():
        source = CLOCK_SOURCE.read_text().strip()
        yield finding(
            "clock source",
            source in GOOD_CLOCKS,
            source,
            "one that is read without a system call: a node reads the time often",
            "boot with clocksource=tsc, where the processor's is stable",
            Status.WARN,
        )


def _lines(file: Path, names: tuple[str, ...]) -> list[str]:
    """Return what stands after the first lines of a file that begin with one of some names."""
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() in names]


def _package(name: str, rule: str, remedy: str, otherwise: Status) -> Finding:
    try:
        return Finding(name, Status.OK, importlib.metadata.version(name), rule)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, otherwise, "not installed", rule, remedy)
