"""The arrays of a compiled code in groups, as kernels read them; and the same of one code out of a table of many."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .addresses import Addresses, addresses, bytes_of, flags, float_rows, floats, inner_kernel, ints, long_rows, longs
from .lane_links import LaneLinks
from .lane_tables import LaneTables

if TYPE_CHECKING:
    from .code import CompiledCode


class Paths(NamedTuple):
    """The lines of lanes, then of connections, in CSR form: fields of `CompiledCode` called path_..."""

    start: Any
    xy: Any
    s: Any
    length: Any


class Lanes(NamedTuple):
    """The lanes: fields called lane_..."""

    speed: Any
    stop_s: Any
    to_stop: Any
    ingress: Any
    role: Any
    use: Any


class Moves(NamedTuple):
    """The connections: fields called conn_..."""

    origin: Any  # the lane that each begins on: conn_from
    exit: Any  # the lane that it leads to: conn_to
    group: Any
    turn: Any
    speed: Any
    inner: Any


class Conflicts(NamedTuple):
    """Where connections meet, in CSR form: fields called conf_..."""

    start: Any
    other: Any
    s: Any
    s_other: Any
    type: Any
    must_yield: Any
    gives: Any


class Crosswalks(NamedTuple):
    """The crosswalks, and in CSR form those that each connection runs over: fields called cross_... and cw_..."""

    group: Any
    axis: Any
    start: Any
    crosswalk: Any
    s_in: Any
    s_out: Any


class Cells(NamedTuple):
    """The grid of the code: which paths' corridors cover each cell, in CSR form."""

    start: Any
    path: Any
    figures: Any  # float64[7]: west, south, east, north (m), size of a cell (m), cells west to east, and south to north


CODE_ARRAYS = 43  # that a code is read by


def code_addresses(code: "CompiledCode") -> tuple[Addresses, tuple[Any, ...]]:
    """Return the row of a table of codes, and the arrays that it is of, to be kept with it."""
    links, tables = code.lane_links, code.lane_tables
    figures = np.array([*code.bounds, code.cell_m, code.nx, code.ny], float)
    arrays = (
        *(code.path_start, code.path_xy, code.path_s, code.path_length),
        *(code.lane_speed, code.lane_stop_s, code.lane_to_stop, code.lane_ingress, code.lane_role, code.lane_use),
        *(code.conn_from, code.conn_to, code.conn_group, code.conn_turn, code.conn_speed, code.conn_inner),
        *(code.conf_start, code.conf_other, code.conf_s, code.conf_s_other),
        *(code.conf_type, code.conf_yield, code.conf_gives),
        *(code.cross_group, code.cross_axis, code.cw_start, code.cw_cross, code.cw_s_in, code.cw_s_out),
        *(code.cell_start, code.cell_path, figures),
        *(links.start, links.movement, links.joint_start, links.joint, links.minor),
        *(tables.width, tables.use_penalty, tables.only, tables.turns, tables.stop, tables.group),
    )
    assert len(arrays) == CODE_ARRAYS
    return addresses(arrays), arrays


# Of a row that `code_addresses` made, whose order is that of the fields here: each group of arrays. Kernels are given
# the row, and take of it the groups that they read: to pass all arrays on from kernel to kernel takes long to compile.


@inner_kernel
def paths_at(row: Any) -> Any:
    """Return the Paths of a row."""
    return Paths(ints(row[0]), float_rows(row[1]), floats(row[2]), floats(row[3]))


@inner_kernel
def lanes_at(row: Any) -> Any:
    """Return the Lanes of a row."""
    return Lanes(floats(row[4]), floats(row[5]), floats(row[6]), ints(row[7]), bytes_of(row[8]), bytes_of(row[9]))


@inner_kernel
def moves_at(row: Any) -> Any:
    """Return the Moves of a row."""
    return Moves(ints(row[10]), ints(row[11]), ints(row[12]), bytes_of(row[13]), floats(row[14]), flags(row[15]))


@inner_kernel
def conflicts_at(row: Any) -> Any:
    """Return the Conflicts of a row."""
    return Conflicts(
        ints(row[16]), ints(row[17]), floats(row[18]), floats(row[19]), bytes_of(row[20]), flags(row[21]),
        flags(row[22]),
    )  # fmt: skip


@inner_kernel
def crosswalks_at(row: Any) -> Any:
    """Return the Crosswalks of a row."""
    return Crosswalks(
        ints(row[23]), float_rows(row[24]), ints(row[25]), ints(row[26]), floats(row[27]), floats(row[28])
    )  # fmt: skip


@inner_kernel
def cells_at(row: Any) -> Any:
    """Return the Cells of a row."""
    return Cells(ints(row[29]), ints(row[30]), floats(row[31]))


@inner_kernel
def links_at(row: Any) -> Any:
    """Return the LaneLinks of a row."""
    return LaneLinks(longs(row[32]), longs(row[33]), longs(row[34]), longs(row[35]), flags(row[36]))


@inner_kernel
def tables_at(row: Any) -> Any:
    """Return the LaneTables of a row."""
    return LaneTables(
        floats(row[37]), floats(row[38]), longs(row[39]), long_rows(row[40]), floats(row[41]), longs(row[42])
    )  # fmt: skip
