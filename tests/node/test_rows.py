"""The rows of a perception frame stand alone: a bad one is refused and named, the others are used."""

import math

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from messages_to_an_engine import T, feed, perception

from cloudctl.client import pack
from cloudctl.clock import MS
from cloudctl.codes import CompiledCode
from cloudctl.engine import Engine
from cloudctl.fusion import decode_batch

GOOD = {
    "x": 1.0,
    "y": 2.0,
    "class": "car",
    "length": 4.5,
    "heading": 0.1,
    "vx": 3.0,
    "vy": 0.5,
    "var_x": 0.1,
    "var_y": 0.1,
}
PLAIN = {name: value for name, value in GOOD.items() if name != "class"}
FLOATS = ("confidence", "x", "y", "z", "vx", "vy", "heading", "length", "width", "height", "var_x", "var_y", "cov_xy")
ANYTHING = st.one_of(
    st.floats(width=32), st.sampled_from([0.0, -1.0, -999.0, 1e9, 163.83, 655.35, 360.0, 1023.0, 3.4028234663852886e38])
)


def columns(rows: list[dict[str, float]]) -> bytes:
    """Return rows as a block."""
    return pack(
        {
            name: np.array([row.get(name, 1.0 if name == "confidence" else math.nan) for row in rows], np.float32)
            for name in FLOATS
        }
        | {"id": np.zeros(len(rows), np.uint32)}
    )


@pytest.mark.parametrize("as_block", [True, False])
def test_one_bad_row_of_ten_is_refused_and_named_and_nine_are_used(
    engine: Engine, code: CompiledCode, as_block: bool
) -> None:
    bad = {"x": math.nan, "length": 75.0, "var_x": -0.5, "heading": 90.0, "vx": 140.0, "confidence": 80.0}
    for q, (field, value) in enumerate(bad.items()):
        rows = [{**PLAIN, "x": 10.0 * k} for k in range(10)]
        rows[7] = {**rows[7], field: value}
        objects = columns(rows) if as_block else rows
        rejects = feed(engine, "perception", perception(code, q=q, o=objects, t=T + q * 100 * MS), t=T + q * 100 * MS)
        assert [reject.field.partition(",")[0] for reject in rejects] == [f"o[7].{field}"]
        assert rejects[0].rule
        assert rejects[0].remedy
        assert engine.metrics.by_source("reject.row") == {"reject.row": {"r0/cam": q + 1}}
        assert engine.metrics.total("accept.perception") == q + 1
    assert engine.intersections[code.code.id].fusion.stats()["sources"][0]["detections"] == 9 * len(bad)


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 0.0}, {"length": -1.0, "width": -1.0, "height": -1.0}, {"length": 102.3}, {"width": -999.0}, {"height": 1e9},  # noqa: E501
        {"vx": 163.83 * math.cos(1.0), "vy": 163.83 * math.sin(1.0)}, {"vx": 655.35}, {"vx": -999.0, "vy": -999.0}, {"vy": 3.4028234663852886e38},  # noqa: E501
        {"heading": 360.0}, {"heading": math.radians(360.1)}, {"heading": -999.0}, {"confidence": -1.0}, {"heading": 28800.0},  # noqa: E501
    ],
)  # fmt: skip
@pytest.mark.parametrize("as_block", [True, False])
def test_what_means_not_available_is_taken_as_not_measured_and_counted(
    engine: Engine, code: CompiledCode, changes: dict, as_block: bool
) -> None:
    row = PLAIN | changes
    payload = msgpack.packb(columns([row]) if as_block else [row])
    rows, _, (fault,) = decode_batch([payload])
    assert fault is not None
    assert fault.refused == 0
    assert fault.unmeasured >= len(changes) - 1
    assert all(np.isnan(rows[name][0]) for name in changes)
    assert rows["x"][0] == 1.0
    assert feed(engine, "perception", perception(code, o=[row])) == []
    assert engine.metrics.total("perception.not_available") >= 1


def test_a_frame_with_no_good_row_is_refused_and_ends_no_track(engine: Engine, code: CompiledCode) -> None:
    for q in range(5):
        feed(engine, "perception", perception(code, q=q, t=T + q * 100 * MS), t=T + q * 100 * MS)
    fusion = engine.intersections[code.code.id].fusion
    scans = fusion.stats()["sources"][0]["scans"]
    for q in range(5, 15):
        t = T + q * 100 * MS
        (reject,) = feed(engine, "perception", perception(code, q=q, t=t, o=[{"x": math.nan, "y": 1.0}]), t=t)
        assert reject.field == "o[0].x"
    assert fusion.stats()["sources"][0]["scans"] == scans, "rubbish is no proof that there is nothing to see"
    assert engine.metrics.total("reject.perception") == 10
    assert fusion.stats()["count"] == 1
    assert feed(engine, "perception", perception(code, q=15, t=T + 1500 * MS, o=[]), t=T + 1500 * MS) == []
    assert fusion.stats()["sources"][0]["scans"] == scans + 1, "a frame without objects is one"


def test_of_many_bad_rows_eight_are_answered_and_all_counted(engine: Engine, code: CompiledCode) -> None:
    rejects = feed(engine, "perception", perception(code, o=[{"x": math.inf, "y": 1.0}] * 500 + [{"x": 1.0, "y": 1.0}]))
    assert [reject.field for reject in rejects] == [f"o[{k}].x" for k in range(8)]
    assert engine.metrics.total("reject.row") == 500
    assert engine.metrics.total("accept.perception") == 1


@settings(max_examples=300)
@given(st.lists(st.dictionaries(st.sampled_from(FLOATS), ANYTHING), min_size=1, max_size=12))
def test_any_numbers_leave_the_other_rows_as_they_are_in_both_forms(strange: list[dict[str, float]]) -> None:
    rows = [{"x": 5.0, "y": float(k), **(strange[k // 2] if k % 2 else {})} for k in range(2 * len(strange))]
    payloads = [
        msgpack.packb(columns(rows)),
        msgpack.packb([{name: float(np.float32(v)) for name, v in row.items()} for row in rows]),
    ]
    found, offsets, faults = decode_batch(payloads)
    block_rows, list_rows = found[: offsets[1]], found[offsets[1] :]
    for name in block_rows.dtype.names:
        assert np.array_equal(block_rows[name], list_rows[name], equal_nan=name != "class"), name
    refused = faults[0].refused if faults[0] else 0
    assert refused == (faults[1].refused if faults[1] else 0)
    assert len(block_rows) + refused == len(rows)
    assert set(range(0, len(rows), 2)) <= set(block_rows["y"][block_rows["x"] == 5.0].tolist())
    assert np.isfinite(block_rows["x"]).all()
    assert (np.abs(block_rows["x"]) <= 2000).all()
    for name, low, high in (
        ("vx", -100, 100),
        ("heading", -6.29, 6.29),
        ("length", 0.0009, 60),
        ("var_x", 0, 1e4),
        ("confidence", 0, 1),
    ):
        assert (np.isnan(block_rows[name]) | ((block_rows[name] >= low) & (block_rows[name] <= high))).all()


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(),
        st.text(max_size=5),
        st.binary(max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    st.lists(
        st.one_of(VALUES, st.dictionaries(st.sampled_from([*FLOATS, "id", "class", "note"]), VALUES, max_size=5)),
        max_size=8,
    )
)
def test_objects_of_any_make_are_passed_over_one_by_one(strange: list[object]) -> None:
    objects = [x for item in strange for x in (item, {"x": 3.0, "y": 4.0, "id": 7})]
    rows, _, (fault,) = decode_batch([msgpack.packb(objects)])
    assert np.count_nonzero((rows["x"] == 3.0) & (rows["id"] == 7)) >= len(strange)
    assert len(rows) + (fault.refused if fault else 0) == len(objects)


@settings(max_examples=500)
@given(st.data())
def test_bytes_that_were_changed_on_the_way_end_in_rows_or_a_reason(data: st.DataObject) -> None:
    whole = bytearray(msgpack.packb(data.draw(st.sampled_from([columns([PLAIN] * 5), [GOOD] * 5]))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    rows, offsets, (fault,) = decode_batch([bytes(whole[: data.draw(st.integers(0, len(whole)))])])
    assert offsets[-1] == len(rows)
    assert fault is None or fault.refused == 0 or fault.first
