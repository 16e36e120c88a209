"""What a node begins with, from its configuration: broker, recording, key for signatures."""

import gc
from pathlib import Path

import msgspec

from .. import codes
from ..clock import Clock
from ..io.broker import Broker
from ..io.broker import start as start_broker
from ..io.recording.reader import Recorder
from ..io.signatures import Signer
from ..metrics import Metrics
from ..settings import EngineConfig
from .config import NodeConfig
from .init_folder import broker_tls

# containers made before the youngest are looked at; how often that is done before the older ones are, and all
COLLECTION_THRESHOLDS = (20_000, 20, 50)


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
    return start_broker(folder, section.port, broker_tls(config), host=section.host)


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
        recorder.meta("code", codes.dump(code))
    return recorder
