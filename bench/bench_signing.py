"""What signed advisories cost: the node signs each once, a vehicle verifies each that it gets."""

import tempfile
from pathlib import Path

from bench.timing import interleaved, ratios
from cloudctl.clock import SECOND
from cloudctl.engine import encode
from cloudctl.io.signatures import Signer, Verifier, new_signature_key
from cloudctl.schema import Advisory, AdvisoryKind, Inputs
from cloudctl.topics import MqttTopics

T = 1_800_000_000 * SECOND
ADVISORY = Advisory(
    id="UST1.110115403.IX.N50J572077A237.0001H-abc123-17",
    kind=AdvisoryKind.SIGNAL_STOP,
    intersection="UST1.110115403.IX.N50J572077A237.0001H",
    target="vehicle:car-1",
    severity=1,
    confidence=0.9,
    reason="group 9 shows red, and nothing sure says that it turns green before you come: stop at the line, 45 m ahead",
    t=T,
    valid_until=T + 3 * SECOND,
    inputs=Inputs(1),
    distance=45.0,
)


def run() -> str:
    """Return the table: us to sign and to verify an advisory."""
    topic = MqttTopics.vehicle("car-1", "advisories")
    with tempfile.TemporaryDirectory() as folder:
        public_key = new_signature_key(Path(folder) / "signature.key")
        signer, verifier = Signer(Path(folder) / "signature.key"), Verifier(public_key)

    payload = encode(ADVISORY)
    signed = signer.sign(topic, payload)
    assert verifier.verify(topic, signed)
    jobs = {
        "encode": lambda: encode(ADVISORY),
        "sign": lambda: signer.sign(topic, payload),
        "verify": lambda: verifier.verify(topic, signed),
    }

    size = f"{len(payload)} bytes, signed {len(signed)}"
    return f"{ratios(interleaved(jobs), 'encode')}\n{size}"
