"""Processes that start at the same time compile each kernel once between them."""

import os
import subprocess
import sys
from pathlib import Path

KERNELS = """
from numba import njit

@njit(cache=True)
def first(x):
    return x + 1

@njit(cache=True)
def second(x):
    return x * first(x)

@njit(cache=True)
def third(x):
    return second(x) - x
"""
PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import kernels
from cloudctl.node.kernel_lock import compiling_in_turn
print("ready", flush=True)
sys.stdin.readline()
with compiling_in_turn(Path(kernels.__file__)):
    kernels.first(1), kernels.second(1), kernels.third(1)
print(sum(sum(kernel.stats.cache_misses.values()) for kernel in (kernels.second, kernels.third)))
"""


def test_processes_that_start_at_once_compile_what_follows_the_one_they_wait_for_once(tmp_path: Path) -> None:
    (tmp_path / "kernels.py").write_text(KERNELS)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    misses = [int(process.communicate(timeout=120)[0]) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    # One whose first kernel the leader has just compiled goes on to the second, and waits there.
    assert sorted(misses)[-1] == 2
    assert sorted(misses)[-2] <= 1, "what follows the kernel that a process waits for is found in the cache"
