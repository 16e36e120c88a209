"""The binary format of the live page: what Python writes is what the page's JavaScript reads, whatever is in it."""

import base64
import json
import re
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stage import Stage, T

from bench.browser import Browser
from cloudctl.clock import MS, SECOND
from cloudctl.codes import CompiledCode
from cloudctl.view import columns
from cloudctl.view.columns import FrameKind
from cloudctl.view.routes import PAGE


def javascript_table(name: str) -> list[tuple[str, str]]:
    text = (PAGE / "format.js").read_text()
    found = re.search(rf"export const {name} = \[(.*?)\n\];", text, re.S)
    assert found is not None
    return re.findall(r'\["(\w+)", "(\w+)"\]', found[1])


@pytest.mark.parametrize("name", ["TRACK_COLUMNS", "GROUP_COLUMNS", "OVERVIEW_COLUMNS"])
def test_javascript_and_python_have_the_same_columns_in_the_same_order(name: str) -> None:
    assert javascript_table(name) == [tuple(column) for column in getattr(columns, name)]


def test_javascript_and_python_have_the_same_version_and_kinds_of_frames() -> None:
    text = (PAGE / "format.js").read_text()
    assert re.search(r"VERSION = (\d+)", text)[1] == str(columns.VERSION)
    kinds = re.search(r"Kind = Object.freeze\(\{(.*?)\}\)", text, re.S)[1]
    assert dict(re.findall(r"(\w+): (\d+)", kinds)) == {kind.name: str(kind.value) for kind in FrameKind}


def test_javascript_knows_every_signal_state_condition_and_class() -> None:
    from cloudctl.schema import ObjectClass, SignalState

    looks = re.search(r"LOOKS = \[(.*?)\n\];", (PAGE / "signals.js").read_text(), re.S)[1]
    assert len([line for line in looks.strip().splitlines() if line.strip()]) == len(SignalState)
    classes = re.search(r"CLASSES = \[(.*?)\]", (PAGE / "tracks.js").read_text())[1]
    assert re.findall(r'"(\w+)"', classes) == [kind.name.lower() for kind in ObjectClass]
    conditions = re.search(r"CONDITIONS = \[(.*?)\n\];", (PAGE / "zone.js").read_text(), re.S)[1]
    assert conditions.count("word:") == len(columns.Condition)


def staged(code: CompiledCode, speeds: list[float]) -> Stage:
    stage = Stage(code)
    for k, speed in enumerate(speeds):
        stage.put(stage.ingress[k % len(stage.ingress)], 10.0 + 7.0 * k, speed, "car" if k % 2 else None)
    return stage


def test_a_snapshot_says_what_the_world_says(code: CompiledCode) -> None:
    world = staged(code, [3.0, 8.0, 0.0, 11.5]).world()
    data = columns.snapshot(7, world, world.signals)
    version, kind, _, _length = columns.HEAD.unpack_from(data)
    assert (version, kind, len(data) % columns.ALIGNMENT) == (columns.VERSION, FrameKind.SNAPSHOT, 0)
    t_ms, index, revision, *_, tracks, groups, names_bytes = columns.SNAPSHOT_HEAD.unpack_from(data, columns.HEAD.size)
    assert (t_ms, index, revision) == (T / MS, 7, code.code.revision)
    assert (tracks, groups) == (4, len(code.group_ids))

    start, read = columns.HEAD.size + columns.SNAPSHOT_HEAD.size, {}
    for number, column in columns.SNAPSHOT_ORDER:
        rows = (tracks, groups)[number]
        assert start % np.dtype(column.type).itemsize == 0, f"{column.name} is not aligned"
        read[column.name] = np.frombuffer(data, f"<{column.type}", rows, start)
        start += rows * np.dtype(column.type).itemsize
    assert data[start : start + names_bytes].decode().split("\n") == [vehicle.id for vehicle in world.vehicles]
    assert read["id"].tolist() == world.tracks["id"].tolist()
    assert read["x"] == pytest.approx(world.tracks["x"], abs=0.001)
    assert read["connected"].tolist() == (world.report + 1).tolist()
    assert read["min_end"] == pytest.approx((world.signals.min_end - T) / SECOND, abs=1e-3)


@given(
    speeds=st.lists(st.floats(0.0, 30.0), max_size=60),
    times=st.lists(st.sampled_from([0, 1, 2**62]), min_size=12, max_size=12),
)
@settings(max_examples=30)
def test_times_that_are_not_known_are_never_numbers(code: CompiledCode, speeds: list[float], times: list[int]) -> None:
    world = staged(code, speeds).world()
    groups = len(code.group_ids)
    ends = np.array((times * groups)[:groups], np.int64)
    seconds = columns.seconds_until(T, ends)
    assert np.isnan(seconds).tolist() == (ends == 2**62).tolist()
    assert len(columns.snapshot(0, world, world.signals)) % columns.ALIGNMENT == 0


FRAMES = """(() => Promise.all([import("./format.js")]).then(([format]) => {
  const bytes = Uint8Array.from(atob("DATA"), (c) => c.charCodeAt(0));
  const plain = (value) => value instanceof Object && ArrayBuffer.isView(value) ? Array.from(value, (v) => Number.isNaN(v) ? null : v)
    : Array.isArray(value) ? value.map(plain) : value instanceof Object ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
    : Number.isNaN(value) ? null : value;
  try { return JSON.stringify(format.decode(bytes.buffer).map(({ kind, value }) => ({ kind, value: plain(value) }))); }
  catch (error) { return JSON.stringify({ error: error.constructor.name, text: error.message }); }
}))()"""  # noqa: E501


def decoded(browser: Browser, message: bytes) -> list[dict]:
    return json.loads(browser.run(FRAMES.replace("DATA", base64.b64encode(message).decode())))


def as_javascript(values: np.ndarray, type_name: str) -> list[float | None]:
    plain = values.astype(f"<{type_name}").tolist()
    return [None if isinstance(value, float) and np.isnan(value) else value for value in plain]


@given(data=st.data())
@settings(max_examples=25)
def test_the_page_reads_every_snapshot_as_it_was_written(
    code: CompiledCode, page_browser: Browser, data: st.DataObject
) -> None:
    speeds = data.draw(st.lists(st.floats(0.0, 30.0), max_size=70))
    world = staged(code, speeds).world()
    for name in ("x", "y", "vx", "heading", "length", "var_x"):
        for row in range(len(world.tracks)):
            world.tracks[name][row] = data.draw(
                st.floats(-1e4, 1e4, width=32) | (st.just(float("nan")) if name != "var_x" else st.just(0.5))
            )
    notes = [{"type": "notice", "t": 1.5, "of": "signal", "text": data.draw(st.text(max_size=20)), "intersection": ""}]
    message = columns.snapshot(3, world, world.signals) + columns.json_frame(FrameKind.EVENTS, notes)
    snapshot, events = decoded(page_browser, message)
    assert events == {"kind": FrameKind.EVENTS, "value": notes}
    read = snapshot["value"]
    assert (snapshot["kind"], read["t"], read["index"], read["tracks"]["rows"]) == (
        FrameKind.SNAPSHOT,
        T / MS,
        3,
        len(speeds),
    )
    for name, kind in columns.TRACK_COLUMNS:
        if name in world.tracks.dtype.names and name != "existence":
            assert read["tracks"][name] == as_javascript(world.tracks[name], kind), name
    assert read["names"] == [vehicle.id for vehicle in world.vehicles]
    expected = columns.group_columns(world.t, world, world.signals)
    for name, kind in columns.GROUP_COLUMNS:
        assert read["groups"][name] == as_javascript(np.asarray(expected[name]), kind), name


@given(rows=st.integers(0, 900))
@settings(max_examples=10)
def test_the_page_reads_every_overview_as_it_was_written(page_browser: Browser, rows: int) -> None:
    rng = np.random.default_rng(rows)
    table = {column.name: rng.integers(0, 200, rows).astype(column.type) for column in columns.OVERVIEW_COLUMNS}
    (found,) = decoded(page_browser, columns.overview(5 * SECOND, table))
    assert found["value"]["t"] == 5000
    for column in columns.OVERVIEW_COLUMNS:
        assert found["value"][column.name] == as_javascript(table[column.name], column.type)


def test_a_frame_of_another_version_or_cut_off_is_refused_in_words(page_browser: Browser) -> None:
    whole = columns.json_frame(FrameKind.NODE, {"a": 1})
    other = struct.pack("<BBHI", columns.VERSION + 1, FrameKind.NODE, 0, 2) + b"{}" + bytes(6)
    assert "Load the page again" in decoded(page_browser, other)["text"]
    assert decoded(page_browser, whole[:-8] + b"")["error"] == "FormatError"
    assert decoded(page_browser, b"") == []


def test_encoding_is_cheap_beside_json(code: CompiledCode) -> None:
    world = staged(code, [5.0] * 60).world()
    block = columns.snapshot(0, world, world.signals)
    listed = [{name: row[name].item() for name in world.tracks.dtype.names} for row in world.tracks]
    assert len(block) < len(msgspec.json.encode(listed)) / 4
