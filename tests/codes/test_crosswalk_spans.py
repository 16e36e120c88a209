"""Where lines cross, and which points are near which cell: compiled code beside plain arithmetic on whole arrays."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cloudctl.codes.checks.geometry import FOLD_COSINE, folded_lines
from cloudctl.codes.compiled.cells import grid
from cloudctl.codes.compiled.crosswalk_spans import crossings
from cloudctl.codes.polylines import F8, arc_lengths, middles, points_along

metres = st.integers(-60, 60).map(lambda half: half / 2)  # many lines meet at their ends, and run beside one another
lines = st.lists(st.tuples(metres, metres), min_size=2, max_size=9).map(lambda points: np.array(points))


def plain_crossings(line: F8, along: F8, axis: F8) -> F8:
    starts, steps = line[:-1], np.diff(line, axis=0)
    axis_start, axis_step = axis[:2], axis[2:] - axis[:2]
    offset = axis_start - starts
    with np.errstate(divide="ignore", invalid="ignore"):
        determinant = steps[:, 1] * axis_step[0] - steps[:, 0] * axis_step[1]
        share = (offset[:, 1] * axis_step[0] - offset[:, 0] * axis_step[1]) / determinant
        axis_share = (steps[:, 0] * offset[:, 1] - steps[:, 1] * offset[:, 0]) / determinant
        hits = np.flatnonzero((share >= 0) & (share < 1) & (axis_share >= 0) & (axis_share <= 1))
    sine = np.abs(determinant[hits]) / (np.hypot(steps[hits, 0], steps[hits, 1]) * np.hypot(*axis_step))
    return np.stack([along[hits] + share[hits] * (along[hits + 1] - along[hits]), sine], axis=1)


@given(lines, st.tuples(metres, metres, metres, metres))
def test_crossings_are_those_of_the_plain_arithmetic(line: F8, axis: tuple[float, ...]) -> None:
    along = arc_lengths(line)
    assert np.array_equal(
        crossings(line, along, np.array(axis)), plain_crossings(line, along, np.array(axis)).reshape(-1, 2)
    )


@given(st.lists(lines, min_size=1, max_size=5))
def test_a_path_is_listed_in_every_cell_that_one_of_its_points_is_in(paths: list[F8]) -> None:
    start = np.cumsum([0, *map(len, paths)]).astype(np.int32)
    cells = grid(np.concatenate(paths), start)
    west, south = cells.bounds[:2]
    for number, path in enumerate(paths):
        for x, y in path:
            cell = int((y - south) / cells.cell_m) * cells.nx + int((x - west) / cells.cell_m)
            assert number in cells.path[cells.start[cell] : cells.start[cell + 1]]


@given(st.lists(lines, min_size=1, max_size=5))
def test_the_middles_of_lines_found_at_once_are_those_of_each_line(many: list[F8]) -> None:
    each = [points_along(line, arc_lengths(line), arc_lengths(line)[-1] / 2) for line in many]
    assert np.allclose(middles(many), each, atol=1e-6)


@given(st.lists(lines, min_size=1, max_size=5))
def test_a_line_that_turns_back_is_found_among_others_as_it_is_alone(many: list[F8]) -> None:
    def turns_back(line: F8) -> bool:
        steps = np.diff(line, axis=0)
        lengths = np.hypot(steps[:, 0], steps[:, 1])
        ways = steps[lengths > 1.0] / lengths[lengths > 1.0, None]
        return len(ways) > 1 and float((ways[1:] * ways[:-1]).sum(axis=1).min()) < -FOLD_COSINE

    assert folded_lines(many) == {number for number, line in enumerate(many) if turns_back(line)}
