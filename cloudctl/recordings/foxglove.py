"""A recording with what other viewers show: the run is repeated, and what each step shows is written beside it."""

from pathlib import Path

from ..engine import Engine
from ..foxglove.channels import ROOT, ViewChannels
from ..io.recording.chunks import IndexedRun, RecordedMessage
from ..io.recording.envelopes import raw_message_of
from ..io.recording.parts import Part
from ..io.recording.setup import setup_of
from ..schema import RawMessage
from .rewriting import META, TICK, Dropped, Origin, RunWriter, Written, derived_name, faults_of, run_name, software_of


def add_views(source: Path, out: Path) -> Written:
    """Write the run that `source` is of to `out`, with Foxglove channels: each in the step that it shows. Raises
    RecordingError."""
    run = IndexedRun(source)
    config, codes = setup_of(run)
    engine = Engine(codes, config)
    channels = ViewChannels(engine)
    dropped = Dropped()

    with RunWriter(out) as writer:
        name = derived_name("foxglove", [run_name(run)])
        meta = [entry for entry in run.meta if entry[0] != "origin"]
        part = Part(name, 1, run.begin, run.begin, tuple(run.gaps()), software_of([run]))
        writer.begin(part, meta)
        batch: list[RawMessage] = []
        waiting: list[RecordedMessage] = []

        for message in run.messages():
            topic = message.channel.topic
            if topic == META:
                continue

            if topic.startswith(f"{ROOT}/"):
                dropped.add(topic, "made anew")
                continue

            if topic != "out/advisories":
                for view in waiting:
                    writer.add(view)
                waiting = []

            writer.add(message)
            if topic.startswith("in/"):
                batch.append(raw_message_of(topic, message.data))

            if topic == TICK:
                output = engine.step(message.t, batch)
                batch = []
                waiting = [
                    RecordedMessage(view.kind, message.t, view.t, view.data)
                    for view in channels.messages(message.t, output, lambda _: True)
                ]

        for view in waiting:
            writer.add(view)

        lost = {f"{topic}: {reason}": count for (topic, reason), count in sorted(dropped.counts.items())}
        writer.add_origin(Origin("export", (run_name(run),), lost))

    return Written(out, dict(writer.kept), dropped.lines(), faults_of(run), not run.damaged_chunks)
