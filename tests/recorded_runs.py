"""Recorded runs for tests of what is done with recordings: random ones, and one of two intersections."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st
from mcap.reader import NonSeekingReader, SeekingReader
from two_intersections import elsewhere, two_places

from cloudctl import codes
from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.reader import Recorder
from cloudctl.payloads import encode
from cloudctl.schema import RawMessage
from cloudctl.settings import EngineConfig

START = 1_767_225_600 * SECOND
GATEWAYS = ("g", "h")


def config_for(*places: str) -> EngineConfig:
    """Return a configuration with one gateway and one roadside unit per place."""
    return EngineConfig({GATEWAYS[k]: {f"rsu-{k}": place} for k, place in enumerate(places)})


def write_run(path: Path, config: EngineConfig, own_codes: list[CompiledCode], steps: list[Any]) -> None:
    """Record steps of (t, batch, advisories)."""
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(config))
    for code in own_codes:
        recorder.meta("code", codes.dump(code.code))
    for t, batch, advisories in steps:
        recorder.step(t, batch, advisories)
        if len(batch) % 3 == 2:
            recorder.flush()
    recorder.close()


def body_of(unit: str, sensor: str, number: int) -> bytes:
    return msgspec.msgpack.encode({"r": unit, "s": sensor, "q": number})


@st.composite
def batches(draw: st.DrawFn) -> list[Any]:
    """Draw the steps of a run: times that do not run backwards, some alike; messages of every kind, some of them
    junk."""
    steps, t = [], START
    for number in range(draw(st.integers(2, 12))):
        t += draw(st.sampled_from([0, 1, 100_000_000, 2 * SECOND]))
        batch = []
        for k in range(draw(st.integers(0, 4))):
            gateway = draw(st.sampled_from([0, 1]))
            body = draw(
                st.sampled_from([body_of(f"rsu-{gateway}", f"s{k}", number), b"", b"\xff", f"{number} {k}".encode()])
            )
            kind = draw(st.sampled_from(["perception", "signal", "hello", "sync", "state", "acks", "unheard of"]))
            sender = f"car-{k}" if kind in ("state", "acks") else GATEWAYS[gateway]
            batch.append(RawMessage(kind, sender, body))
        advisories = [b'{"id":"%d.%d"}' % (number, k) for k in range(draw(st.integers(0, 2)))]
        steps.append((t, batch, advisories))
    return steps


def official(path: Path) -> list[tuple[str, int, bytes]]:
    """Return every message as the mcap package's own readers give it, its CRCs checked; both must agree."""
    with path.open("rb") as file:
        streamed = [
            (channel.topic, message.log_time, message.data)
            for _, channel, message in NonSeekingReader(file, validate_crcs=True).iter_messages(log_time_order=False)
        ]
    with path.open("rb") as file:
        reader = SeekingReader(file, validate_crcs=True)
        summary = reader.get_summary()
        indexed = [
            (channel.topic, message.log_time, message.data)
            for _, channel, message in reader.iter_messages(log_time_order=False)
        ]
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == len(streamed)
    assert Counter(streamed) == Counter(indexed)
    return streamed


def of_run(path: Path) -> list[tuple[str, int, bytes]]:
    """Return the messages but for the descriptions of the file itself."""
    return [entry for entry in official(path) if entry[0] != "meta"]


def record_two_places(path: Path, seconds: float = 4.0) -> tuple[str, str]:
    """Record a run of two intersections with traffic; return their ids."""
    first, second, engine = two_places()
    recorder = Recorder(path)
    recorder.meta("config", msgspec.json.encode(engine.config))
    for compiled in (first.code, second.code):
        recorder.meta("code", codes.dump(compiled.code))
    for (t, batch), (_, other) in zip(first.run(seconds), second.run(seconds), strict=True):
        both = [*batch, *map(elsewhere, other)]
        output = engine.step(t, both)
        recorder.step(t, both, [encode(advisory) for advisory in output.advisories])
    recorder.close()
    return first.code.code.id, second.code.code.id
