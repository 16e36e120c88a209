"""The tracker's face: what is given is taken right or refused with the field, the rule and the remedy, and trackers are
safe in threads and copies.
"""

from typing import Any

import face_inputs
import numpy as np
import pytest
from cloudctl.sim.tracking.scenes import one_sensor
from sightings import STEP, T

from cloudctl.fusion import DETECTION, Fusion, FusionConfig, Motion, SourceConfig, detections, update_batch
from cloudctl.fusion_settings import FUSION_RANGES, MOTION_RANGES, SOURCE_RANGES


@pytest.mark.parametrize("trial", face_inputs.TRIALS, ids=lambda trial: trial.__name__)
def test_anything_given_is_taken_or_refused_with_a_remedy(trial: Any) -> None:
    trial()


# --- arrays ---


def test_a_first_try_gives_tracks() -> None:
    fusion = Fusion()
    for k in range(20):
        fusion.update(T + k * STEP, 0, detections([[0.8 * k, 2.0], [3.0, -4.0]], class_=[1, 6]))
    tracks = fusion.tracks(T + 19 * STEP)
    assert [round(float(v)) for v in tracks["x"]] == [15, 3]
    assert tracks["vx"][0] == pytest.approx(8.0, abs=0.3)


def test_columns_that_are_not_given_are_not_measured() -> None:
    rows = detections(np.arange(6).reshape(3, 2), vx=[1, np.nan, 3], length=4.5, class_=6, id=[7, 8, 9], width=None)
    assert rows.dtype == DETECTION
    assert rows["x"].tolist() == [0, 2, 4]
    assert rows["y"].tolist() == [1, 3, 5]
    assert rows["length"].tolist() == [4.5] * 3
    assert rows["class"].tolist() == [6] * 3
    assert rows["id"].tolist() == [7, 8, 9]
    assert np.isnan(rows["vx"]).tolist() == [False, True, False]
    for name in ("vy", "heading", "width", "height", "var_x", "var_y", "cov_xy", "confidence"):
        assert np.isnan(rows[name]).all(), name
    assert len(detections([])) == 0


@pytest.mark.parametrize(
    ("given", "columns", "error", "rule"),
    [
        ([1.0, 2.0], {}, ValueError, r"xy has the shape \(2,\): must be \(n, 2\)"),
        ([[1.0, 2.0]], {"speed": 3.0}, TypeError, "no column 'speed': there are vx, vy"),
        ([[1.0, 2.0]], {"vx": [1.0, 2.0]}, ValueError, r"vx has the shape \(2,\): must be one value, or \(1,\)"),
        ([[1.0, 2.0]], {"class_": 8}, ValueError, r"class_|class\[0\] = 8.*within 0..7"),
        ([[1.0, 2.0]], {"id": 0.5}, ValueError, r"id\[0\] = 0.5: must be a whole number"),
        ([[1.0, 2.0]], {"vehicle": -1}, ValueError, r"vehicle\[0\] = -1"),
        ([["a", "b"]], {}, TypeError, "xy is of <U1: must be numbers"),
        ([[1.0, 2.0], [3.0]], {}, TypeError, "xy is not an array of numbers"),
        (np.ma.masked_invalid([[1.0, np.nan]]), {}, TypeError, "masked array, whose mask would be lost"),
        ([[1.0, 2.0]], {"vx": [None]}, TypeError, "vx is of object: must be numbers"),
    ],
)
def test_what_makes_no_rows_is_refused_with_the_rule(
    given: Any, columns: dict, error: type[Exception], rule: str
) -> None:
    with pytest.raises(error, match=rule):
        detections(given, **columns)


@pytest.mark.parametrize(
    "filled",
    [
        ("x", "y"),
        ("x", "y", "vx", "vy"),
        ("x", "y", "length", "width", "class"),
        ("x", "y", "length", "width", "height", "var_x"),
    ],
)
def test_rows_of_zeros_are_noticed(filled: tuple[str, ...]) -> None:
    rows = np.zeros(3, DETECTION)
    for name in filled:
        rows[name] = 1.5
    fusion = Fusion()
    with pytest.raises(
        ValueError,
        match=(
            r"detections\[0\]\.\w+ = 0\.0: must be over 0, or NaN when not measured\. Rows of np\.zeros .*"
            r" cloudctl\.fusion\.detections"
        ),
    ):
        fusion.update(T, 0, rows)
    with pytest.raises(ValueError, match=r"frame 1, detections\[0\]"):
        update_batch(
            [fusion, fusion],
            np.array([T, T + 1]),
            np.array([0, 0]),
            np.concatenate([detections([[0.0, 0.0]]), rows]),
            np.array([0, 1, 4]),
        )
    assert fusion.stats()["count"] == 0, "nothing of any frame is folded in"


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("confidence", 87.0, "within 0..1"),
        ("class", 9, "0..7, an ObjectClass"),
        ("var_x", -1.0, "over 0"),
        ("vx", 1e30, "at most 150 m/s"),
        ("vy", -151.0, "at most 150 m/s"),
        ("length", 1e30, "at most 100 m"),
        ("width", 1e-38, "at least 0.001"),
        ("height", 170.0, "at most 100 m"),
        ("var_y", 1e38, r"at most 1e\+06 m\^2"),
        ("heading", np.inf, "finite, or NaN"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_row_field_and_remedy(name: str, value: float, rule: str) -> None:
    rows = detections([[0.0, 0.0], [5.0, 5.0]])
    rows[name][1] = value
    with pytest.raises(ValueError, match=rf"detections\[1\]\.{name} = .*{rule}.*\. "):
        Fusion().update(T, 0, rows)


def layouts(rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the same detections in other arrays."""
    names = list(DETECTION.names)
    packed = np.zeros(len(rows), [(name, DETECTION[name]) for name in names])
    swapped = np.zeros(
        len(rows),
        [
            (name, DETECTION[name].newbyteorder(">") if DETECTION[name].itemsize > 1 else DETECTION[name])
            for name in reversed(names)
        ],
    )
    wide = np.zeros(
        len(rows), [(name, "f8" if DETECTION[name].kind == "f" else "i8") for name in ("y", "x", *names[2:])]
    )
    for other in (packed, swapped, wide):
        for name in names:
            other[name] = rows[name]
    spread = np.zeros(3 * len(rows), DETECTION)
    spread[::3] = rows
    raw = np.zeros(rows.nbytes + 1, np.uint8)
    raw[1:] = rows.view(np.uint8)
    return {
        "packed": packed,
        "swapped": swapped,
        "wide": wide,
        "spread": spread[::3],
        "misaligned": raw[1:].view(DETECTION),
        "record": rows.view(np.recarray),
    }


def test_columns_go_by_their_names_in_any_order_type_and_layout() -> None:
    scans = one_sensor(5, 20, 30).scans
    wanted = Fusion()
    for scan in scans:
        wanted.update(scan.t, 0, scan.rows)
    for name in layouts(scans[0].rows):
        fusion = Fusion()
        for scan in scans:
            fusion.update(scan.t, 0, layouts(scan.rows)[name])
        assert fusion.state() == wanted.state(), name
    plain = Fusion()
    for scan in scans:
        plain.update(scan.t, 0, np.column_stack([scan.rows["x"], scan.rows["y"]]))
    assert plain.state() == wanted.state(), "positions alone, for these scenes have nothing else"


@pytest.mark.parametrize(
    "given",
    [np.zeros((4, 3)), np.zeros(4), [[1.0, 2.0]], np.zeros((2, 2), bool), np.zeros((2, 2), complex), np.zeros(2, [("x", "f8"), ("z", "f8")]), np.zeros((2, 1), DETECTION),  # noqa: E501
     np.zeros(2, [("x", "f8"), ("y", "f8"), ("speed", "f8")]), np.ma.masked_array(np.zeros((1, 2))), np.zeros((), DETECTION), None, "rows"],  # noqa: E501
)  # fmt: skip
def test_an_array_that_could_be_taken_wrong_is_a_type_error(given: Any) -> None:
    with pytest.raises(TypeError, match=r"\. \w+"):
        Fusion().update(T, 0, given)


@pytest.mark.parametrize("t", [1.5, 1_767_225_600.0, np.float64(3), "now", None, True, [1]])
def test_a_time_that_is_no_whole_number_is_a_type_error(t: Any) -> None:
    fusion = Fusion()
    for call in (lambda: fusion.update(t, 0, detections([])), lambda: fusion.tracks(t)):
        with pytest.raises(TypeError, match=r"t_ns = .*: must be a whole number\. Use time\.time_ns\(\)"):
            call()
    with pytest.raises(TypeError, match="t_ns is"):
        update_batch([fusion], np.array([1.5]), np.array([0]), detections([]), np.array([0, 0]))
    fusion.update(np.int64(T), np.int32(0), detections([]))


def test_a_time_out_of_64_bits_is_refused() -> None:
    for t in (2**63, -(2**63), 2**80, 4 * 10**18 + 1):
        with pytest.raises(ValueError, match=r"t_ns = .*must be within"):
            Fusion().update(t, 0, detections([]))


# --- configuration ---


@pytest.mark.parametrize(
    ("make", "ranges"),
    [
        (FusionConfig, FUSION_RANGES),
        (SourceConfig, SOURCE_RANGES),
        (
            lambda **given: Motion(
                **({"straight": 1.0, "turning": 1.0, "rate": 1.0, "enter": 1.0, "leave": 1.0} | given)
            ),
            MOTION_RANGES,
        ),
    ],
)
def test_every_configuration_value_has_a_range_and_says_so(make: Any, ranges: dict) -> None:
    base = {"x": 0.0, "y": 0.0} if make is SourceConfig else {}
    for name, allowed in ranges.items():
        below = allowed.low if allowed.above else allowed.low - 1
        for value in (
            float("nan"),
            float("inf"),
            -float("inf"),
            below,
            allowed.high + 1,
            10**400,
            "1",
            None,
            True,
            1 + 2j,
        ):
            if value is None and name in "xy":
                continue
            with pytest.raises(
                (ValueError, TypeError),
                match=rf"\.{name} = .*: must be a .*number,? (over|within) .*\. (Leave it out|Give)",
            ):
                make(**(base | {name: value}))
        make(**(base | {name: int(allowed.high) if isinstance(allowed.high, int) else allowed.high}))


@pytest.mark.parametrize(
    ("make", "given", "rule"),
    [
        (FusionConfig, {"drop": 0.4, "confirm": 0.3}, "drop = 0.4: must be below confirm"),
        (FusionConfig, {"without": "turns"}, r"without = 'turns': must be names in a tuple. Write \('turns',\)"),
        (FusionConfig, {"without": ("turn",)}, r"without = \['turn'\]: there are turns"),
        (FusionConfig, {"motion": {1: Motion(1, 1, 1, 1, 1)}}, "motion = .*must be pairs"),
        (FusionConfig, {"motion": ((9, Motion(1, 1, 1, 1, 1)),)}, "motion, its class = 9"),
        (FusionConfig, {"motion": ((1, (1, 1, 1, 1, 1)),)}, "must be pairs of a class .* and a Motion"),
        (FusionConfig, {"max_tracks": 100.0}, "max_tracks = 100.0: must be a whole number"),
        (SourceConfig, {"kind": "track"}, "kind = 'track': must be one of detections, tracks, cooperative"),
        (SourceConfig, {"x": 3.0}, "x, y = 3.0, None: one is given without the other"),
        (SourceConfig, {"bias_m": 0.3}, "bias_m = 0.3: must be two numbers"),
        (SourceConfig, {"bias_m": (0.3, float("nan"))}, r"bias_m \(y\) = nan"),
    ],
)
def test_values_that_do_not_go_together_are_refused(make: Any, given: dict, rule: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rule):
        make(**given)


def test_the_core_itself_takes_no_source_and_no_size_that_there_is_not() -> None:
    from cloudctl import _core

    for capacity in (-1, 0, 65_537):
        with pytest.raises(ValueError, match=r"must be 1\.\.65536"):
            _core.Tracker(capacity)
    tracker = _core.Tracker(4)
    for source in (-1, 32, 2**31 - 1):
        for call in (lambda s=source: tracker.update(T, s, detections([])), lambda s=source: tracker.blind(s, True)):
            with pytest.raises(ValueError, match=r"sources are numbered 0\.\.31"):
                call()
    with pytest.raises(ValueError, match="a scan is up to"):
        tracker.update(T, 0, np.zeros(7, np.uint8))
    with pytest.raises(TypeError):
        _core.update_batch([None], np.array([T]), np.array([0], np.int32), detections([]), np.array([0, 0]))


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"offsets": [0, 2, 1, 3]}, r"offsets\[2\] = 1, after 2: must not decrease"),
        ({"offsets": [0, 1, 2, 9]}, r"offsets\[3\] = 9: must be within 0..3"),
        ({"offsets": [-1, 1, 2, 3]}, r"offsets\[0\] = -1"),
        ({"offsets": [0, 1, 3]}, "3, 3, 3: 3 fusions need 3, 3 and 4"),
        ({"sources": [0, 32, 0]}, r"sources\[1\] = 32: must be within 0..31"),
        ({"sources": [0, -1, 0]}, r"sources\[1\] = -1"),
        ({"sources": [0.0, 1.0, 0.0]}, "sources is an array of float64"),
        ({"t_ns": [T, 2**62, T]}, r"t_ns\[1\] = "),
        ({"t_ns": [[T, T, T]]}, r"shape \(1, 3\)"),
        ({"rows": np.zeros((3, 3))}, "without columns it must be positions"),
        ({"fusions": [None, None, None]}, r"fusions\[0\] is NoneType: must be a Fusion"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused_before_anything_is_folded_in(change: dict, rule: str) -> None:
    pool = [Fusion() for _ in range(3)]
    good: dict[str, Any] = {
        "fusions": pool,
        "t_ns": [T] * 3,
        "sources": [0] * 3,
        "rows": detections([[0, 0], [1, 1], [2, 2]]),
        "offsets": [0, 1, 2, 3],
    }
    with pytest.raises((ValueError, TypeError), match=rule):
        update_batch(
            **{
                name: value if isinstance(value, list) and name == "fusions" else np.asarray(value)
                for name, value in (good | change).items()
            }
        )
    assert [fusion.stats()["count"] for fusion in pool] == [0] * 3
    update_batch(**good)
    assert [fusion.stats()["count"] for fusion in pool] == [1] * 3
