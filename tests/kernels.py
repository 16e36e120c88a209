"""The C core as a shared library, for tests that call its kernels one by one."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from paths import ROOT

PLACES = {4: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), 5: tuple(range(15))}
AT = {
    4: [(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)],
    5: [
        *[(0, 0), (0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 2), (2, 3), (3, 3)],
        *[(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)],
    ],
}


class Change(ctypes.Structure):
    _fields_ = [
        ("dt", ctypes.c_double),
        ("motion", ctypes.c_void_p),
        ("to_turn", ctypes.c_double),
        ("to_straight", ctypes.c_double),
    ]


def library(folder: Path) -> ctypes.CDLL:
    """Compile cext/*.c as the package does; skips, saying so, without gcc."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc here: the kernels cannot be called one by one")
    out = folder / "core.so"
    sources = sorted(str(p) for p in (ROOT / "cext").glob("*.c") if not p.name.startswith("_"))
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC", f"-I{ROOT / 'cext'}"]
    subprocess.run(["gcc", *flags, *sources, "-lm", "-o", str(out)], check=True)
    core = ctypes.CDLL(str(out))
    core.model_transition.restype = Change
    core.model_transition.argtypes = [ctypes.c_double, ctypes.c_void_p]
    return core


def pack(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    return np.concatenate([x, [p[i, j] for i, j in AT[len(x)]]])


def unpack(flat: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    p = np.zeros((n, n))
    for value, (i, j) in zip(flat[n:], AT[n], strict=False):
        p[i, j] = p[j, i] = value
    return flat[:n].copy(), p


def pack_pair(pair: tuple) -> np.ndarray:
    return np.concatenate([pack(*pair[0]), pack(*pair[1]), [pair[2]]])


def unpack_pair(flat: np.ndarray) -> tuple:
    return unpack(flat[:14], 4), unpack(flat[14:34], 5), flat[34]


def pointer(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


def assigned(core: ctypes.CDLL, table: np.ndarray, miss: float) -> tuple[np.ndarray, float]:
    """Return each row's column (-1: none) in the core's assignment of a table of costs, and what it costs together; a
    row without costs `miss`.
    """
    n, m = table.shape
    rows, columns = np.nonzero(np.isfinite(table))
    start = np.searchsorted(rows, np.arange(n + 1)).astype(np.int32)
    column, cost, mate = columns.astype(np.int32), table[rows, columns], np.empty(n, np.int32)
    core.assign_scratch.restype = ctypes.c_size_t
    memory = np.empty(core.assign_scratch(n, m), np.uint8)
    core.assign(
        n, m, pointer(start), pointer(column), pointer(cost), ctypes.c_double(miss), pointer(mate), pointer(memory)
    )
    return mate, sum(table[i, j] if j >= 0 else miss for i, j in enumerate(mate.tolist()))
