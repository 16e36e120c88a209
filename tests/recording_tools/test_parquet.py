"""Recordings as Parquet tables, read back with pyarrow."""

from pathlib import Path

import msgspec
import pyarrow.parquet as parquet
import pytest
from paths import GOLDEN
from recorded_runs import START, config_for, write_run

from cloudctl.clock import SECOND
from cloudctl.codes import CompiledCode
from cloudctl.io.recording.parts import RecordingError
from cloudctl.io.recording.reader import Recording
from cloudctl.recordings.parquet import TABLES, export_parquet
from cloudctl.schema import VERSION, Advisory, Group, Perception, RawMessage, Signal, SignalState

KEPT = {"objects": 2160, "signals": 720, "vehicles": 12, "advisories": 5}


def rows(folder: Path, table: str) -> list[dict]:
    return parquet.read_table(folder / f"{table}.parquet").to_pylist()


def test_the_tables_hold_what_the_run_holds(tmp_path: Path) -> None:
    written = export_parquet(GOLDEN, tmp_path / "out")
    assert written.kept == {f"{table}.parquet": count for table, count in KEPT.items()}
    steps = list(Recording(GOLDEN).steps())
    recorded = [msgspec.json.decode(data, type=Advisory) for step in steps for data in step.advisories]
    told = rows(tmp_path / "out", "advisories")
    assert [(row["id"], row["reason"]) for row in told] == [(one.id, one.reason) for one in recorded]
    table = parquet.read_table(tmp_path / "out" / "advisories.parquet")
    assert table["t"].cast("int64").to_pylist() == [one.t for one in recorded]
    assert str(table.schema.field("t").type) == "timestamp[ns, tz=UTC]"
    for name in KEPT:
        assert parquet.read_schema(tmp_path / "out" / f"{name}.parquet").names == list(TABLES[name])


def test_tracks_come_from_the_run_repeated(tmp_path: Path) -> None:
    export_parquet(GOLDEN, tmp_path / "out", tracks=True)
    tracks = rows(tmp_path / "out", "tracks")
    assert {row["class"] for row in tracks} == {"car"}
    assert {row["vehicle"] for row in tracks} == {None, "car"}
    last = max(row["t"] for row in tracks)
    assert sum(row["t"] == last for row in tracks) == 12


def test_what_the_node_refused_is_left_out_and_counted(tmp_path: Path, code: CompiledCode) -> None:
    encode = msgspec.msgpack.encode

    def perception(objects: object) -> RawMessage:
        raw = msgspec.Raw(encode(objects))
        body = Perception(VERSION, "rsu-0", "cam", 1, START, code.origin.lat, code.origin.lon, raw)
        return RawMessage("perception", "g", encode(body))

    forever = Group(1, SignalState.GREEN_FLASH, min_end=2**64 - 1, max_end=START)
    signal = Signal(VERSION, "rsu-0", code.code.id, 1, 1, START, (forever,))
    batch = [
        perception([{"x": 1.0, "y": 2.0, "class": "bus"}, {"x": float("nan"), "y": 1.0}]),
        RawMessage("perception", "g", b"\xff\xff"),
        RawMessage("state", "car", b"{"),
        RawMessage("signal", "g", encode(signal)),
        RawMessage("hello", "g", b""),
    ]
    write_run(tmp_path / "run.mcap", config_for(code.code.id), [code], [(START + SECOND, batch, [])])
    written = export_parquet(tmp_path / "run.mcap", tmp_path / "out")
    (seen,) = rows(tmp_path / "out", "objects")
    assert (seen["class"], seen["x"], seen["gateway"], seen["sensor"]) == ("bus", 1.0, "g", "cam")
    (shown,) = rows(tmp_path / "out", "signals")
    assert (shown["state"], shown["min_end"], shown["max_end"].timestamp() * SECOND) == ("green_flash", None, START)
    assert written.dropped == [
        "dropped 1 of in/hello: no table holds it",
        "dropped 1 of in/perception: does not decode: the node refused it too",
        "dropped 1 of in/perception: objects that the node refused",
        "dropped 1 of in/state: does not decode: the node refused it too",
    ]


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(RecordingError, match="not empty"):
        export_parquet(GOLDEN, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]
