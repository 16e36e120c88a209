"""Thinning of long lines for messages of few points."""

import numpy as np
import pytest
from exported import GOOD, TARGETS, exported, line
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloudctl.codes.formats.messages.thinning import thinned
from cloudctl.codes.polylines import arc_lengths


@pytest.mark.parametrize("to", TARGETS)
def test_a_line_of_many_points_is_thinned_by_two_centimetres_at_most(to: str) -> None:
    lane = next(lane for lane in GOOD.lanes if lane.id == GOOD.stop_lines[0].lane)
    (a, b) = lane.points[0], lane.points[-1]
    bend = [
        (
            round(a[0] + (b[0] - a[0]) * t + 100 * np.sin(np.pi * t)),
            round(a[1] + (b[1] - a[1]) * t + 100 * np.sin(np.pi * t)),
        )
        for t in np.linspace(0, 1, 200)
    ]
    bent = replace(lane, points=tuple(bend))
    code = replace(
        GOOD,
        lanes=tuple(bent if x.id == lane.id else x for x in GOOD.lanes),
        stop_lines=tuple(
            replace(s, s=float(np.floor(arc_lengths(line(GOOD, bent))[-1] * 100) / 100)) if s.lane == lane.id else s
            for s in GOOD.stop_lines
        ),
    )
    found, _ = exported(code, to)
    assert ("lanes.points", "thinned") in {(d.field, d.what) for d in found.differences}


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(3, 300), st.integers(2, 63))
def test_thinning_keeps_the_ends_the_pinned_points_and_two_centimetres(seed: int, count: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    xy = np.cumsum(np.stack([rng.uniform(0.1, 2, count), rng.normal(0, 0.02, count)], axis=1), axis=0)
    pinned = frozenset(rng.integers(0, count, 2).tolist())
    kept = thinned(xy, most, pinned)
    assert {0, count - 1, *pinned} <= {*kept}
    assert kept == list(range(count)) or len(kept) < count
    for k in range(count):
        after = next(j for j in kept if j >= k)
        before = max(j for j in kept if j <= k)
        d = xy[after] - xy[before]
        t = 0 if before == after else float(np.clip((xy[k] - xy[before]) @ d / (d @ d), 0, 1))
        assert np.hypot(*(xy[k] - xy[before] - t * d)) <= 0.02 + 1e-9
