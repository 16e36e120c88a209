"""Anything at all for the tracker's face. Each trial either works or raises TypeError or ValueError with a remedy;
nothing ends the interpreter.

By hand against a core with sanitizers: tests/tracker/test_face_sanitized.py has the commands.
"""

import pickle
import sys

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudctl.fusion import (
    DETECTION,
    TRACK,
    Fusion,
    FusionConfig,
    Motion,
    SourceConfig,
    decode_batch,
    detections,
    update_batch,
)
from cloudctl.fusion_settings import FUSION_RANGES, SOURCE_RANGES

T = 1_767_225_600_000_000_000
MANY = settings(max_examples=60, suppress_health_check=list(HealthCheck))
TOTAL_BYTES = DETECTION.itemsize

numbers = st.one_of(
    st.floats(),
    st.integers(-(2**70), 2**70),
    st.sampled_from(
        [0, -1, 1, 2**31, 2**63, float("nan"), float("inf"), 1e-300, 1e300, True, None, "3", b"", [], (1, 2)]
    ),
)
places = st.lists(st.tuples(st.floats(-60, 60), st.floats(-60, 60)), max_size=12)
figures = st.one_of(st.floats(width=32), st.sampled_from([0.0, -1.0, 1.0, float("nan")]))
kinds = st.sampled_from(["f2", "f4", "f8", ">f8", "i1", "u4", "i8", ">i2", "b1", "c16", "O", "S3", "M8[ns]"])


def refused(error: Exception) -> None:
    """Check that a refusal names a rule and a remedy: two sentences."""
    assert isinstance(error, TypeError | ValueError), repr(error)
    assert ". " in str(error) or ": " in str(error), str(error)


@st.composite
def arrays(draw: st.DrawFn) -> object:
    """Draw what somebody may give as detections."""
    n = draw(st.integers(0, 12))
    kind = draw(st.integers(0, 6))
    if kind == 0:
        return draw(st.one_of(numbers, places, st.text(max_size=4)))
    if kind == 1:
        shape = draw(st.sampled_from([(n,), (n, 2), (n, 3), (2, n), (n, 2, 2), (), (0,), (n, 0)]))
        return np.zeros(shape, draw(kinds))
    if kind == 2:
        return np.zeros(n, DETECTION)
    if kind == 3:
        names = draw(st.lists(st.sampled_from([*DETECTION.names, "cls", "z"]), unique=True, min_size=1))
        return np.zeros(n, [(name, draw(kinds)) for name in names])
    rows = detections(draw(st.lists(st.tuples(st.floats(-60, 60), st.floats(-60, 60)), min_size=n, max_size=n)))
    for name in draw(st.lists(st.sampled_from(DETECTION.names), max_size=3)):
        rows[name][draw(st.integers(0, max(n - 1, 0))) :] = (
            draw(figures) if DETECTION[name].kind == "f" else draw(st.integers(0, 255))
        )
    if kind == 4:
        return rows
    if kind == 5:
        return draw(
            st.sampled_from(
                [
                    rows[::-1],
                    rows[::2],
                    rows[list(rows.dtype.names)[::-1]],
                    rows.view(np.recarray),
                    np.ma.masked_array(rows),
                    rows.newbyteorder() if hasattr(rows, "newbyteorder") else rows,
                ]
            )
        )
    raw = np.zeros(n * TOTAL_BYTES + 1, np.uint8)
    raw[1:] = rows.view(np.uint8)
    return raw[1:].view(DETECTION)


@MANY
@given(
    st.lists(
        st.tuples(st.one_of(st.integers(-3, 30), numbers), st.one_of(st.integers(0, 31), numbers), arrays()),
        max_size=12,
    ),
    st.integers(1, 40),
)
def any_scans(scans: list, room: int) -> None:
    fusion = Fusion(FusionConfig(max_tracks=room))
    for step, source, rows in scans:
        t = T + step * 100_000_000 if type(step) is int and abs(step) < 100 else step
        try:
            fusion.update(t, source, rows)
            tracks = fusion.tracks(t)
            assert tracks.dtype == TRACK
            assert np.isfinite(tracks["x"]).all()
        except (TypeError, ValueError) as error:
            refused(error)
    fusion.stats()
    assert Fusion.restore(fusion.state()).state() == fusion.state()


@MANY
@given(
    st.dictionaries(st.sampled_from([*FUSION_RANGES, "motion", "without"]), numbers, max_size=3),
    st.dictionaries(st.sampled_from([*SOURCE_RANGES, "kind", "bias_m"]), numbers, max_size=3),
    places,
)
def any_configuration(config: dict, source: dict, xy: list) -> None:
    try:
        chosen = FusionConfig(**config)
        if chosen.max_tracks > 4096:
            return
        fusion = Fusion(chosen)
        fusion.add_source(0, SourceConfig(**source))
    except (TypeError, ValueError) as error:
        refused(error)
        return
    for k in range(6):
        fusion.update(T + k * 100_000_000, k % 2, detections(np.array(xy, float).reshape(-1, 2) + 0.1 * k))
        assert np.isfinite(fusion.tracks(T + k * 100_000_000)["x"]).all()


@MANY
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2),
            st.one_of(st.integers(0, 20), numbers),
            st.one_of(st.integers(0, 31), numbers),
            st.one_of(st.integers(0, 12), numbers),
        ),
        max_size=8,
    ),
    arrays(),
    st.sampled_from(["i8", "i4", "f8", "O", "u8", ">i8"]),
)
def any_batch(frames: list, rows: object, dtype: str) -> None:
    pool = [Fusion(FusionConfig(max_tracks=20)) for _ in range(3)]
    try:
        times, sources, ends = (
            np.array([*first, *(frame[k] for frame in frames)], object).astype(dtype)
            for k, first in ((1, ()), (2, ()), (3, (0,)))
        )
    except (TypeError, ValueError, OverflowError):
        return  # NumPy makes no such array
    try:
        update_batch([pool[frame[0]] for frame in frames], times, sources, rows, ends)
    except (TypeError, ValueError) as error:
        refused(error)
    for fusion in pool:
        fusion.stats()


@MANY
@given(st.data())
def any_state(data: st.DataObject) -> None:
    fusion = Fusion(FusionConfig(max_tracks=20))
    for k in range(8):
        fusion.update(T + k * 100_000_000, k % 2, detections([[k, 0.0], [9.0, k]], class_=[1, 6]))
    whole = bytearray(fusion.state())
    assert pickle.loads(pickle.dumps(fusion)).state() == whole
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for changed in (bytes(whole), cut, cut + b"x"):
        if changed != fusion.state():
            try:
                Fusion.restore(changed)
            except ValueError as error:
                refused(error)
                continue
            raise AssertionError("a changed state was taken")


@MANY
@given(
    st.lists(st.one_of(st.binary(max_size=80), numbers), max_size=4),
    st.one_of(st.none(), st.sampled_from([np.zeros((2, 2)), np.zeros(3), np.zeros((1, 1))])),
)
def any_payloads(payloads: list, shifts: np.ndarray | None) -> None:
    try:
        rows, offsets, _ = decode_batch(payloads, shifts)
        assert offsets[-1] == len(rows)
    except (TypeError, ValueError):
        pass


def odd_motion() -> None:
    """Whatever a class's motion may be, tracks stay finite."""
    for straight, turning, rate, enter, leave in (
        (1000, 1000, 100, 100, 100),
        (1e-9, 0, 0, 0, 0),
        (5, 0, 0, 100, 0),
        (5, 9, 9, 0, 9),
    ):
        motion = tuple((number, Motion(straight, turning, rate, enter, leave)) for number in range(8))
        fusion = Fusion(FusionConfig(motion=motion))
        for k in range(40):
            fusion.update(T + k * 200_000_000, k % 3, detections([[k * 1.5, 0.0], [0.0, -k * 2.0]]))
            assert np.isfinite(fusion.tracks(T + k * 200_000_000)["x"]).all()


TRIALS = (any_scans, any_configuration, any_batch, any_state, any_payloads, odd_motion)

if __name__ == "__main__":
    for trial in TRIALS:
        trial()
    print(f"{len(TRIALS)} passed", file=sys.stdout)
