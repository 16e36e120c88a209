"""The signal groups of an intersection as compiled code reads them: by an address, without copies.

`pack` puts the arrays of `Signals` one after the other in memory; `signals_at` makes arrays of them again.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..codes.compiled.addresses import bytes_of, flags, floats, inner_kernel, longs

LONG = 8  # bytes

# What kernels are given: the address of what `pack` returned, the number of groups, and when each was last seen: the
# address of int64[groups], or 0 where all were seen at the time that comes last, ns.
ADDRESS, GROUPS, SEEN, SEEN_AT = range(4)
ENTRY_COLUMNS = 4


class SignalArrays(NamedTuple):
    """Fields of `Signals`, one row per group."""

    state: Any
    min_end: Any
    max_end: Any
    likely_end: Any
    next_green: Any
    next_duration: Any
    confidence: Any
    seen: Any
    overdue: Any


class Packed(NamedTuple):
    """Arrays one after the other in memory."""

    data: NDArray[np.uint8]
    address: int


def pack(
    min_end: NDArray[np.int64],
    max_end: NDArray[np.int64],
    likely_end: NDArray[np.int64],
    next_green: NDArray[np.int64],
    next_duration: NDArray[np.int64],
    confidence: NDArray[np.float64],
    state: NDArray[np.uint8],
    overdue: NDArray[np.bool_],
) -> Packed:
    """Return the arrays one after the other, as `signals_at` reads them."""
    parts = (min_end, max_end, likely_end, next_green, next_duration, confidence, state, overdue)
    data = np.frombuffer(b"".join([part.data for part in parts]), np.uint8)
    return Packed(data, data.ctypes.data)


@inner_kernel
def signals_at(entry: Any) -> Any:
    """Return the SignalArrays of an entry, int64[ENTRY_COLUMNS]."""
    count, step = entry[GROUPS], entry[GROUPS] * LONG
    first = entry[ADDRESS]
    seen = longs((entry[SEEN], count)) if entry[SEEN] != 0 else np.full(count, entry[SEEN_AT])

    return SignalArrays(
        bytes_of((first + 6 * step, count)), longs((first, count)), longs((first + step, count)),
        longs((first + 2 * step, count)), longs((first + 3 * step, count)), longs((first + 4 * step, count)),
        floats((first + 5 * step, count)), seen, flags((first + 6 * step + count, count)),
    )  # fmt: skip
