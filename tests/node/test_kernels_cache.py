"""A kernel's cache on disk is never that of another version: processes of two versions of a package, one after the
other.
"""

import dis
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cloudctl.kernels import global_names

INNER = """
from typing import NamedTuple
from cloudctl.kernels import njit
LIMIT = 3
class Pair(NamedTuple):
    first: float
    second: float
@njit(cache=True)
def scaled(x):
    return 10 * x
@njit(inline="always")
def shifted(x):
    return x + 100
"""
OUTER = """
from cloudctl.kernels import njit
from . import inner
from .inner import LIMIT, scaled, shifted
@njit(cache=True)
def by_constant(x):
    return x + LIMIT
@njit(cache=True)
def by_module(x):
    return x + inner.LIMIT
@njit(cache=True)
def by_kernel(x):
    return scaled(x)
@njit(cache=True)
def by_inlined(x):
    return shifted(x)
@njit(cache=True)
def by_later(x):
    return later(x)
@njit(cache=True)
def later(x):
    return scaled(x) + LIMIT
@njit(cache=True)
def by_layout(pair):
    return pair[0]
def ask(name):
    return by_layout(inner.Pair(first=1.0, second=2.0)) if name == "by_layout" else globals()[name](1)
"""
PROGRAM = """
import sys
from numba.core import event
sys.path.insert(0, sys.argv[1])
from package import outer
with event.install_recorder("numba:compile") as recorder:
    answer = outer.ask(sys.argv[2])
print(answer, "compiled" if recorder.buffer else "loaded")
"""
# Of each kernel: a change of the file that it does not stand in, and what it returns before and after.
CHANGES = {
    "by_constant": ("LIMIT = 3", "LIMIT = 4", "4", "5"),
    "by_module": ("LIMIT = 3", "LIMIT = 4", "4", "5"),
    "by_kernel": ("10 * x", "20 * x", "10", "20"),
    "by_inlined": ("x + 100", "x + 200", "101", "201"),
    "by_later": ("10 * x", "20 * x", "13", "23"),
    "by_layout": (
        "    first: float\n    second: float\n",
        "    second: float\n    first: float\n",
        "1.0",
        "2.0",
    ),
}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "inner.py").write_text(INNER)
    (folder / "outer.py").write_text(OUTER)
    return folder


def run(package: Path, kernel: str, **environment: str) -> str:
    """Return what a kernel returns in a process of its own, and whether it was compiled there."""
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM, str(package.parent), kernel],
        env=inherited | environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def folders(package: Path, kernel: str) -> list[Path]:
    return list((package / "__pycache__/kernels").glob(f"package.outer.{kernel}-*"))


@pytest.mark.parametrize("kernel", CHANGES)
def test_a_kernel_follows_a_change_in_another_file_and_is_not_compiled_again_without_one(
    package: Path, kernel: str
) -> None:
    old, new, before, after = CHANGES[kernel]
    assert run(package, kernel) == f"{before} compiled"
    assert run(package, kernel) == f"{before} loaded"

    change(package / "inner.py", old, new)
    assert run(package, kernel) == f"{after} compiled"
    assert run(package, kernel) == f"{after} loaded"

    # A roll-back.
    change(package / "inner.py", new, old)
    assert run(package, kernel) == f"{before} loaded"


def test_a_change_of_what_a_kernel_does_not_use_compiles_nothing(package: Path) -> None:
    assert run(package, "by_constant") == "4 compiled"
    change(package / "inner.py", "10 * x", "20 * x")
    assert run(package, "by_constant") == "4 loaded"


def test_a_class_that_has_moved_does_not_stop_a_kernel(package: Path) -> None:
    assert run(package, "by_layout") == "1.0 compiled"
    pair = "class Pair(NamedTuple):\n    first: float\n    second: float\n"
    change(package / "inner.py", pair, "")
    (package / "elsewhere.py").write_text(f"from typing import NamedTuple\n{pair}")
    change(package / "outer.py", "inner.Pair(", "elsewhere.Pair(")
    change(package / "outer.py", "from . import inner", "from . import elsewhere, inner")
    assert run(package, "by_layout") == "1.0 compiled"


def test_a_class_that_has_moved_does_not_stop_a_kernel_in_a_file_that_stays(package: Path) -> None:
    (package / "caller.py").write_text("from .inner import Pair\n")
    change(package / "outer.py", "inner.Pair(", "__import__('package.caller').caller.Pair(")
    assert run(package, "by_layout") == "1.0 compiled"

    pair = "class Pair(NamedTuple):\n    first: float\n    second: float\n"
    change(package / "inner.py", pair, "")
    (package / "caller.py").write_text(f"from typing import NamedTuple\n{pair}")
    assert run(package, "by_layout") == "1.0 compiled"


def test_the_two_versions_used_last_stay_and_older_ones_go_when_long_unused(package: Path) -> None:
    for limit in range(3, 7):
        assert run(package, "by_constant") == f"{1 + limit} compiled"
        for folder in folders(package, "by_constant"):
            used = folder.stat().st_mtime - 7200
            os.utime(folder, (used, used))
        change(package / "inner.py", f"LIMIT = {limit}", f"LIMIT = {limit + 1}")

    assert len(folders(package, "by_constant")) == 2
    change(package / "inner.py", "LIMIT = 7", "LIMIT = 5")
    assert run(package, "by_constant") == "6 loaded"


def test_versions_used_lately_stay(package: Path) -> None:
    for limit in range(3, 7):
        run(package, "by_constant")
        change(package / "inner.py", f"LIMIT = {limit}", f"LIMIT = {limit + 1}")
    assert len(folders(package, "by_constant")) == 4


def test_a_package_that_cannot_be_written_has_its_cache_in_the_users_folder(package: Path, tmp_path: Path) -> None:
    (package / "__pycache__").touch()  # in the way of the folder, which root could write whatever its rights
    home = str(tmp_path / "home")
    assert run(package, "by_constant", XDG_CACHE_HOME=home) == "4 compiled"
    assert run(package, "by_constant", XDG_CACHE_HOME=home) == "4 loaded"
    change(package / "inner.py", "LIMIT = 3", "LIMIT = 4")
    assert run(package, "by_constant", XDG_CACHE_HOME=home) == "5 compiled"


def test_where_nothing_can_be_written_kernels_are_compiled_each_time(package: Path) -> None:
    (package / "__pycache__").touch()
    for _ in range(2):
        assert run(package, "by_constant", XDG_CACHE_HOME="/dev/null", HOME="/dev/null") == "4 compiled"


def test_a_cache_folder_that_is_set_is_used(package: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert run(package, "by_constant", NUMBA_CACHE_DIR=str(cache)) == "4 compiled"
    assert run(package, "by_constant", NUMBA_CACHE_DIR=str(cache)) == "4 loaded"
    assert all(folder.name.startswith("package.") for folder in cache.iterdir())
    assert not (package / "__pycache__").exists()


def test_the_cache_folder_of_other_functions_stays(package: Path) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import package.outer, numba; print(numba.config.CACHE_DIR)"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(package / "mine")}
    command = [sys.executable, "-c", program, str(package.parent)]
    assert subprocess.check_output(command, env=environment, text=True).strip() == str(package / "mine")


def test_the_names_that_code_reads_from_its_module_are_those_of_dis() -> None:
    many = "\n".join(f"    n{k}(n{k})" for k in range(300))  # beyond what fits into one byte
    exec(f"def function(x):\n{many}\n    return [later(y) for y in x] + x.attribute", space := {})
    code = space["function"].__code__
    expected = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
    assert len(expected) >= 300
    assert global_names(code) == expected
