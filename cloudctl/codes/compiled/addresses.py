"""Arrays by address: how compiled code reads the arrays of many intersections in one call, without copies.

`addresses(arrays)` is a row of a table with one entry for each array: where it begins and its shape. Compiled code
makes arrays of them again (`floats`, `ints`, ...). A table of rows is one argument, whatever the number of
intersections, and gathering the rows of those that are due is one copy of a few hundred bytes each. Whoever gives a
table to compiled code keeps the arrays alive until that returns.
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from numba import carray, types  # type: ignore[attr-defined]
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from ...kernels import njit

Addresses = NDArray[np.int64]  # int64[arrays, 3]: address, and the shape in two numbers


def addresses(arrays: Iterable[NDArray[Any]]) -> Addresses:
    """Return the row of a table for some arrays of one or two dimensions, each contiguous."""
    rows = []
    for array in arrays:
        assert array.flags.c_contiguous, "an array that compiled code is to read by its address must be contiguous"
        width = array.shape[1] if array.ndim == 2 else 1
        rows.append((array.ctypes.data, array.shape[0], width))
    return np.array(rows, np.int64).reshape(-1, 3)


def joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Return some arrays one after the other; of one alone, that array itself: not to be changed."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _compile_pointer(_context: Any, address: Any) -> Any:
    """Compile a whole number into a pointer."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate


_pointer: Any = intrinsic(_compile_pointer)

F = TypeVar("F", bound=Callable[..., Any])


def inner_kernel(function: F) -> F:
    """Compile what only compiled code calls: without the way in from Python, which takes as long to compile as a small
    kernel."""
    return njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


@inner_kernel
def row_at(address: int, count: int) -> Any:
    """Return the row of a table that begins at an address, of `count` entries."""
    return carray(_pointer(address), (count, 3), np.int64)


@inner_kernel
def floats(entry: Any) -> Any:
    """Return float64[n] of an entry."""
    return carray(_pointer(entry[0]), (entry[1],), np.float64)


@inner_kernel
def float_rows(entry: Any) -> Any:
    """Return float64[n, m] of an entry."""
    return carray(_pointer(entry[0]), (entry[1], entry[2]), np.float64)


@inner_kernel
def longs(entry: Any) -> Any:
    """Return int64[n] of an entry."""
    return carray(_pointer(entry[0]), (entry[1],), np.int64)


@inner_kernel
def long_rows(entry: Any) -> Any:
    """Return int64[n, m] of an entry."""
    return carray(_pointer(entry[0]), (entry[1], entry[2]), np.int64)


@inner_kernel
def ints(entry: Any) -> Any:
    """Return int32[n] of an entry."""
    return carray(_pointer(entry[0]), (entry[1],), np.int32)


@inner_kernel
def bytes_of(entry: Any) -> Any:
    """Return uint8[n] of an entry."""
    return carray(_pointer(entry[0]), (entry[1],), np.uint8)


@inner_kernel
def flags(entry: Any) -> Any:
    """Return bool[n] of an entry."""
    return carray(_pointer(entry[0]), (entry[1],), np.bool_)
