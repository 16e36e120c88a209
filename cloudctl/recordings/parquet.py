"""A recording as tables: one Parquet file each for detected objects, signal groups, vehicles, advisories and, where
they are asked for, tracks (the run is repeated for them).

pyarrow writes them (`pip install 'cloudctl[parquet]'`). Times are UTC to the ns; `t` is when it was so at its source,
`received` when the node received it.
"""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from ..engine import Engine, Output
from ..fusion import decode_batch
from ..geo import Origin as Place
from ..io.recording.chunks import IndexedRun
from ..io.recording.envelopes import raw_message_of
from ..io.recording.parts import RecordingError
from ..io.recording.setup import setup_of
from ..schema import Advisory, ObjectClass, Perception, RawMessage, Signal, SignalState, VehicleState
from .rewriting import META, TICK, Dropped, Written, faults_of

MAX_TIME: Final = 2**63 - 1  # ns
GROUP_ROWS: Final = 50_000  # of a table that are held before they are written
TIME, TEXT, WHOLE, REAL, FLAG = "time", "text", "whole", "real", "flag"
MEASURED = ("x", "y", "vx", "vy", "heading", "length", "width", "height", "var_x", "var_y", "cov_xy", "confidence")
TABLES: Final[dict[str, dict[str, str]]] = {
    "objects": {
        "received": TIME, "t": TIME, "gateway": TEXT, "rsu": TEXT, "sensor": TEXT, "seq": WHOLE, "id": WHOLE,
        "class": TEXT, "lat": REAL, "lon": REAL, **dict.fromkeys(MEASURED, REAL),
    },
    "signals": {
        "received": TIME, "t": TIME, "gateway": TEXT, "rsu": TEXT, "intersection": TEXT, "revision": WHOLE,
        "seq": WHOLE, "group": WHOLE, "state": TEXT, "min_end": TIME, "max_end": TIME, "likely_end": TIME,
        "confidence": REAL, "next_green": TIME,
    },
    "vehicles": {
        "received": TIME, "t": TIME, "vehicle": TEXT, "lat": REAL, "lon": REAL, "speed": REAL, "heading": REAL,
        "kind": TEXT, "length": REAL, "width": REAL, "accuracy": REAL, "movements": TEXT, "automated": FLAG,
    },
    "advisories": {
        "t": TIME, "id": TEXT, "kind": TEXT, "intersection": TEXT, "target": TEXT, "severity": WHOLE,
        "confidence": REAL, "reason": TEXT, "valid_until": TIME, "speed": REAL, "distance": REAL, "behaviour": TEXT,
        "status": TEXT, "revision": WHOLE, "signal_seq": WHOLE,
    },
    "tracks": {
        "t": TIME, "intersection": TEXT, "id": WHOLE, "class": TEXT, "lat": REAL, "lon": REAL, "x": REAL, "y": REAL,
        "vx": REAL, "vy": REAL, "heading": REAL, "length": REAL, "width": REAL, "existence": REAL, "vehicle": TEXT,
    },
}  # fmt: skip


class ParquetTables:
    """The tables of one folder. Rows are lists in the order of `TABLES`."""

    def __init__(self, folder: Path) -> None:
        """Raises RecordingError where pyarrow is missing, or the folder is not empty or cannot be made."""
        try:
            import pyarrow as arrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise RecordingError("Parquet needs pyarrow: pip install 'cloudctl[parquet]'") from None

        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RecordingError(f"{folder} exists and is not empty: nothing is written over. Give another name")

        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RecordingError(f"cannot write {folder}: {error.strerror}. Give a place you may write to") from None

        self._arrow, self._parquet, self._folder = arrow, parquet, folder
        self._types = {
            TIME: arrow.timestamp("ns", tz="UTC"),
            TEXT: arrow.string(),
            WHOLE: arrow.int64(),
            REAL: arrow.float64(),
            FLAG: arrow.bool_(),
        }

        self._rows: dict[str, list[list[Any]]] = {name: [] for name in TABLES}
        self._writers: dict[str, Any] = {}
        self.counts: Counter[str] = Counter()

    def add(self, table: str, row: list[Any]) -> None:
        """Add a row."""
        rows = self._rows[table]
        rows.append(row)
        self.counts[table] += 1
        if len(rows) >= GROUP_ROWS:
            self._write(table)

    def close(self) -> None:
        """Write the rest."""
        for table in TABLES:
            self._write(table)
        for writer in self._writers.values():
            writer.close()

    def discard(self) -> None:
        """Leave nothing behind."""
        for writer in self._writers.values():
            writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, table: str) -> None:
        rows, self._rows[table] = self._rows[table], []
        if not rows:
            return

        fields = [(name, self._types[kind]) for name, kind in TABLES[table].items()]
        columns = [
            self._arrow.array(column, kind) for column, (_, kind) in zip(zip(*rows, strict=True), fields, strict=True)
        ]
        if table not in self._writers:
            path = self._folder / f"{table}.parquet"
            self._writers[table] = self._parquet.ParquetWriter(path, self._arrow.schema(fields))

        self._writers[table].write_table(self._arrow.Table.from_arrays(columns, names=[name for name, _ in fields]))


def export_parquet(source: Path, out: Path, tracks: bool = False) -> Written:
    """Write the tables of the run that `source` is of into the folder `out`. Raises RecordingError."""
    run = IndexedRun(source)
    dropped = Dropped()
    engine = None

    if tracks:
        config, codes = setup_of(run)
        engine = Engine(codes, config)

    tables = ParquetTables(out)
    try:
        _fill(run, tables, dropped, engine)
        tables.close()
    except BaseException:
        tables.discard()
        raise

    kept = {f"{table}.parquet": count for table, count in tables.counts.items()}
    return Written(out, kept, dropped.lines(), faults_of(run), False)


def _fill(run: IndexedRun, tables: ParquetTables, dropped: Dropped, engine: Engine | None) -> None:
    rows_of = {
        "in/perception": ("objects", _object_rows),
        "in/signal": ("signals", _signal_rows),
        "in/state": ("vehicles", _vehicle_rows),
    }
    batch: list[RawMessage] = []
    for message in run.messages():
        topic = message.channel.topic
        if topic == META:
            continue

        if topic == TICK:
            if engine is not None:
                for row in _track_rows(engine.step(message.t, batch)):
                    tables.add("tracks", row)
            batch = []
            continue

        if topic == "out/advisories":
            table, rows = "advisories", _advisory_rows(message.data)
        elif topic.startswith("in/"):
            raw = raw_message_of(topic, message.data)
            if engine is not None:
                batch.append(raw)

            if topic not in rows_of:
                dropped.add(topic, "no table holds it")
                continue

            table, make = rows_of[topic]
            rows = make(message.t, raw, dropped)
        else:
            dropped.add(topic, "no table holds it")
            continue

        try:
            for row in rows:
                tables.add(table, row)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            dropped.add(topic, "does not decode: the node refused it too")


def _object_rows(received: int, raw: RawMessage, dropped: Dropped) -> Iterator[list[Any]]:
    body = msgspec.msgpack.decode(raw.body, type=Perception)
    origin = Place(body.lat, body.lon)
    rows, _, (fault,) = decode_batch([bytes(body.objects)], np.zeros((1, 2)))

    if fault is not None:
        dropped.add("in/perception", "objects that the node refused", fault.refused)

    lat, lon = origin.to_geodetic(rows["x"], rows["y"])
    columns = [rows[name].tolist() for name in MEASURED]
    head = (received, body.t, raw.sender, body.rsu, body.sensor, body.seq)

    for number, object_class, *rest in zip(
        rows["id"].tolist(), rows["class"].tolist(), lat.tolist(), lon.tolist(), *columns, strict=True
    ):
        yield [*head, number, ObjectClass(object_class).name.lower(), *rest]


def _signal_rows(received: int, raw: RawMessage, _: Dropped) -> Iterator[list[Any]]:
    body = msgspec.msgpack.decode(raw.body, type=Signal)
    head = (received, body.t, raw.sender, body.rsu, body.intersection, body.revision, body.seq)
    for group in body.groups:
        state = SignalState(group.state).name.lower()
        ends = map(_time_or_none, (group.min_end, group.max_end, group.likely_end))
        yield [*head, group.group, state, *ends, group.confidence, _time_or_none(group.next_green)]


def _time_or_none(t: int | None) -> int | None:
    """Return a time that a table can hold; what controllers write for "not known" is none."""
    return t if t is not None and 0 <= t < MAX_TIME else None


def _vehicle_rows(received: int, raw: RawMessage, _: Dropped) -> Iterator[list[Any]]:
    state = msgspec.json.decode(raw.body, type=VehicleState)
    movements = None if state.movements is None else " ".join(state.movements)
    yield [
        received, state.t, raw.sender, state.lat, state.lon, state.speed, state.heading, state.kind, state.length,
        state.width, state.accuracy, movements, state.automated,
    ]  # fmt: skip


def _advisory_rows(data: bytes) -> Iterator[list[Any]]:
    advisory = msgspec.json.decode(data, type=Advisory)
    yield [
        advisory.t, advisory.id, advisory.kind, advisory.intersection, advisory.target, advisory.severity,
        advisory.confidence, advisory.reason, advisory.valid_until, advisory.speed, advisory.distance,
        advisory.behaviour, advisory.status, advisory.inputs.revision, advisory.inputs.signal_seq,
    ]  # fmt: skip


def _track_rows(output: Output) -> Iterator[list[Any]]:
    for intersection in output.planned:
        world = intersection.latest
        if world is None:
            continue

        tracks, code = world.tracks, world.code
        lat, lon = code.origin.to_geodetic(tracks["x"], tracks["y"])
        names = ("x", "y", "vx", "vy", "heading", "length", "width", "existence")
        columns = [tracks[name].tolist() for name in names]
        vehicles = [world.vehicles[k].id if k >= 0 else None for k in world.report.tolist()]

        for number, object_class, vehicle, *rest in zip(
            tracks["id"].tolist(), tracks["class"].tolist(), vehicles, lat.tolist(), lon.tolist(), *columns, strict=True
        ):
            yield [world.t, code.code.id, number, ObjectClass(object_class).name.lower(), *rest, vehicle]
