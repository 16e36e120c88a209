"""What a node begins with, from its configuration: broker, recording, key for signatures."""

import ctypes
import gc
import logging
from pathlib import Path

import msgspec

from .. import __file__ as package_file
from .. import codes
from ..city.fixed import Alone, FixedHash, Worker
from ..city.leases import Leases
from ..city.ownership import Ownership
from ..clock import Clock
from ..io.broker import Broker
from ..io.broker import start as start_broker
from ..io.recording.reader import Recorder
from ..io.signatures import Signer
from ..metrics import Metrics
from ..planner.warm import warm
from ..settings import EngineConfig
from .broker_files import bridge_of, broker_tls
from .config import NodeConfig
from .kernel_lock import compiling_in_turn

log = logging.getLogger("cloudctl.node")

# containers made before the youngest are looked at; how often that is done before the older ones are, and all
COLLECTION_THRESHOLDS = (20_000, 20, 50)

M_ARENA_MAX = -8  # of mallopt, in glibc's malloc.h
MAX_ARENAS = 2  # heaps of the C allocator; it would make one for each thread


def limit_heaps() -> None:
    """Have threads share heaps: each would keep what its largest messages took. Called before threads begin; where the
    C library has no such setting, nothing is changed."""
    try:
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, MAX_ARENAS)
    except (AttributeError, OSError, TypeError):
        log.debug("the C library has no mallopt: memory may grow with the number of threads")


def settle_memory() -> None:
    """Have collections of garbage look at what messages leave behind only: codes and kernels stay.

    Snapshots, messages and advisories are freed without them, for they are in no circle: they are made rare.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


def start_embedded_broker(config: NodeConfig) -> Broker | None:
    """Start the broker that the node looks after, None where it uses one that runs elsewhere. Raises BrokerError."""
    section = config.broker
    if not section.embedded:
        return None

    record = config.record.path
    if section.folder:
        folder: Path | None = Path(section.folder)
    else:
        folder = Path(record).parent / "broker" if record else None

    return start_broker(folder, section.port, broker_tls(config), host=section.host, bridge=bridge_of(section))


def compile_kernels(loaded: list[codes.IntersectionCode]) -> None:
    """Load what is compiled, before a gateway can connect: what would wait meanwhile would be refused for its age."""
    log.info("loading compiled kernels; the first start on a machine compiles them, which takes about a minute")
    with compiling_in_turn(Path(package_file)):
        for code in loaded[:1]:
            warm(codes.compile_code(code))


def make_ownership(config: NodeConfig, worker: Worker | None) -> Ownership:
    """Return what a node owns: everything, its part as one of several workers, or what it has leases of."""
    if config.city.etcd:
        keys = config.keys()
        return Leases(config.city, keys.public if keys else None)
    return Alone() if worker is None else FixedHash(worker)


def make_signer(config: NodeConfig) -> Signer | None:
    """Return what signs advisories, None where they are not signed. Raises SignatureError, PrivateFileError."""
    file = config.node.signature_key
    return Signer(Path(file)) if file else None


def begin_recording(
    config: NodeConfig,
    engine_config: EngineConfig,
    loaded: list[codes.IntersectionCode],
    metrics: Metrics,
    clock: Clock,
) -> Recorder | None:
    """Begin the recording of a run with what its replay needs, None where none is wanted. Raises RecordingError."""
    record = config.record
    if not record.path:
        return None

    recorder = Recorder(Path(record.path), record.limits, metrics, clock)
    recorder.meta("config", msgspec.json.encode(engine_config))
    for code in loaded:
        recorder.meta("code", codes.dump(code), code.id)

    return recorder
